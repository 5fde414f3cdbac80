"""Files of assets that have left: removed when their time has come, and never while anybody means them."""

import errno
import json
import threading
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models import JSONField, Value
from django.utils import timezone

from assets import dispositions, storage
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.previews import preview_name
from assets.purge import purge
from tests import stores
from tests.factories import make_asset, make_assets
from tests.stores import folders_only

pytestmark = pytest.mark.django_db

SIGNED = "https://storage.example/storage/v1/object/sign"
PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def folder(store_folders):
    """The folder that has the stores of one test."""
    return store_folders


@pytest.fixture
def person(db):
    return User.objects.create_user("person")


@pytest.fixture
def place(folder):
    """Puts a file into a store."""

    def put(key, content=PNG, store="workspace"):
        path = folder / store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return put


@pytest.fixture
def leave(person):
    """Deletes assets, and lets their time be over."""

    def delete(*assets):
        dispositions.delete([asset.pk for asset in assets], actor=person)
        fall_due()

    return delete


@pytest.fixture
def save(person):
    def promote(*assets):
        outcomes = dispositions.promote([asset.pk for asset in assets], actor=person)
        assert {outcome.state for outcome in outcomes.values()} == {"done"}

    return promote


def fall_due():
    past = timezone.now() - timedelta(seconds=1)
    Disposition.objects.filter(purged_at=None).update(purge_after=past, retry_at=None)


def entry_of(asset):
    return Disposition.objects.filter(asset_id=asset.pk).latest("id")


def states(asset):
    return {file["path"]: file["state"] for file in entry_of(asset).files}


# --- When ----------------------------------------------------------------------


def test_files_stay_for_the_grace_and_go_after_it(place, person, settings):
    settings.PURGE_GRACE_HOURS = 24
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    dispositions.delete([asset.pk], actor=person)
    entry = entry_of(asset)
    assert entry.purge_after - entry.disposed_at == timedelta(hours=24)
    assert purge() == (0, 0)
    assert file.exists()
    Disposition.objects.update(purge_after=timezone.now() - timedelta(seconds=1))
    assert purge() == (1, 0)
    assert not file.exists()
    assert entry_of(asset).purged_at
    assert states(asset) == {"user/0.png": "removed", "user/0.thumb.webp": "missing"}


def test_purging_again_changes_nothing(place, leave):
    asset = make_asset(temp_storage_path="user/0.png")
    place("user/0.png")
    leave(asset)
    assert purge() == (1, 0)
    before = Disposition.objects.values().get()
    put_again = place("user/0.png")
    assert purge() == (0, 0)
    assert Disposition.objects.values().get() == before
    assert put_again.exists()


def test_departures_by_other_programs_get_their_time_from_the_grace(place, settings):
    settings.PURGE_GRACE_HOURS = 48
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM workspace_assets WHERE id = %s", [asset.pk])
    assert entry_of(asset).action == "external"
    assert entry_of(asset).purge_after is None
    assert purge() == (0, 0)
    entry = entry_of(asset)
    assert entry.purge_after - entry.disposed_at == timedelta(hours=48)
    Disposition.objects.update(disposed_at=timezone.now() - timedelta(hours=49), purge_after=None)
    assert purge() == (1, 0)
    assert not file.exists()


def test_what_was_brought_back_keeps_its_files(place, leave, person):
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    dispositions.delete([asset.pk], actor=person)
    dispositions.restore([entry_of(asset).pk], actor=person)
    fall_due()
    assert purge() == (0, 0)
    assert file.exists()


def test_the_library_s_files_go_after_a_return_from_it(folder, place, save, person):
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    save(asset)
    copy = folder / "library" / LibraryAsset.objects.get().storage_path
    dispositions.restore([entry_of(asset).pk], actor=person)
    assert purge() == (0, 0)
    assert copy.exists()
    fall_due()
    assert purge() == (1, 0)
    assert not copy.exists()
    assert file.exists()


