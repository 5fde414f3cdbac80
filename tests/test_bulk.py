"""Bulk operations: a frozen selection, run in chunks, cancelled, taken up again, undone."""

import errno
import itertools
import os
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from assets import bulk, dispositions, storage
from assets.bulk import Refused
from assets.models import Disposition, Extension, LibraryAsset, Operation, OperationItem, Verb, WorkspaceAsset
from assets.stores import folders
from tests.factories import make_asset, make_assets, make_job, make_user
from tests.stores import cut_short, folders_only

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture(autouse=True)
def folder(store_folders):
    """The folder that has the stores of one test."""
    return store_folders


@pytest.fixture
def person(db):
    return User.objects.create_user("person")


@pytest.fixture
def freeze(person):
    def by_ticks(assets, action="delete"):
        return bulk.freeze_ticked([asset.pk for asset in assets], action=action, actor=person)

    return by_ticks


@pytest.fixture
def begin(person):
    def start(operation, **options):
        bulk.start(operation, actor=person, confirmed=operation.total, options=options)
        return operation

    return start


@pytest.fixture
def run(begin):
    """Starts an operation and brings it to its end."""

    def to_the_end(operation, **options):
        begin(operation, **options)
        return advance(operation)

    return to_the_end


@pytest.fixture
def make_files(folder):
    """Assets with a file each, whose bytes are their ids."""

    def make(number, **values):
        assets = make_assets(number, **values)
        for asset in assets:
            asset.temp_storage_path = f"user/{asset.pk}.png"
            path = folder / "workspace" / asset.temp_storage_path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content_of(asset))
        WorkspaceAsset.objects.bulk_update(assets, ["temp_storage_path"])
        return assets

    return make


def content_of(asset):
    return PNG + str(asset.pk).encode() * 100


def advance(operation):
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    return operation


def ids_of(assets):
    return {asset.pk for asset in assets}


def items_of(operation):
    return {item.asset_id: (item.state, item.reason) for item in operation.items.all()}


def live():
    return set(WorkspaceAsset.objects.values_list("id", flat=True))


def check_sum(operation):
    """What the operation says is what its items say."""
    operation.refresh_from_db()
    states = Counter(operation.items.values_list("state", flat=True))
    said = {name: getattr(operation, name) for name in ("done", "gone", "failed", "undone")}
    assert said == {name: states[name] for name in said}
    assert sum(states.values()) == operation.total
    return said


def leave(asset):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM workspace_assets WHERE id = %s", [asset.pk])


# --- Freezing ------------------------------------------------------------------


def test_ticked_assets_are_frozen_and_those_that_have_left_are_counted(freeze, person):
    one, two, gone = make_assets(3)
    leave(gone)
    operation = bulk.freeze_ticked([one.pk, two.pk, one.pk, gone.pk], action="delete", actor=person)
    assert set(items_of(operation)) == {one.pk, two.pk}
    assert (operation.state, operation.total, operation.summary["left"]) == ("ready", 2, 1)
    with pytest.raises(Refused, match="No asset is selected"):
        freeze([])


def test_a_summary_says_what_was_frozen(person):
    user, other = make_user(), make_user()
    day = timedelta(days=1)
    assets = make_assets(3, user, ago=day, file_size_bytes=10)
    assets += make_assets(2, other, ago=3 * day, file_size_bytes=500, asset_type="video")
    assets += make_assets(1, other, created_at=None, expires_at=None, file_size_bytes=0)
    make_assets(5)
    chosen = WorkspaceAsset.objects.filter(pk__in=ids_of(assets))
    operation = bulk.freeze_queryset(chosen, action="extend", actor=person)
    summary = operation.summary
    assert operation.total == 6
    assert summary["bytes"] == 1_030
    assert summary["types"] == [["image", 4, 30], ["video", 2, 1_000]]
    assert sorted(summary["users"]) == sorted([[str(user.pk), 3, 30], [str(other.pk), 3, 1_000]])
    assert summary["verbs"] == {"extend": 6}
    assert summary["newest"][:16] == assets[0].created_at.isoformat(" ")[:16]
    assert summary["oldest"][:16] == assets[3].created_at.isoformat(" ")[:16]
    assert summary["first_expiry"][:16] == assets[3].expires_at.isoformat(" ")[:16]


def test_a_selection_of_nothing_can_be_seen_but_not_started(person, begin):
    operation = bulk.freeze_filter("seed=404", action="delete", actor=person)
    assert (operation.state, operation.total, operation.summary["bytes"]) == ("ready", 0, 0)
    with pytest.raises(Refused, match="no asset was selected"):
        begin(operation)


@pytest.mark.parametrize("action", ["delete", "promote", "extend"])
def test_a_queryset_in_any_order_is_frozen_as_it_is(person, action):
    assets = make_assets(5)
    chosen = WorkspaceAsset.objects.filter(pk__in=ids_of(assets[:3])).order_by("-created_at", "id")
    operation = bulk.freeze_queryset(chosen, action=action, actor=person)
    assert set(items_of(operation)) == ids_of(assets[:3])
    assert set(operation.items.values_list("verb", flat=True)) == {action}


