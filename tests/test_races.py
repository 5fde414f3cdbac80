"""Two hands on one asset at the same instant, on connections of their own: one of them wins, and says so."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from assets import dispositions
from assets.dispositions import delete, expire, extend, promote, restore
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.outcomes import DONE, GONE, State, failed
from assets.purge import purge
from assets.reconcile import reconcile
from tests.factories import make_asset, make_assets, make_job, make_user

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 50
# How long the second hand waits for, one after the other: nearer and nearer to the same instant.
HEAD_STARTS = (-0.02, 0.02, -0.004, 0.004, -0.002, 0.002, -0.001, 0.001, 0, 0)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def home(store_folders):
    return store_folders


@pytest.fixture
def actor():
    return User.objects.create(username="admin")


@pytest.fixture
def with_files(home):
    """Makes assets of a job, each with a file of its own."""

    def make(number, **values):
        job = make_job()
        assets = []
        for index in range(number):
            key = f"{job.user_id}/{job.pk}/{index}.png"
            path = home / "workspace" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content_of(key))
            assets.append(make_asset(job.user, job, temp_storage_path=key, **values))
        return assets

    return make


def content_of(key):
    return PNG + key.encode() * 100


def at_once(*actions, begin=None):
    """What each returns, run in a thread and with a connection of its own, from the same instant.

    What is to begin with is done when all have their connections.
    """
    start = threading.Barrier(len(actions), begin, timeout=60)

    def run(action):
        try:
            connection.ensure_connection()
            start.wait()
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as pool:
        running = [pool.submit(run, action) for action in actions]
        return [each.result(timeout=60) for each in running]


def after(seconds, action):
    def wait_and_act():
        time.sleep(max(seconds, 0))
        return action()

    return wait_and_act


@pytest.fixture
def saving_at_once(monkeypatch, actor):
    """Saves assets against something else, which starts when the files are copied: the rows meet."""

    def run(ids, against, head_start):
        copied = threading.Event()

        def copy(ids, copy_to_library=dispositions.copy_to_library):
            assert not connection.in_atomic_block  # which would hold locks for as long as copying takes
            copies = copy_to_library(ids)
            copied.set()
            time.sleep(max(-head_start, 0))
            return copies

        def act_against():
            assert copied.wait(30)
            time.sleep(max(head_start, 0))
            return against()

        with monkeypatch.context() as patch:
            patch.setattr(dispositions, "copy_to_library", copy)
            return at_once(lambda: promote(ids, actor=actor), act_against)

    return run


def expect_saved_whole(home, asset):
    """The one library row of the asset names the right bytes, and the ledger says how it came there."""
    row = LibraryAsset.objects.get(pk=asset.pk)
    assert (home / "library" / row.storage_path).read_bytes() == content_of(asset.temp_storage_path)
    assert row.file_size_bytes == len(content_of(asset.temp_storage_path))
    assert not WorkspaceAsset.objects.filter(pk=asset.pk).exists()


def only_entry_of(asset):
    return Disposition.objects.get(asset_id=asset.pk, restored_at=None)


def in_workspace(home, asset):
    return (home / "workspace" / asset.temp_storage_path).exists()


# --- Saving against leaving ------------------------------------------------------


def expect_one_winner(home, asset, saved, removed, action):
    """Row, ledger, library and files agree on one of two ends, and so do both of those who acted."""
    entry = only_entry_of(asset)
    assert entry.row["temp_storage_path"] == asset.temp_storage_path
    assert in_workspace(home, asset)  # for the grace
    if saved == {asset.pk: DONE}:
        assert not removed
        assert entry.action == "promoted"
        expect_saved_whole(home, asset)
    else:
        assert saved == {asset.pk: GONE}
        assert removed
        assert entry.action == action
        assert not LibraryAsset.objects.filter(pk=asset.pk).exists()
        assert not WorkspaceAsset.objects.filter(pk=asset.pk).exists()
    return entry.action


def expect_clean_stores(home, lost):
    """Nothing is missing, and nothing in excess but the copies of those who lost, each reported."""
    report = reconcile(remove=False, limit=0)
    assert (report.missing, report.unreadable) == (0, 0)
    orphans = {(orphan.store, orphan.key) for orphan in report.some_orphans}
    assert orphans == {("library", f"{asset.user_id}/{asset.pk}.png") for asset in lost}


def test_of_saving_and_expiring_one_asset_exactly_one_wins(home, with_files, saving_at_once):
    winners, lost = [], []
    for number in range(ROUNDS):
        (asset,) = with_files(1, expires_in=-timedelta(seconds=1))
        head_start = HEAD_STARTS[number % len(HEAD_STARTS)]
        saved, expired = saving_at_once([asset.pk], expire, head_start)
        assert expired.failed == 0
        winners.append(expect_one_winner(home, asset, saved, expired.done == 1, "expired"))
        if winners[-1] == "expired":
            lost.append(asset)
    assert set(winners) == {"promoted", "expired"}
    expect_clean_stores(home, lost)


def test_of_saving_and_deleting_one_asset_exactly_one_wins(home, with_files, saving_at_once, actor):
    winners, lost = [], []
    for number in range(ROUNDS):
        (asset,) = with_files(1)
        saved, deleted = saving_at_once(
            [asset.pk],
            lambda pk=asset.pk: delete([pk], actor=actor),
            HEAD_STARTS[number % len(HEAD_STARTS)],
        )
        assert deleted in ({asset.pk: DONE}, {asset.pk: GONE})
        winners.append(expect_one_winner(home, asset, saved, deleted == {asset.pk: DONE}, "deleted"))
        if winners[-1] == "deleted":
            lost.append(asset)
    assert set(winners) == {"promoted", "deleted"}
    expect_clean_stores(home, lost)


def test_saving_while_files_are_removed_at_once_saves_whole_files_or_nothing(
    home, with_files, actor, settings
):
    settings.PURGE_GRACE_HOURS = 0
    for number in range(40):
        (asset,) = with_files(1)

        def delete_and_purge(pk=asset.pk):
            deleted = delete([pk], actor=actor)
            purge()
            return deleted

        saved, deleted = at_once(
            lambda pk=asset.pk: promote([pk], actor=actor),
            after(number % 10 / 1000, delete_and_purge),
        )
        if saved[asset.pk] == DONE:
            assert deleted == {asset.pk: GONE}
            expect_saved_whole(home, asset)
        else:
            assert deleted == {asset.pk: DONE}
            assert saved[asset.pk] in (GONE, failed("The file is missing from the store"))
            assert not LibraryAsset.objects.filter(pk=asset.pk).exists()
            assert not in_workspace(home, asset)


def test_two_savings_of_the_same_assets_leave_one_row_each_with_the_right_bytes(home, with_files, actor):
    for _ in range(8):
        assets = with_files(10)
        ids = [asset.pk for asset in assets]
        one, other = at_once(
            lambda ids=ids: promote(ids, actor=actor),
            lambda ids=ids: promote(ids[::-1], actor=actor),
        )
        for asset in assets:
            states = [outcomes[asset.pk].state for outcomes in (one, other)]
            assert states.count(State.DONE) == 1
            assert only_entry_of(asset).action == "promoted"
            expect_saved_whole(home, asset)
    assert LibraryAsset.objects.count() == 80
    expect_clean_stores(home, [])


def test_the_old_copy_is_not_removed_while_the_asset_is_saved_again(home, with_files, actor, monkeypatch):
    (asset,) = with_files(1)
    promote([asset.pk], actor=actor)
    restore([only_entry_of(asset).pk], actor=actor)
    Disposition.objects.update(purge_after=datetime.now(UTC))  # what the library had is to go
    checked = threading.Event()

    def check_and_linger(copies, vanished=dispositions.spoilt):
        gone = vanished(copies)
        checked.set()
        time.sleep(0.3)  # for the purge, which must wait for the row that names the copy
        return gone

    monkeypatch.setattr(dispositions, "spoilt", check_and_linger)
    saved, purged = at_once(lambda: promote([asset.pk], actor=actor), lambda: checked.wait(30) and purge())
    assert (saved, purged) == ({asset.pk: DONE}, (1, 0))
    expect_saved_whole(home, asset)


# --- Leaving against leaving -----------------------------------------------------


def test_four_workers_expire_thousands_of_assets_each_once():
    user = make_user()
    expired = {asset.pk for asset in make_assets(4_000, user, expires_in=-timedelta(hours=1))}
    make_assets(10, user)
    results = at_once(*[lambda: expire(batch=100)] * 4)
    assert sum(result.done for result in results) == 4_000
    assert sum(bool(result.done) for result in results) > 1
    assert not any(result.failed for result in results)
    entries = list(Disposition.objects.values_list("asset_id", "action"))
    assert len(entries) == 4_000
    assert set(entries) == {(pk, "expired") for pk in expired}
    assert WorkspaceAsset.objects.count() == 10


def test_overlapping_deletions_in_opposite_orders_end_in_a_clean_sum(actor):
    for _ in range(10):
        ids = sorted(asset.pk for asset in make_assets(300))
        first, second = ids[:200], ids[100:][::-1]
        one, other = at_once(
            lambda ids=first: delete(ids, actor=actor),
            lambda ids=second: delete(ids, actor=actor),
        )
        assert (one.keys(), other.keys()) == (set(first), set(second))
        for pk in ids:
            outcomes = sorted(outcomes[pk].state for outcomes in (one, other) if pk in outcomes)
            assert outcomes in ([State.DONE], [State.DONE, State.GONE])
        left = Disposition.objects.filter(asset_id__in=ids).values_list("asset_id", flat=True)
        assert sorted(left) == ids
    assert not WorkspaceAsset.objects.exists()


def test_deleting_and_expiring_at_once_end_in_a_clean_sum(actor):
    for _ in range(10):
        ids = [asset.pk for asset in make_assets(200, expires_in=-timedelta(hours=1))]
        deleted, expired = at_once(
            lambda ids=ids: delete(ids, actor=actor),
            lambda: expire(batch=20),
        )
        by_person = {pk for pk, outcome in deleted.items() if outcome == DONE}
        assert len(by_person) + expired.done == 200
        entries = Disposition.objects.filter(asset_id__in=ids).values_list("asset_id", "action")
        assert sorted(entries) == sorted((pk, "deleted" if pk in by_person else "expired") for pk in ids)


def test_extending_and_expiring_at_once_never_expires_what_was_extended(actor):
    for number in range(40):
        asset = make_asset(expires_in=-timedelta(seconds=1))
        extended, expired = at_once(
            after(number % 4 / 1000, lambda pk=asset.pk: extend([pk], actor=actor)),
            after(number % 5 / 1000, expire),
        )
        stays = WorkspaceAsset.objects.filter(pk=asset.pk).exists()
        assert (extended[asset.pk] == DONE) == stays
        assert expired == (0 if stays else 1, 0)


# --- Coming back -----------------------------------------------------------------


EARLIER = (0.05, 0.009, 0.006, 0.005, 0.004, 0.003, 0.002, 0.001, 0)  # seconds before the grace ends
LONGEST = 0.06  # seconds of it that are left when both are at it


@pytest.mark.parametrize("leave", [delete, promote])
def test_of_bringing_back_and_removing_files_one_comes_too_late(home, with_files, actor, leave):
    ends = []
    for number in range(4 * len(EARLIER)):
        (asset,) = with_files(1)
        leave([asset.pk], actor=actor)
        entry = only_entry_of(asset)
        early, late = LONGEST - EARLIER[number % len(EARLIER)], LONGEST + number % 4 / 1000

        def end_grace_soon(entry=entry):
            entry.purge_after = datetime.now(UTC) + timedelta(seconds=LONGEST)
            entry.save(update_fields=["purge_after"])

        outcomes, _ = at_once(
            after(early, lambda pk=entry.pk: restore([pk], actor=actor)),
            after(late, purge),
            begin=end_grace_soon,
        )
        back = outcomes[asset.pk] == DONE
        ends.append(back)
        assert back or outcomes[asset.pk].reason in (
            "Its files have been removed",
            "The time for bringing it back has passed",
        )
        assert WorkspaceAsset.objects.filter(pk=asset.pk).exists() == back
        assert not back or in_workspace(home, asset)
        assert LibraryAsset.objects.filter(pk=asset.pk).exists() == (leave is promote and not back)
        purge()
        assert in_workspace(home, asset) == back
    assert set(ends) == {True, False}
    expect_clean_stores(home, [])


def test_two_people_bring_one_asset_back_once(actor):
    for _ in range(30):
        asset = make_asset()
        delete([asset.pk], actor=actor)
        entry = only_entry_of(asset).pk
        outcomes = at_once(*[lambda entry=entry: restore([entry], actor=actor)] * 2)
        late = failed("It has been brought back already")
        assert sorted(each[asset.pk] for each in outcomes) == sorted([DONE, late])


def test_workers_that_purge_at_once_remove_each_file_once(home, with_files, actor, settings):
    settings.PURGE_GRACE_HOURS = 0
    assets = with_files(60)
    delete([asset.pk for asset in assets], actor=actor)
    results = at_once(*[lambda: purge(batch=7)] * 4)
    assert sum(result.done for result in results) == 60
    assert not any(result.failed for result in results)
    states = [entry.files[0]["state"] for entry in Disposition.objects.all()]
    assert states == ["removed"] * 60


def test_a_deadlock_with_another_program_is_tried_again(actor):
    first, second = sorted([make_asset().id, make_asset().id])
    holds_second = threading.Event()

    def lock_in_the_other_order():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '20s'")  # so that it is the delete that is ended
            cursor.execute("SELECT FROM workspace_assets WHERE id = %s FOR UPDATE", [second])
            holds_second.set()
            deadline = time.monotonic() + 20
            while not somebody_waits(cursor):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            cursor.execute("SELECT FROM workspace_assets WHERE id = %s FOR UPDATE", [first])

    def delete_both():
        assert holds_second.wait(20)
        return delete([first, second], actor=actor)

    _, outcomes = at_once(lock_in_the_other_order, delete_both)
    assert outcomes == {first: DONE, second: DONE}


def somebody_waits(cursor):
    cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    return cursor.fetchone()[0]