def test_the_library_s_files_stay_when_it_is_saved_again(folder, place, save, person):
    asset = make_asset(temp_storage_path="user/0.png")
    place("user/0.png")
    save(asset)
    first = entry_of(asset)
    dispositions.restore([first.pk], actor=person)
    save(asset)
    Disposition.objects.filter(pk=first.pk).update(purge_after=timezone.now())
    assert purge() == (1, 0)
    assert (folder / "library" / LibraryAsset.objects.get().storage_path).read_bytes() == PNG


# --- Which files -----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "user/a b.png",
        "workspace-temp/user/a b.png",
        f"{SIGNED}/workspace-temp/user/a b.png?token=abc",
        f"{SIGNED}/workspace-temp/user/a%20b.png?token=abc",
        "HTTP://host:9000/workspace-temp/user/a b.png#top",
    ],
)
def test_a_file_goes_however_its_path_is_written(place, leave, path):
    asset = make_asset(temp_storage_path=path)
    file, thumbnail, other = place("user/a b.png"), place("user/a b.thumb.webp"), place("user/a.png")
    leave(asset)
    assert purge() == (1, 0)
    assert (file.exists(), thumbnail.exists(), other.exists()) == (False, False, True)


def test_the_thumbnail_that_the_row_names_goes_and_the_one_beside_too(place, leave):
    asset = make_asset(temp_storage_path="user/0.mp4", thumbnail_path="workspace-temp/user/cover.jpg")
    files = [place("user/0.mp4"), place("user/0.thumb.webp"), place("user/cover.jpg")]
    leave(asset)
    assert purge() == (1, 0)
    assert not any(file.exists() for file in files)


def test_a_missing_file_counts_as_removed(folder, leave):
    asset = make_asset(temp_storage_path="user/0.png")
    leave(asset)
    assert purge() == (1, 0)
    assert entry_of(asset).files[0] == {
        "store": "workspace",
        "path": "user/0.png",
        "state": "missing",
        "reason": "The file is missing from the store",
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        " ",
        "../secret.png",
        "user//0.png",
        "/etc/passwd",
        "https://elsewhere.example/0.png",
        "user-library/0.png",
    ],
)
def test_a_path_that_names_no_place_is_settled_as_outside(place, folder, leave, path):
    secret = folder / "secret.png"
    secret.write_bytes(b"not ours")
    copy = place("0.png", store="library")
    asset = make_asset(temp_storage_path=path)
    leave(asset)
    assert purge() == (1, 0)
    assert states(asset) == {path: "outside"}
    assert entry_of(asset).files[0]["reason"]
    assert secret.exists()
    assert copy.exists()


@folders_only("it has links")
def test_a_link_out_of_the_store_is_not_followed(place, folder, leave):
    secret = folder / "secret.png"
    secret.write_bytes(b"not ours")
    place("user/1.png").with_name("0.png").symlink_to(secret)
    asset = make_asset(temp_storage_path="user/0.png")
    leave(asset)
    assert purge() == (1, 0)
    assert states(asset)["user/0.png"] == "outside"
    assert secret.exists()


SPELLINGS = ["user/0.png", "workspace-temp/user/0.png", f"{SIGNED}/workspace-temp/user/0%2Epng?token=abc"]


@pytest.mark.parametrize("one", SPELLINGS)
@pytest.mark.parametrize("other", SPELLINGS)
def test_a_file_stays_as_long_as_another_row_names_it(place, leave, one, other):
    first, last = make_asset(temp_storage_path=one), make_asset(temp_storage_path=other)
    file = place("user/0.png")
    leave(first)
    assert purge() == (1, 0)
    assert file.exists()
    assert states(first)[one] == "kept"
    leave(last)
    assert purge() == (1, 0)
    assert not file.exists()
    assert states(last)[other] == "removed"


def test_a_file_stays_as_long_as_another_row_has_it_for_a_thumbnail(place, leave):
    first = make_asset(temp_storage_path="user/0.png")
    make_asset(temp_storage_path="user/0.mp4", thumbnail_path="workspace-temp/user/0.png")
    file = place("user/0.png")
    leave(first)
    assert purge() == (1, 0)
    assert file.exists()


def test_a_file_stays_as_long_as_it_may_come_back_with_another_entry(place, leave, person):
    first, held = make_asset(temp_storage_path="user/0.png"), make_asset(temp_storage_path="user/0.png")
    file = place("user/0.png")
    leave(first)
    dispositions.delete([held.pk], actor=person)
    assert purge() == (1, 0)
    assert file.exists()
    fall_due()
    assert purge() == (1, 0)
    assert not file.exists()