def test_some_of_a_job_are_kept_and_the_rest_deleted(make_files, person, run):
    job = make_job()
    assets = make_files(5, user=job.user, job=job)
    other = make_asset(job.user)
    operation = run(bulk.freeze_job(job.pk, keep=ids_of(assets[:2]), actor=person), title="kept")
    assert operation.summary["verbs"] == {"promote": 2, "delete": 3}
    assert check_sum(operation) == {"done": 5, "gone": 0, "failed": 0, "undone": 0}
    assert live() == {other.pk}
    assert {saved.pk for saved in LibraryAsset.objects.filter(custom_title="kept")} == ids_of(assets[:2])
    deleted = Disposition.objects.filter(action="deleted").values_list("asset_id", flat=True)
    assert set(deleted) == ids_of(assets[2:])


def test_what_is_kept_must_be_of_the_job(person):
    job = make_job()
    asset, stranger = make_asset(job.user, job), make_asset()
    for keep, reason in (
        ([], "No asset"),
        ([asset.pk, stranger.pk], "not of this job"),
        ([uuid4()], "or have left"),
    ):
        with pytest.raises(Refused, match=reason):
            bulk.freeze_job(job.pk, keep=keep, actor=person)
    assert not Operation.objects.exists()


def test_what_comes_after_freezing_is_left_alone(person, run):
    user = make_user("fox")
    old = make_assets(3, user)
    operation = bulk.freeze_filter("user=fox", action="delete", actor=person)
    new = make_assets(4, user)
    run(operation)
    assert live() == ids_of(new)
    assert operation.done == len(old)


def test_what_no_longer_matches_is_still_of_the_selection(person, run):
    """The person was shown these assets, not a filter."""
    asset = make_asset(generation_seed=1)
    operation = bulk.freeze_filter("seed=1", action="delete", actor=person)
    WorkspaceAsset.objects.update(generation_seed=2)
    run(operation)
    assert live() == set()
    assert items_of(operation) == {asset.pk: ("done", "")}


@pytest.mark.parametrize(
    "query",
    [
        "seed=one",
        "job=none",
        "expires=tomorrow",
        "user=nobody-of-this-name",
        "type=picture",
        "setting=steps%3E%3E%3D30",
        "size_min=ten",
        "size_min=10&size_max=5",
        "created_after=yesterday",
        "model=sdxl&modle=flux",
        "seed=1&seed=2",
        "q=%21%21",
        "q=%00",
        "sort=up",
    ],
)
def test_a_filter_that_is_not_understood_selects_nothing(query, person):
    make_assets(3)
    with pytest.raises(Refused, match="The filter is not understood, so nothing is selected"):
        bulk.freeze_filter(query, action="delete", actor=person)
    assert not Operation.objects.exists()
    assert not OperationItem.objects.exists()
    assert len(live()) == 3


# --- The complement survives ------------------------------------------------------

NOW = timezone.now()
USERS = ["fox", "owl"]
FILTERS = {
    "user=fox": lambda asset: asset.user.username == "fox",
    "type=video": lambda asset: asset.asset_type == "video",
    "model=wan": lambda asset: asset.model_used == "wan",
    "seed=0": lambda asset: asset.generation_seed == 0,
    "seed=-1": lambda asset: asset.generation_seed == -1,
    "mime=image/png": lambda asset: asset.mime_type == "image/png",
    "q=red+fox": lambda asset: {"red", "fox"} <= set(asset.original_prompt.lower().split()),
    "q=Snow": lambda asset: "snow" in asset.original_prompt.lower().split(),
    "size_min=1+kB": lambda asset: asset.file_size_bytes >= 1_000,
    "size_max=999": lambda asset: asset.file_size_bytes <= 999,
    "expires=expired": lambda asset: asset.expires_at is not None and asset.expires_at <= NOW,
    "expires=never": lambda asset: asset.expires_at is None,
    "expires=24h": lambda asset: (
        asset.expires_at is not None and NOW < asset.expires_at <= NOW + timedelta(hours=24)
    ),
    "expires=7d": lambda asset: (
        asset.expires_at is not None and NOW < asset.expires_at <= NOW + timedelta(days=7)
    ),
    f"created_after={NOW - timedelta(days=2):%Y-%m-%dT%H:%M:%S}": lambda asset: (
        asset.created_at is not None and asset.created_at >= (NOW - timedelta(days=2)).replace(microsecond=0)
    ),
    f"created_before={NOW - timedelta(days=2):%Y-%m-%dT%H:%M:%S}": lambda asset: (
        asset.created_at is not None and asset.created_at < (NOW - timedelta(days=2)).replace(microsecond=0)
    ),
    "setting=steps=30": lambda asset: settings_of(asset).get("steps") in (30, "30"),
    "setting=steps>=31": lambda asset: (
        isinstance(settings_of(asset).get("steps"), int) and settings_of(asset)["steps"] >= 31
    ),
    "": lambda asset: True,
    "sort=expires_at&view=table": lambda asset: True,
}


def settings_of(asset):
    return asset.generation_settings if isinstance(asset.generation_settings, dict) else {}