@pytest.mark.parametrize("batch", [1, 2, 200])
def test_a_file_that_several_due_entries_name_goes_with_the_last(place, leave, batch):
    assets = make_assets(3, temp_storage_path="user/0.png")
    file = place("user/0.png")
    leave(*assets)
    assert purge(batch=batch) == (3, 0)
    assert not file.exists()
    told = [states(asset)["user/0.png"] for asset in assets]
    assert "removed" in told
    assert set(told) <= {"kept", "removed"}


# --- Saved assets ------------------------------------------------------------------


def test_the_original_of_a_saved_asset_goes_once_the_library_has_it(place, folder, save):
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    save(asset)
    fall_due()
    assert purge() == (1, 0)
    assert not file.exists()
    assert (folder / "library" / LibraryAsset.objects.get().storage_path).read_bytes() == PNG


@pytest.mark.parametrize("spoil", [b"", PNG[:-1], PNG[:-1] + b"?"], ids=["empty", "cut short", "other bytes"])
@pytest.mark.parametrize("which", ["file", "thumbnail"])
def test_the_original_of_a_saved_asset_stays_while_the_library_s_copy_is_not_whole(
    place, folder, save, spoil, which
):
    """As a power cut may leave it, before the disk had what the database said."""
    asset = make_asset(temp_storage_path="user/0.png")
    place("user/0.png")
    place("user/0.thumb.webp")
    save(asset)
    entry = entry_of(asset)
    copy = folder / "library" / entry.saved[which]["key"]
    whole = copy.read_bytes()
    copy.write_bytes(spoil)
    fall_due()
    assert purge() == (0, 1)
    entry.refresh_from_db()
    assert "not what was saved" in entry.last_error
    assert (folder / "workspace/user/0.png").exists()
    copy.write_bytes(whole)
    fall_due()
    assert purge() == (1, 0)
    assert not (folder / "workspace/user/0.png").exists()


@pytest.mark.parametrize("thumbnail", [None, "user/cover.jpg", "https://elsewhere.example/cover.jpg"])
def test_the_original_of_a_saved_asset_stays_while_the_library_s_copy_is_missing(
    place, folder, save, leave, thumbnail
):
    asset = make_asset(temp_storage_path="user/0.png", thumbnail_path=thumbnail)
    other, others_file = make_asset(temp_storage_path="user/1.png"), place("user/1.png")
    file = place("user/0.png")
    save(asset)
    copy = folder / "library" / LibraryAsset.objects.get().storage_path
    copy.unlink()
    leave(other)
    assert purge() == (1, 1)
    assert file.exists()
    assert not others_file.exists()
    entry = entry_of(asset)
    assert "of the library's copy this is said: The file is missing from the store" in entry.last_error
    assert entry.attempts == 1
    copy.write_bytes(file.read_bytes())
    fall_due()
    assert purge() == (1, 0)
    assert not file.exists()


def test_a_file_that_stays_for_its_saved_asset_stays_for_other_entries(place, folder, save, leave):
    asset, twin = make_assets(2, temp_storage_path="user/0.png")
    file = place("user/0.png")
    save(asset)
    (folder / "library" / LibraryAsset.objects.get().storage_path).unlink()
    leave(twin)
    assert purge() == (1, 1)
    assert file.exists()
    assert states(twin)["user/0.png"] == "kept"


# --- Poison ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        Value(None, JSONField()),
        [],
        "text",
        5,
        {},
        {"temp_storage_path": "user/0.png"},
        {"temp_storage_path": 5, "thumbnail_path": None},
        {"temp_storage_path": None, "thumbnail_path": ["user/0.png"]},
        {"temp_storage_path": {"a": 1}, "thumbnail_path": None},
    ],
    ids=repr,
)
def test_an_entry_that_is_not_understood_holds_nobody_up_and_is_tried_again_later(place, leave, row):
    good = make_assets(3)
    files = []
    for number, asset in enumerate(good):
        WorkspaceAsset.objects.filter(pk=asset.pk).update(temp_storage_path=f"good/{number}.png")
        files.append(place(f"good/{number}.png"))
    poison = Disposition.objects.create(asset_id=uuid4(), action="deleted", row=row)
    leave(*good)
    assert purge(batch=1) == (3, 1)
    assert not any(file.exists() for file in files)
    waits = []
    for attempt in range(1, 4):
        poison.refresh_from_db()
        assert (poison.attempts, poison.purged_at) == (attempt, None)
        assert poison.last_error.startswith("The entry is not understood: ")
        waits.append(poison.retry_at - timezone.now())
        assert purge() == (0, 0)
        Disposition.objects.filter(pk=poison.pk).update(retry_at=timezone.now())
        assert purge() == (0, 1)
    assert timedelta(0) < waits[0] < waits[1] < waits[2]


@pytest.mark.parametrize("saved", [None, {}, [], {"file": {"key": 5}, "thumbnail": None}], ids=repr)
def test_a_returned_entry_without_its_files_holds_nobody_up(place, leave, saved):
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    Disposition.objects.create(
        asset_id=uuid4(), action="promoted", row={}, saved=saved, restored_at=timezone.now()
    )
    leave(asset)
    assert purge() == (1, 1)
    assert not file.exists()


def test_waiting_for_the_next_try_has_an_end(folder):
    poison = Disposition.objects.create(
        asset_id=uuid4(), action="deleted", row=[], attempts=2_000, purge_after=timezone.now()
    )
    assert purge() == (0, 1)
    poison.refresh_from_db()
    assert timedelta(hours=5) < poison.retry_at - timezone.now() <= timedelta(hours=6)


# --- Faults of the store -------------------------------------------------------------


def raising(error):
    def remove(plainly, name):
        raise error

    return remove


def removed_and_then(error):
    def remove(plainly, name):
        plainly(name)
        raise error

    return remove


def removing_nothing(plainly, name):
    pass


OF_FOLDERS = {
    "error": (raising(OSError(errno.EIO, "I/O")), "The store cannot change the file"),
    "not allowed": (raising(PermissionError()), "The store does not allow changing the file"),
    "of the store's own": (raising(RuntimeError("503 Slow Down")), "The store failed: 503 Slow Down"),
    "time-out after success": (removed_and_then(TimeoutError()), "The store cannot change the file"),
    "own error after success": (removed_and_then(RuntimeError("reset")), "The store failed: reset"),
    "nothing done": (
        removing_nothing,
        "The store said that the file is removed, but it is still there",
    ),
}
OF_BUCKETS = {
    "error": (("InternalError",), "The store cannot change the file (InternalError)"),
    "not allowed": (("AccessDenied",), "The store does not allow changing the file"),
    "error after success": (("InternalError", True), "The store cannot change the file (InternalError)"),
    "nothing said": ((), "The store did not say what became of the file"),
}
FAULTS = OF_BUCKETS if stores.ON_S3 else OF_FOLDERS
NOT_ALLOWED = FAULTS["not allowed"][0]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("batch", [1, 200])
def test_a_fault_of_the_store_is_kept_on_its_entry_and_mended_by_a_later_try(
    place, leave, fail_removing, fault, batch
):
    remove, reason = FAULTS[fault]
    bad, *good = make_assets(3)
    files = {}
    for asset, name in zip([bad, *good], ["bad", "good", "fine"], strict=True):
        WorkspaceAsset.objects.filter(pk=asset.pk).update(temp_storage_path=f"user/{name}.png")
        files[asset.pk] = place(f"user/{name}.png")
    leave(bad, *good)
    fail_removing("bad", remove)
    assert purge(batch=batch) == (2, 1)
    assert not any(files[asset.pk].exists() for asset in good)
    entry = entry_of(bad)
    assert (entry.purged_at, entry.attempts, entry.last_error) == (None, 1, reason)
    assert (entry.files[0]["state"], entry.files[0]["reason"]) == ("failed", reason)
    assert entry.retry_at > timezone.now() + timedelta(minutes=1)
    assert list(Disposition.objects.failing()) == [entry]
    fail_removing("bad", None)
    fall_due()
    assert purge() == (1, 0)
    assert not files[bad.pk].exists()
    entry = entry_of(bad)
    assert entry.purged_at
    assert (entry.last_error, entry.retry_at) == ("", None)
    assert not Disposition.objects.failing().exists()