@pytest.fixture
def varied_assets(db):
    """Every value in many combinations, each with a period of its own."""
    users = [make_user(name) for name in USERS]
    steps = [{"steps": 30}, {}, None, {"steps": "30"}, {"steps": 31}, ["steps"]]
    expiries = [None, NOW, NOW + timedelta(hours=24), NOW + timedelta(days=7), NOW - timedelta(days=1)]
    for number, asset in enumerate(make_assets(60)):
        asset.user = users[number % 2]
        asset.asset_type = ["image", "video", "image"][number % 3]
        asset.model_used = ["sdxl", "wan", "fal-ai/wan-i2v", "WAN"][number // 2 % 4]
        asset.generation_seed = [0, -1, 7, 2**63 - 1, 10][number % 5]
        asset.mime_type = ["image/png", "image/jpeg", "", "video/mp4"][number // 3 % 4]
        asset.original_prompt = ["a red fox in the snow", "Snow", "fox", "", "the red  FOX"][number // 2 % 5]
        asset.file_size_bytes = [0, 999, 1_000, 1_001, 10**9][number // 4 % 5]
        asset.created_at = [None, NOW, NOW - timedelta(days=2), NOW - timedelta(days=9)][number // 5 % 4]
        asset.expires_at = expiries[number // 6 % 5]
        asset.generation_settings = steps[number // 7 % 6]
        asset.save()
    return list(WorkspaceAsset.objects.select_related("user"))


def names_of(query):
    return {part.partition("=")[0] for part in query.split("&")}


def check_complement(queries, assets, person):
    """The assets deleted are those of a plain Python filter, and the others are as they were."""
    wanted = {asset.pk for asset in assets if all(FILTERS[each](asset) for each in queries)}
    before = {row["id"]: row for row in WorkspaceAsset.objects.values()}
    operation = bulk.freeze_filter("&".join(queries), action="delete", actor=person)
    assert set(items_of(operation)) == wanted
    if wanted:
        bulk.start(operation, actor=person, confirmed=len(wanted), options={})
        advance(operation)
    left = {row["id"]: row for row in WorkspaceAsset.objects.values()}
    assert left == {pk: row for pk, row in before.items() if pk not in wanted}
    assert set(Disposition.objects.values_list("asset_id", flat=True)) == wanted
    return wanted


# Times have no place in the names of tests: each process has its own.
@pytest.mark.parametrize(
    "query", FILTERS, ids=[f"{number}-{query[:8]}" for number, query in enumerate(FILTERS)]
)
def test_a_bulk_delete_takes_what_its_filter_means_and_no_other(query, varied_assets, person):
    wanted = check_complement([query], varied_assets, person)
    assert wanted, "a filter that selects nothing proves nothing"


def is_understood(queries):
    """A filter that is given twice is refused, as are sizes that leave nothing between them."""
    names = [name for query in queries for name in names_of(query)]
    return len(names) == len(set(names)) and not {"size_max=999", "size_min=1+kB"} <= set(queries)


together = st.lists(st.sampled_from(sorted(filter(None, FILTERS))), min_size=2, max_size=3)


@hypothesis_settings(max_examples=25)
@given(queries=together.filter(is_understood))
def test_a_bulk_delete_takes_what_its_filters_mean_together(queries, varied_assets, person):
    with transaction.atomic():
        check_complement(queries, varied_assets, person)
        transaction.set_rollback(True)


# --- Steering --------------------------------------------------------------------


def test_more_than_a_thousand_assets_want_their_number(person):
    make_assets(1_001)
    operation = bulk.freeze_filter("", action="delete", actor=person)
    for confirmed in (None, 0, 1_000, 1_002):
        with pytest.raises(Refused, match="Type 1001 to confirm"):
            bulk.start(operation, actor=person, confirmed=confirmed, options={})
        operation.refresh_from_db()
        assert operation.state == "ready"
    assert advance(operation).state == "ready"
    assert len(live()) == 1_001
    bulk.start(operation, actor=person, confirmed=1_001, options={})
    assert advance(operation).done == 1_001


def test_a_thousand_assets_need_no_number(person):
    make_assets(1_000)
    operation = bulk.freeze_filter("", action="extend", actor=person)
    bulk.start(operation, actor=person, confirmed=None, options={})
    assert operation.state == "running"


def test_an_operation_is_started_once(freeze, begin):
    operation = freeze(make_assets(2))
    same = Operation.objects.get(pk=operation.pk)
    begin(operation)
    with pytest.raises(Refused, match="not waiting to be confirmed"):
        begin(same)


def test_what_makes_no_sense_is_refused_and_changes_nothing(freeze, begin, run, person):
    ready, finished = freeze(make_assets(2)), run(freeze(make_assets(2)))
    cancelled, running = freeze(make_assets(2)), begin(freeze(make_assets(2)))
    bulk.cancel(cancelled)
    before = list(Operation.objects.order_by("pk").values())
    for refused in (
        lambda: begin(finished),
        lambda: begin(cancelled),
        lambda: bulk.cancel(finished),
        lambda: bulk.cancel(cancelled),
        lambda: bulk.retry(finished),  # nothing is left to do
        lambda: bulk.retry(ready),
        lambda: bulk.retry(running),
        lambda: bulk.retry(cancelled),  # it never ran
        lambda: bulk.undo(ready, actor=person),
        lambda: bulk.undo(running, actor=person),
        lambda: bulk.undo(cancelled, actor=person),
    ):
        with pytest.raises(Refused):
            refused()
        assert list(Operation.objects.order_by("pk").values()) == before
    for operation in (ready, cancelled, finished):
        advance(operation)
    assert list(Operation.objects.order_by("pk").values()) == before


def test_an_operation_that_is_gone_is_passed_over():
    bulk.advance(404)


# --- Running -----------------------------------------------------------------------


def test_every_asset_has_its_result_and_reason(make_files, freeze, run, folder):
    good, gone, missing, outside, changed = make_files(5)
    WorkspaceAsset.objects.filter(pk=outside.pk).update(temp_storage_path="../0.png")
    (folder / "workspace" / missing.temp_storage_path).unlink()
    operation = freeze([good, gone, missing, outside, changed], "promote")
    leave(gone)
    LibraryAsset.objects.create(
        id=changed.pk, user=changed.user, storage_path="x", file_size_bytes=1, original_prompt=""
    )
    run(operation)
    assert items_of(operation) == {
        good.pk: ("done", ""),
        gone.pk: ("gone", ""),
        missing.pk: ("failed", "The file is missing from the store"),
        outside.pk: ("failed", "The path leaves the store"),
        changed.pk: ("failed", "The library already has an asset with this id"),
    }
    assert check_sum(operation) == {"done": 1, "gone": 1, "failed": 3, "undone": 0}
    assert operation.finished_at
    assert live() == ids_of([missing, outside, changed])


def test_an_asset_that_the_database_refuses_to_part_with_does_not_stop_the_others(freeze, run):
    refused, *others = make_assets(4)
    operation = freeze([refused, *others])
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE keeps (asset uuid REFERENCES workspace_assets (id) NOT DEFERRABLE)")
        cursor.execute("INSERT INTO keeps VALUES (%s)", [refused.pk])
    run(operation)
    assert check_sum(operation) == {"done": 3, "gone": 0, "failed": 1, "undone": 0}
    assert items_of(operation)[refused.pk][1].startswith("The database refused: update or delete on table")
    assert live() == {refused.pk}


def test_who_did_it_is_in_the_ledger(freeze, run, person):
    operation = run(freeze(make_assets(2)))
    entries = Disposition.objects.values_list("actor", "operation", "action")
    assert list(entries) == [(person.pk, operation.pk, "deleted")] * 2


def test_labels_are_written_on_what_is_saved(make_files, freeze, run):
    collection = uuid4()
    run(freeze(make_files(2), "promote"), title="Foxes", tags=["red", "snow"], collection_id=str(collection))
    labels = LibraryAsset.objects.values_list("custom_title", "tags", "collection_id")
    assert list(labels) == [("Foxes", ["red", "snow"], collection)] * 2


@pytest.fixture
def chunks_of(monkeypatch):
    """Makes chunks small, and notes what each call of the domain is given."""

    def make(size):
        monkeypatch.setattr(bulk, "CHUNK", dict.fromkeys(Verb, size))
        monkeypatch.setattr(bulk, "UNDO_CHUNK", size)
        calls = []
        for name in ("promote", "delete", "extend", "restore", "undo_extensions"):
            plainly = getattr(dispositions, name)

            def note(ids, plainly=plainly, **options):
                calls.append(list(ids))
                return plainly(ids, **options)

            monkeypatch.setattr(dispositions, name, note)
        return calls

    return make


@pytest.mark.parametrize("action", ["promote", "delete", "extend"])
def test_no_more_than_a_chunk_is_held_at_once(make_files, freeze, run, chunks_of, person, action):
    assets = make_files(10, ago=timedelta(days=1))
    operation = freeze(assets, action)
    calls = chunks_of(4)
    run(operation)
    assert [len(call) for call in calls] == [4, 4, 2]
    assert {pk for call in calls for pk in call} == ids_of(assets)
    del calls[:]
    bulk.undo(operation, actor=person)
    assert advance(operation).undone == 10
    assert [len(call) for call in calls] == [4, 4, 2]
    assert live() == ids_of(assets)


@pytest.mark.parametrize("action", ["promote", "delete", "extend"])
def test_the_number_of_statements_grows_with_chunks_only(make_files, freeze, run, begin, chunks_of, action):
    def statements(number, size):
        operation = begin(freeze(make_files(number, ago=timedelta(days=1)), action))
        chunks_of(size)
        with CaptureQueriesContext(connection) as queries:
            advance(operation)
        assert operation.done == number
        return len(queries)

    assert statements(5, size=5) == statements(50, size=50)
    one, two, three = (statements(10 * chunks, size=10) for chunks in (1, 2, 3))
    assert three - two == two - one


def test_freezing_takes_the_same_statements_for_any_number(freeze):
    def statements(number):
        assets = make_assets(number)
        with CaptureQueriesContext(connection) as queries:
            freeze(assets)
        return len(queries)

    assert statements(2) == statements(200)


def test_an_interruption_repeats_nothing(freeze, begin, chunks_of, monkeypatch):
    assets = make_assets(10)
    operation = begin(freeze(assets))
    chunks_of(4)
    plainly, calls = dispositions.delete, []

    def interrupted(ids, **options):
        if calls:
            raise KeyboardInterrupt
        calls.append(ids)
        return plainly(ids, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(dispositions, "delete", interrupted)
        advance(operation)
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("running", 4)
    assert advance(operation).state == "finished"
    assert check_sum(operation)["done"] == 10
    assert Disposition.objects.count() == 10


@pytest.mark.parametrize("action", ["promote", "delete"])
def test_a_worker_that_is_overtaken_by_another_changes_nothing(
    make_files, freeze, begin, chunks_of, monkeypatch, action
):
    """As one whose heart was still for so long that it was taken for dead."""
    operation = begin(freeze(make_files(10), action))
    chunks_of(4)
    plainly, calls = getattr(dispositions, action), []

    def overtaken(ids, **options):
        calls.append(ids)
        if len(calls) == 1:
            advance(operation)
        return plainly(ids, **options)

    monkeypatch.setattr(dispositions, action, overtaken)
    assert advance(operation).state == "finished"
    assert check_sum(operation) == {"done": 10, "gone": 0, "failed": 0, "undone": 0}
    assert Disposition.objects.count() == 10


def test_two_operations_over_the_same_assets_end_in_a_clean_sum(make_files, freeze, begin):
    assets = make_files(6)
    save, delete, again = freeze(assets[:4], "promote"), freeze(assets[2:]), freeze(assets)
    for operation in (save, delete, again):
        begin(operation)
    for operation in (save, delete, again):
        advance(operation)
    assert check_sum(save) == {"done": 4, "gone": 0, "failed": 0, "undone": 0}
    assert check_sum(delete) == {"done": 2, "gone": 2, "failed": 0, "undone": 0}
    assert check_sum(again) == {"done": 0, "gone": 6, "failed": 0, "undone": 0}


@pytest.mark.django_db(transaction=True)
def test_two_operations_at_the_same_time_end_in_a_clean_sum(make_files, freeze, begin, chunks_of, folder):
    assets = make_files(60)
    operations = [begin(freeze(assets, action)) for action in ("promote", "delete", "delete", "promote")]
    chunks_of(7)

    def work(operation):
        bulk.advance(operation.pk)
        connection.close()

    workers = [threading.Thread(target=work, args=[operation]) for operation in operations]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    sums = [check_sum(operation) for operation in operations]
    assert all(each["done"] + each["gone"] == 60 for each in sums)
    assert sum(each["done"] for each in sums) == 60
    assert Disposition.objects.count() == 60
    saved = dict(LibraryAsset.objects.values_list("id", "storage_path"))
    assert len(saved) == sums[0]["done"] + sums[3]["done"]
    for asset in assets:
        if asset.pk in saved:
            assert (folder / "library" / saved[asset.pk]).read_bytes() == content_of(asset)


# --- Cancelling, and running once more ------------------------------------------------


@pytest.fixture
def cancel_after(monkeypatch):
    """Has somebody cancel while the chunk of that number is under way."""

    def arrange(number, operation):
        plainly, calls = bulk._act, []

        def act(*args):
            calls.append(args)
            if len(calls) == number:
                bulk.cancel(Operation.objects.get(pk=operation.pk))
            plainly(*args)

        monkeypatch.setattr(bulk, "_act", act)

    return arrange


def test_a_cancel_lets_the_chunk_end_and_leaves_the_rest(freeze, begin, chunks_of, cancel_after):
    assets = make_assets(10)
    operation = begin(freeze(assets))
    chunks_of(3)
    cancel_after(2, operation)
    advance(operation)
    assert operation.state == "cancelled"
    assert check_sum(operation)["done"] == 6
    assert len(live()) == 4
    assert advance(operation).state == "cancelled"
    assert len(live()) == 4
    bulk.retry(operation)
    assert (operation.state, operation.settled_before) == ("running", 6)
    assert advance(operation).state == "finished"
    assert check_sum(operation)["done"] == 10
    assert live() == set()


def test_a_cancel_of_the_first_verb_leaves_the_second(make_files, begin, chunks_of, cancel_after, person):
    """Nothing is deleted of a job whose saving was cancelled."""
    job = make_job()
    assets = make_files(6, user=job.user, job=job)
    operation = begin(bulk.freeze_job(job.pk, keep=ids_of(assets[:3]), actor=person))
    chunks_of(1)
    cancel_after(2, operation)
    advance(operation)
    assert Counter(Disposition.objects.values_list("action", flat=True)) == {"promoted": 2}


def test_failures_are_run_once_more(make_files, freeze, run, folder):
    good, bad = make_files(2)
    file = folder / "workspace" / bad.temp_storage_path
    content = file.read_bytes()
    file.unlink()
    operation = run(freeze([good, bad], "promote"))
    assert check_sum(operation) == {"done": 1, "gone": 0, "failed": 1, "undone": 0}
    file.write_bytes(content)
    bulk.retry(operation)
    assert (operation.failed, operation.state, operation.finished_at) == (0, "running", None)
    assert items_of(operation)[bad.pk] == ("pending", "")
    advance(operation)
    assert check_sum(operation) == {"done": 2, "gone": 0, "failed": 0, "undone": 0}
    assert LibraryAsset.objects.count() == 2


# --- Undoing ---------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["promote", "delete"])
def test_undo_brings_everything_back_as_it_was(make_files, freeze, run, person, folder, action):
    assets = make_files(5)
    before = list(WorkspaceAsset.objects.order_by("id").values())
    operation = run(freeze(assets, action))
    assert live() == set()
    assert bulk.can_undo(operation)
    bulk.undo(operation, actor=person)
    assert advance(operation).state == "undone"
    assert check_sum(operation) == {"done": 0, "gone": 0, "failed": 0, "undone": 5}
    assert list(WorkspaceAsset.objects.order_by("id").values()) == before
    assert not LibraryAsset.objects.exists()
    assert not bulk.can_undo(operation)
    for asset in assets:
        assert (folder / "workspace" / asset.temp_storage_path).read_bytes() == content_of(asset)
    for refused in (lambda: bulk.undo(operation, actor=person), lambda: bulk.retry(operation)):
        with pytest.raises(Refused):
            refused()


def test_undo_gives_back_the_expiry(freeze, run, person):
    soon, later, never = make_asset(expires_in=timedelta(hours=1)), make_asset(), make_asset()
    WorkspaceAsset.objects.filter(pk=later.pk).update(expires_at=timezone.now() + timedelta(days=30))
    WorkspaceAsset.objects.filter(pk=never.pk).update(expires_at=None)
    before = list(WorkspaceAsset.objects.order_by("id").values())
    operation = run(freeze([soon, later, never], "extend"))
    assert check_sum(operation)["done"] == 3
    assert items_of(operation)[never.pk] == ("done", "It never expires")
    assert items_of(operation)[later.pk] == ("done", "It expires later anyway")
    soon.refresh_from_db()
    assert soon.expires_at > timezone.now() + timedelta(days=6)
    bulk.undo(operation, actor=person)
    advance(operation)
    assert list(WorkspaceAsset.objects.order_by("id").values()) == before
    assert Extension.objects.get().undone_at
    assert check_sum(operation) == {"done": 2, "gone": 0, "failed": 0, "undone": 1}


def test_undo_after_the_grace_is_refused(freeze, run, person):
    operation = run(freeze(make_assets(3)))
    Disposition.objects.update(purge_after=timezone.now())
    assert not bulk.can_undo(operation)
    with pytest.raises(Refused, match="can be undone any more"):
        bulk.undo(operation, actor=person)
    assert advance(operation).state == "finished"
    assert live() == set()


def test_what_cannot_be_undone_stays_done_and_says_why(freeze, run, person):
    job = make_job()
    taken, back, changed = make_assets(3, job.user, job, ago=timedelta(days=1))
    operation = run(freeze([taken, back]))
    make_asset(job.user, job, asset_index=taken.asset_index)
    bulk.undo(operation, actor=person)
    advance(operation)
    assert check_sum(operation) == {"done": 1, "gone": 0, "failed": 0, "undone": 1}
    assert items_of(operation)[taken.pk] == (
        "done",
        "Not undone: An asset with its id, or at its place in the job, is in the workspace already",
    )
    extension = run(freeze([changed], "extend"))
    WorkspaceAsset.objects.filter(pk=changed.pk).update(expires_at=None)
    bulk.undo(extension, actor=person)
    advance(extension)
    reason = "Not undone: The asset has left, or its expiry has changed since"
    assert items_of(extension) == {changed.pk: ("done", reason)}


def test_an_undo_can_be_cancelled_and_taken_up_again(freeze, run, chunks_of, person, monkeypatch):
    operation = run(freeze(make_assets(6)))
    chunks_of(2)
    bulk.undo(operation, actor=person)
    plainly = dispositions.restore

    def cancelled(ids, **options):
        if operation.state == "undoing":
            bulk.cancel(operation)
        return plainly(ids, **options)

    monkeypatch.setattr(dispositions, "restore", cancelled)
    advance(operation)
    assert (operation.state, operation.undone, len(live())) == ("cancelled", 2, 2)
    with pytest.raises(Refused):
        bulk.retry(operation)  # it would delete again what was brought back
    monkeypatch.setattr(dispositions, "restore", plainly)
    bulk.undo(operation, actor=person)
    assert advance(operation).state == "undone"
    assert check_sum(operation)["undone"] == 6


# --- In the background ---------------------------------------------------------------------


@pytest.fixture
def _frozen_in_the_background(monkeypatch):
    monkeypatch.setattr(bulk, "FREEZE_AT_ONCE", 3)


@pytest.mark.usefixtures("_frozen_in_the_background")
def test_a_large_selection_is_frozen_in_the_background(person, run):
    user = make_user("fox")
    assets = make_assets(5, user)
    make_assets(2)
    operation = bulk.freeze_filter("user=fox", action="delete", actor=person)
    assert (operation.state, operation.total) == ("preparing", 0)
    assert not operation.items.exists()
    assert advance(operation).state == "ready"
    assert (operation.total, set(items_of(operation))) == (5, ids_of(assets))
    assert operation.summary["bytes"] == 5_000
    assert advance(operation).state == "ready"
    assert run(operation).done == 5
    assert len(live()) == 2


@pytest.mark.usefixtures("_frozen_in_the_background")
def test_a_selection_that_is_being_prepared_can_be_put_away(person):
    make_assets(5)
    operation = bulk.freeze_filter("", action="delete", actor=person)
    bulk.cancel(operation)
    assert advance(operation).state == "cancelled"
    assert not operation.items.exists()


@pytest.mark.usefixtures("_frozen_in_the_background")
def test_a_filter_that_is_not_understood_any_more_ends_the_preparation_with_its_reason(person):
    user = make_user("fox")
    make_assets(5, user)
    operation = bulk.freeze_filter("user=fox", action="delete", actor=person)
    user.username = "owl"
    user.save()
    advance(operation)
    assert operation.state == "cancelled"
    assert "There is no user named “fox”" in operation.error
    assert not operation.items.exists()
    assert len(live()) == 5


# --- Faults of the stores while saving ---------------------------------------------------------


@pytest.fixture
def draft_fault(monkeypatch):
    """What becomes of a block that is written to the library for an asset."""

    def arrange(asset, fault):
        plainly = tempfile.NamedTemporaryFile

        def make(*args, **options):
            draft = plainly(*args, **options)
            if str(asset.pk) in draft.name:
                write = draft.write
                draft.write = lambda block: fault(write, block)
            return draft

        monkeypatch.setattr(folders.tempfile, "NamedTemporaryFile", make)

    return arrange


def failing_with(number):
    def write(plainly, block):
        raise OSError(number, os.strerror(number))

    return write


WRITE_FAULTS = {
    "disk full": (failing_with(errno.ENOSPC), "The store is full"),
    "over quota": (failing_with(errno.EDQUOT), "The store is full"),
    "error": (failing_with(errno.EIO), "The store cannot change the file"),
    "time-out": (failing_with(errno.ETIMEDOUT), "The store cannot change the file"),
    "not allowed": (failing_with(errno.EACCES), "The store does not allow changing the file"),
    "cut short": (lambda plainly, block: plainly(block[: len(block) // 2]), "The copy differs from the file"),
    "written wrong": (lambda plainly, block: plainly(bytes(block)[::-1]), "The copy differs from the file"),
    "nothing written": (lambda plainly, block: len(block), "The copy differs from the file"),
}


def check_fault(operation, assets, bad, reason, folder):
    """The fault is on its asset, which stays; the others are saved."""
    assert check_sum(operation) == {"done": len(assets) - 1, "gone": 0, "failed": 1, "undone": 0}
    assert items_of(operation)[bad.pk] == ("failed", reason)
    assert live() == {bad.pk}
    assert not LibraryAsset.objects.filter(pk=bad.pk).exists()
    assert (folder / "workspace" / bad.temp_storage_path).read_bytes() == content_of(bad)


def check_mended(operation, assets, folder):
    """A later run, without the fault, saves what is left."""
    bulk.retry(operation)
    advance(operation)
    assert check_sum(operation)["done"] == len(assets)
    saved = dict(LibraryAsset.objects.values_list("id", "storage_path"))
    assert {pk: (folder / "library" / path).read_bytes() for pk, path in saved.items()} == {
        asset.pk: content_of(asset) for asset in assets
    }
    assert len(files_of_library(folder)) == len(assets), "a draft was left behind"


def files_of_library(folder):
    return [path for path in (folder / "library").rglob("*") if path.is_file()]


@folders_only("it writes a draft by itself; refused copies are in test_buckets.py")
@pytest.mark.parametrize("fault", WRITE_FAULTS)
def test_a_copy_that_fails_leaves_its_asset_where_it_is(
    make_files, freeze, run, draft_fault, folder, monkeypatch, fault
):
    (write, reason), plainly = WRITE_FAULTS[fault], tempfile.NamedTemporaryFile
    assets = make_files(4)
    draft_fault(assets[1], write)
    operation = run(freeze(assets, "promote"))
    check_fault(operation, assets, assets[1], reason, folder)
    assert len(files_of_library(folder)) == 3, "a draft was left behind"
    monkeypatch.setattr(folders.tempfile, "NamedTemporaryFile", plainly)
    check_mended(operation, assets, folder)


@pytest.mark.parametrize("cut", [0, 10, None])
def test_a_copy_that_is_not_there_when_the_row_would_move_leaves_its_asset_where_it_is(
    make_files, freeze, run, folder, monkeypatch, cut
):
    """A store that said it has the whole file, and has none or a part of it."""
    assets = make_files(4)
    bad, plainly = assets[2], storage.Store.copy_from

    def copy_from(store, source, path, key):
        copied = plainly(store, source, path, key)
        if str(bad.pk) in key:
            place = folder / "library" / key
            place.unlink() if cut is None else cut_short(place, cut)
        return copied

    with monkeypatch.context() as patch:
        patch.setattr(storage.Store, "copy_from", copy_from)
        operation = run(freeze(assets, "promote"))
    happened = "removed" if cut is None else "changed"
    check_fault(operation, assets, bad, f"The copy was {happened} before the asset was saved", folder)
    check_mended(operation, assets, folder)


class Unreadable:
    """An open file whose bytes do not come."""

    def __init__(self, file, error):
        self.file, self.error = file, error

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()

    def seek(self, place):
        return self.file.seek(place)

    def read(self, size=-1):
        raise self.error

    readinto = read


@folders_only("its files fail by errors of this machine; refused reads are in test_buckets.py")
@pytest.mark.parametrize(
    ("opening", "error", "reason"),
    [  # at the first opening its format is read, at the second its bytes
        (1, OSError(errno.EIO, "Input/output error"), "The store cannot read the file"),
        (2, OSError(errno.EIO, "Input/output error"), "The store cannot change the file"),
        (1, RuntimeError("503 Slow Down"), "The store failed: 503 Slow Down"),
        (2, RuntimeError("503 Slow Down"), "The store failed: 503 Slow Down"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_its_asset_where_it_is(
    make_files, freeze, run, folder, monkeypatch, opening, error, reason
):
    assets = make_files(4)
    bad, plainly, openings = assets[0], FileSystemStorage.open, itertools.count(1)

    def open_badly(self, name, mode="rb"):
        file = plainly(self, name, mode)
        is_bad = name == bad.temp_storage_path and next(openings) == opening
        return Unreadable(file, error) if is_bad else file

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "open", open_badly)
        operation = run(freeze(assets, "promote"))
    check_fault(operation, assets, bad, reason, folder)
    check_mended(operation, assets, folder)


LINKED = pytest.param("link/secret.png", marks=folders_only("it has links"))


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "user/../../secret", LINKED])
def test_a_path_that_leaves_the_store_is_not_copied(make_files, freeze, run, folder, path):
    bad, good = make_files(2)
    (folder / "secret.png").write_bytes(PNG)
    if path.startswith("link"):
        (folder / "workspace" / "link").symlink_to(folder)
    WorkspaceAsset.objects.filter(pk=bad.pk).update(temp_storage_path=path)
    operation = run(freeze([bad, good], "promote"))
    assert items_of(operation)[bad.pk][1].startswith("The path leaves the store")
    assert items_of(operation)[good.pk] == ("done", "")
    assert live() == {bad.pk}
    assert len(files_of_library(folder)) == 1


def test_a_row_that_changes_while_its_file_is_copied_stays(make_files, freeze, run, monkeypatch):
    changed, good = make_files(2)
    plainly = dispositions.copy_to_library

    def copy(ids):
        copies = plainly(ids)
        WorkspaceAsset.objects.filter(pk=changed.pk).update(temp_storage_path=good.temp_storage_path)
        return copies

    monkeypatch.setattr(dispositions, "copy_to_library", copy)
    operation = run(freeze([changed, good], "promote"))
    assert items_of(operation)[changed.pk] == ("failed", "The asset was changed while it was being copied")
    assert live() == {changed.pk}


@pytest.mark.django_db(transaction=True)
def test_no_copy_is_made_inside_an_open_transaction(make_files, freeze, run, monkeypatch):
    plainly, inside = dispositions.copy_to_library, []

    def copy(ids):
        inside.append(connection.in_atomic_block)
        return plainly(ids)

    monkeypatch.setattr(dispositions, "copy_to_library", copy)
    assert run(freeze(make_files(2), "promote")).done == 2
    assert inside == [False]


def test_what_is_to_be_saved_does_not_expire_meanwhile(make_files, freeze, run, monkeypatch):
    assets = make_files(3)
    WorkspaceAsset.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    waiting, running = freeze(assets[:1], "promote"), freeze(assets[1:], "promote")
    plainly = dispositions.copy_to_library

    def copy_while_the_clean_up_runs(ids):
        dispositions.expire()
        return plainly(ids)

    monkeypatch.setattr(dispositions, "copy_to_library", copy_while_the_clean_up_runs)
    running = run(running)
    assert (running.done, running.gone) == (2, 0)
    waiting.refresh_from_db()
    assert waiting.state == "ready"
    assert not WorkspaceAsset.objects.filter(pk=assets[0].pk).exists(), "nobody had confirmed that one"


def test_an_undo_that_comes_too_late_says_so_of_each_asset(make_files, freeze, run, person):
    operation = run(freeze(make_files(3), "delete"))
    bulk.undo(operation, actor=person)
    Disposition.objects.update(
        purge_after=timezone.now() - timedelta(seconds=1)
    )  # before the worker came to it
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.done, operation.undone) == ("undone", 3, 0)
    reasons = set(operation.items.values_list("state", "reason"))
    assert reasons == {("done", "Not undone: The time for bringing it back has passed")}


@pytest.mark.django_db(transaction=True)
def test_a_selection_can_be_put_away_while_it_is_prepared(person, monkeypatch):
    make_assets(5)
    monkeypatch.setattr(bulk, "FREEZE_AT_ONCE", 2)
    operation = bulk.freeze_filter("", action="delete", actor=person)
    plainly = bulk._summary

    def summarize(rows):
        at_once = ThreadPoolExecutor(1)
        at_once.submit(cancel_elsewhere).result(timeout=20)  # not kept waiting by the one that prepares
        return plainly(rows)

    def cancel_elsewhere():
        try:
            bulk.cancel(Operation.objects.get(pk=operation.pk))
        finally:
            connection.close()

    monkeypatch.setattr(bulk, "_summary", summarize)
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.total, operation.items.count()) == ("cancelled", 0, 0)


def test_an_asset_whose_id_is_all_zeros_is_as_others(freeze, run, person):
    asset = make_asset(id=UUID(int=0))
    operation = run(freeze([asset], "delete"))
    assert (operation.state, operation.done) == ("finished", 1)
    bulk.undo(operation, actor=person)
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.undone) == ("undone", 1)