def test_what_an_earlier_try_removed_is_still_said_to_be_removed(place, leave, fail_removing):
    asset = make_asset(temp_storage_path="user/0.png", thumbnail_path="user/bad.jpg")
    place("user/0.png")
    place("user/bad.jpg")
    leave(asset)
    fail_removing("bad", NOT_ALLOWED)
    assert purge() == (0, 1)
    assert states(asset) == {
        "user/0.png": "removed",
        "user/bad.jpg": "failed",
        "user/0.thumb.webp": "missing",
    }
    fail_removing("bad", None)
    fall_due()
    assert purge() == (1, 0)
    assert states(asset) == {
        "user/0.png": "removed",
        "user/bad.jpg": "removed",
        "user/0.thumb.webp": "missing",
    }


@folders_only("what would be a folder of a bucket is nothing")
def test_a_folder_in_the_file_s_place_is_a_fault(place, leave):
    asset = make_asset(temp_storage_path="user/0.png")
    place("user/0.png/inside.png")
    leave(asset)
    assert purge() == (0, 1)
    assert entry_of(asset).last_error == "The path names a folder"


# --- Previews ------------------------------------------------------------------------


def test_the_preview_goes_with_the_file(place, leave):
    asset = make_asset(temp_storage_path="user/0.png")
    place("user/0.png")
    preview = place(preview_name("workspace", asset.pk), store="previews")
    leave(asset)
    assert preview.exists()
    purge()
    assert not preview.exists()


def test_a_preview_that_cannot_go_holds_nobody_up(place, leave):
    asset, other = make_assets(2)
    place(f"{preview_name('workspace', asset.pk)}/in a folder", store="previews")
    leave(asset, other)
    assert purge() == (2, 0)


# --- Several at once -------------------------------------------------------------------


@pytest.fixture
def together():
    """Runs functions at the same time, each on a connection of its own."""

    def run(*functions):
        begin, results, faults = threading.Barrier(len(functions), timeout=60), {}, []

        def call(number, function):
            try:
                begin.wait()
                results[number] = function()
            except BaseException as error:
                faults.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=call, args=each) for each in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        assert not faults
        return [results[number] for number in range(len(functions))]

    return run


def make_assets_with_files(number, place):
    assets = make_assets(number)
    for position, asset in enumerate(assets):
        asset.temp_storage_path = f"user/{position}.png"
    WorkspaceAsset.objects.bulk_update(assets, ["temp_storage_path"])
    return {asset.pk: place(asset.temp_storage_path) for asset in assets}, assets


@pytest.mark.django_db(transaction=True)
def test_two_that_purge_at_once_share_the_work(place, leave, together):
    files, assets = make_assets_with_files(60, place)
    leave(*assets)
    results = together(*[lambda: purge(batch=3)] * 3)
    assert sum(done for done, _ in results) == 60
    assert not any(failed for _, failed in results)
    assert not any(file.exists() for file in files.values())
    assert not any("missing" in states(asset)[asset.temp_storage_path] for asset in assets)


@pytest.mark.django_db(transaction=True)
def test_a_return_and_a_purge_at_once_never_leave_a_row_without_its_file(place, person, together):
    files, _ = make_assets_with_files(60, place)
    dispositions.delete(list(files), actor=person)
    due = Disposition.objects.all()
    now = timezone.now()
    for number, entry in enumerate(due):
        entry.purge_after = now + timedelta(milliseconds=300 + 5 * number)
    Disposition.objects.bulk_update(due, ["purge_after"])
    entries = list(Disposition.objects.values_list("id", flat=True).order_by("purge_after"))

    def bring_back():
        outcomes = {}
        while timezone.now() < now + timedelta(milliseconds=290):
            pass
        for pk in entries:
            outcomes |= dispositions.restore([pk], actor=person)
        return outcomes

    def purge_all():
        while timezone.now() < now + timedelta(milliseconds=700):
            purge(batch=2)

    outcomes = together(bring_back, purge_all)[0]
    purge()  # of what was late for both
    back = {pk for pk, outcome in outcomes.items() if outcome.state == "done"}
    assert set(WorkspaceAsset.objects.values_list("id", flat=True)) == back
    assert {pk for pk, file in files.items() if file.exists()} == back
    reasons = {outcome.reason for pk, outcome in outcomes.items() if pk not in back}
    assert reasons <= {"Its files have been removed", "The time for bringing it back has passed"}


@pytest.mark.django_db(transaction=True)
def test_a_return_waits_for_a_purge_under_way_and_is_refused(place, leave, person, monkeypatch):
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    leave(asset)
    entry = entry_of(asset)
    outcomes, plainly = {}, storage.Store.remove

    def bring_back():
        outcomes.update(dispositions.restore([entry.pk], actor=person))
        connection.close()

    restoring = threading.Thread(target=bring_back)

    def remove(store, keys):
        results = plainly(store, keys)
        if not restoring.ident:
            restoring.start()
            restoring.join(timeout=0.5)
            assert restoring.is_alive(), "it came back while its file was being removed"
        return results

    monkeypatch.setattr(storage.Store, "remove", remove)
    assert purge() == (1, 0)
    restoring.join(timeout=10)
    assert outcomes == {asset.pk: ("failed", "Its files have been removed")}
    assert not file.exists()
    assert not WorkspaceAsset.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_save_waits_for_a_purge_of_its_place_in_the_library(place, save, person, monkeypatch):
    asset, file = make_asset(temp_storage_path="user/0.png"), place("user/0.png")
    save(asset)
    dispositions.restore([entry_of(asset).pk], actor=person)
    fall_due()
    outcomes, plainly = {}, storage.Store.remove

    def save_again():
        outcomes.update(dispositions.promote([asset.pk], actor=person))
        connection.close()

    saving = threading.Thread(target=save_again)

    def remove(store, keys):
        if store == storage.LIBRARY and not saving.ident:
            saving.start()
            saving.join(timeout=0.5)
            assert saving.is_alive(), "it was saved to where a file is being removed"
        return plainly(store, keys)

    monkeypatch.setattr(storage.Store, "remove", remove)
    assert purge() == (1, 0)
    saving.join(timeout=10)
    assert outcomes == {asset.pk: ("failed", "The copy was removed before the asset was saved")}
    assert file.exists()
    assert list(WorkspaceAsset.objects.values_list("id", flat=True)) == [asset.pk]
    assert not LibraryAsset.objects.exists()
    save(asset)


# --- The command -------------------------------------------------------------------


def run_command(*options):
    out = StringIO()
    try:
        call_command("purge_files", "--json", *options, stdout=out)
    except SystemExit as end:
        return end.code, json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def test_the_command_only_says_what_it_would_do(place, leave, person):
    due, waiting = make_asset(temp_storage_path="user/0.png"), make_asset()
    file = place("user/0.png")
    leave(due)
    dispositions.delete([waiting.pk], actor=person)
    assert run_command() == (0, {"due": 1, "waiting": 1})
    assert file.exists()
    assert run_command("--yes") == (0, {"done": 1, "failed": 0})
    assert not file.exists()


def test_the_command_counts_departures_by_others_and_writes_nothing():
    for ago in (timedelta(hours=30), timedelta(hours=25), timedelta(hours=23)):
        asset = make_asset()
        WorkspaceAsset.objects.filter(pk=asset.pk).delete()
        left_at = timezone.now() - ago
        Disposition.objects.filter(asset_id=asset.pk).update(disposed_at=left_at)
    before = list(Disposition.objects.order_by("id").values())
    assert run_command() == (0, {"due": 2, "waiting": 1})
    assert list(Disposition.objects.order_by("id").values()) == before
    assert {entry["purge_after"] for entry in before} == {None}


def test_the_command_ends_with_an_error_when_a_file_could_not_be_removed(place, leave, fail_removing):
    asset = make_asset(temp_storage_path="user/bad.png")
    place("user/bad.png")
    leave(asset)
    fail_removing("bad", NOT_ALLOWED)
    assert run_command("--yes") == (1, {"done": 0, "failed": 1})
