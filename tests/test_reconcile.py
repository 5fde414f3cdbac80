"""Stores compared with rows and ledger, both ways; and orphans removed, with care."""

import json
import os
import time
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from assets import dispositions
from assets import reconcile as reconciling
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.purge import purge
from assets.reconcile import RefusedError, reconcile
from tests import s3, stores
from tests.factories import make_asset, make_assets, make_user
from tests.stores import folders_only, set_time

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n and so on"
TWO_DAYS = 2 * 24 * 3600


@pytest.fixture(autouse=True)
def folder(store_folders):
    """The folder that has the stores of one test."""
    return store_folders


@pytest.fixture
def place(folder):
    """Puts a file into a store; by default one that is older than a day."""

    def put(key, store="workspace", age=TWO_DAYS, content=PNG):
        path = folder / store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        set_time(path, time.time() - age)
        return path

    return put


@pytest.fixture(autouse=True)
def an_asset_that_was_once_here(db):
    """Without any, the database is taken for the wrong one."""
    return Disposition.objects.create(asset_id=uuid4(), action="deleted", row={}, purged_at=timezone.now())


def test_nothing_is_removed_for_a_database_that_has_never_had_an_asset(place, an_asset_that_was_once_here):
    an_asset_that_was_once_here.delete()
    orphan = place("user/orphan.png")
    assert report(remove=False).orphans == 1
    with pytest.raises(RefusedError, match="never had an asset"):
        report(remove=True)
    assert orphan.exists()


@pytest.fixture
def person(db):
    return User.objects.create_user("person")


def make_saved(path, **values):
    user = make_user()
    defaults = {"id": uuid4(), "asset_type": "image", "file_size_bytes": 1, "mime_type": "image/png"}
    return LibraryAsset.objects.create(**defaults, user=user, storage_path=path, **values)


def report(**options):
    # A test is one transaction, at whose end the tables would have gone.
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS found_files, found_names")
    return reconcile(**({"remove": False, "limit": 1_000} | options))


def orphans(found):
    return [(orphan.store, orphan.key) for orphan in found.some_orphans]


# --- What is found -----------------------------------------------------------------


def test_stores_and_rows_that_agree_are_clean(place):
    make_asset(temp_storage_path="workspace-temp/user/0.png", thumbnail_path="user/cover.jpg")
    make_saved("user/1.png", thumbnail_path="user/1.thumb.webp")
    for key in ("user/0.png", "user/cover.jpg"):
        place(key)
    for key in ("user/1.png", "user/1.thumb.webp"):
        place(key, "library")
    found = report()
    assert found.is_clean
    assert found.files == {"workspace": 2, "library": 2}
    assert found.names == {"workspace": 2, "library": 2}


def test_orphans_of_both_stores_are_told_of_and_left_alone(place):
    make_asset(temp_storage_path="user/0.png")
    files = [place("user/0.png"), place("user/orphan.png", content=b"12345"), place("user/young.png", age=60)]
    files.append(place("user/0.png", "library"))  # of the same key, but another store
    found = report()
    assert orphans(found) == [
        ("library", "user/0.png"),
        ("workspace", "user/orphan.png"),
        ("workspace", "user/young.png"),
    ]
    assert (found.orphans, found.removable, found.removed) == (3, 2, 0)
    assert found.orphan_bytes == 2 * len(PNG) + 5
    assert not found.is_clean
    assert all(file.exists() for file in files)


def test_missing_files_of_both_stores_are_told_of(place):
    asset = make_asset(temp_storage_path="user/0.png", thumbnail_path="user/cover.jpg")
    saved = make_saved("user/1.png")
    place("user/0.png")
    found = report()
    assert found.missing == 2
    assert [tuple(missing) for missing in found.some_missing] == [
        ("library", str(saved.id), "user/1.png", "The file is missing from the store"),
        ("workspace", str(asset.id), "user/cover.jpg", "The file is missing from the store"),
    ]
    assert not found.is_clean


@pytest.mark.parametrize("path", ["", "../0.png", "https://elsewhere.example/0.png", "user//0.png"])
def test_paths_that_name_no_place_are_told_of(path):
    asset = make_asset(temp_storage_path=path)
    saved = make_saved(path)
    found = report()
    assert (found.unreadable, found.missing, found.orphans) == (2, 0, 0)
    assert {(each.asset_id, each.path) for each in found.some_missing} == {
        (str(asset.id), path),
        (str(saved.id), path),
    }
    assert not found.is_clean


def test_a_thumbnail_beside_is_named_and_need_not_be_there(place):
    make_assets(2, temp_storage_path="user/0.png")
    make_saved("user/1.png")
    place("user/0.png")
    place("user/0.thumb.webp")
    place("user/1.png", "library")
    assert report().is_clean


def test_files_of_entries_that_can_come_back_are_named_until_they_are_removed(place, person):
    asset = make_asset(temp_storage_path="user/0.png", thumbnail_path="user/cover.jpg")
    for key in ("user/0.png", "user/cover.jpg", "user/0.thumb.webp"):
        place(key)
    dispositions.delete([asset.pk], actor=person)
    assert report().is_clean
    Disposition.objects.update(purge_after=timezone.now())
    assert report().is_clean
    assert purge() == (1, 0)
    assert report().is_clean
    place("user/0.png")
    assert orphans(report()) == [("workspace", "user/0.png")]


def test_files_of_the_library_are_named_until_a_return_from_it_removes_them(place, person):
    asset = make_asset(temp_storage_path="user/0.png")
    place("user/0.png")
    place("user/0.thumb.webp")
    dispositions.promote([asset.pk], actor=person)
    assert report().is_clean
    dispositions.restore([Disposition.objects.latest("id").pk], actor=person)
    assert report().is_clean
    Disposition.objects.update(purge_after=timezone.now())
    purge()
    assert report().is_clean


@pytest.mark.parametrize(
    ("action", "row", "saved", "restored_at"),
    [
        ("deleted", [], None, None),
        ("deleted", "text", None, None),
        ("deleted", {}, None, None),
        ("deleted", {"temp_storage_path": 5, "thumbnail_path": ["x"]}, None, None),
        ("promoted", {}, None, timezone.now()),
        ("promoted", {}, {"file": None}, timezone.now()),
        ("promoted", {}, {"file": {"key": 5}, "thumbnail": None}, timezone.now()),
    ],
)
def test_an_entry_that_is_not_understood_stops_no_report(place, action, row, saved, restored_at):
    values = {"action": action, "row": row, "saved": saved, "restored_at": restored_at}
    Disposition.objects.create(asset_id=uuid4(), **values)
    place("user/orphan.png")
    assert orphans(report()) == [("workspace", "user/orphan.png")]


def test_a_file_that_comes_while_the_report_is_made_is_not_missing(place, monkeypatch):
    make_asset(temp_storage_path="user/0.png")
    plainly = reconciling._compare

    def compare(report):
        place("user/0.png", age=0)
        plainly(report)

    monkeypatch.setattr(reconciling, "_compare", compare)
    assert report().is_clean


def test_a_draft_that_a_killed_copy_left_is_an_orphan(place):
    place("user/.0.png.abc123.part", "library", age=0)
    assert orphans(report()) == [("library", "user/.0.png.abc123.part")]


# --- Removing --------------------------------------------------------------------


def test_orphans_that_are_a_day_old_are_removed_and_nothing_else(place):
    make_asset(temp_storage_path="user/0.png")
    kept = [place("user/0.png"), place("user/0.thumb.webp"), place("user/young.png", age=23 * 3600)]
    gone = [place("user/old.png", age=25 * 3600), place("user/old.png", "library")]
    found = report(remove=True)
    assert (found.orphans, found.removed, found.failed) == (3, 2, 0)
    assert all(file.exists() for file in kept)
    assert not any(file.exists() for file in gone)
    assert not found.is_clean  # the young one
    assert report(remove=True).removed == 0


@pytest.mark.parametrize("limit", [0, 3, 5])
def test_no_more_orphans_are_removed_than_the_limit(place, limit, monkeypatch):
    monkeypatch.setattr(reconciling, "BATCH", 2)
    files = [place(f"user/{number}.png", store) for number in range(3) for store in ("workspace", "library")]
    found = report(remove=True, limit=limit)
    assert found.removed == limit
    assert sum(file.exists() for file in files) == 6 - limit


@pytest.mark.parametrize("store", ["workspace", "library"])
def test_nothing_is_removed_when_a_store_looks_unmounted(place, store):
    make_asset(temp_storage_path="user/0.png")
    make_saved("user/0.png")
    orphan = place("user/orphan.png", {"workspace": "library", "library": "workspace"}[store])
    with pytest.raises(RefusedError, match=f"the {store} lists as empty though rows name files in it"):
        report(remove=True)
    assert orphan.exists()


@pytest.mark.parametrize(
    "path",
    [
        "user/orphan.png",
        "workspace-temp/user/orphan.png",
        "https://store.example/workspace-temp/user/orphan.png?token=abc",
        "https://store.example/workspace-temp/user/orph%61n.png?token=abc",
    ],
)
@pytest.mark.parametrize("column", ["temp_storage_path", "thumbnail_path"])
def test_an_orphan_that_a_row_comes_to_name_meanwhile_stays(place, monkeypatch, path, column):
    file, other = place("user/orphan.png"), place("user/other.png")
    plainly = reconciling.remove_files_alone

    def lock():
        make_asset(**{"temp_storage_path": "user/0.png", column: path})
        plainly()

    monkeypatch.setattr(reconciling, "remove_files_alone", lock)
    assert report(remove=True).removed == 1
    assert file.exists()
    assert not other.exists()


def test_an_orphan_that_an_entry_comes_to_name_meanwhile_stays(place, person, monkeypatch):
    file = place("user/orphan.png")
    plainly = reconciling.remove_files_alone

    def lock():
        asset = make_asset(temp_storage_path="workspace-temp/user/orphan.png")
        dispositions.delete([asset.pk], actor=person)
        plainly()

    monkeypatch.setattr(reconciling, "remove_files_alone", lock)
    assert report(remove=True).removed == 0
    assert file.exists()


def test_an_orphan_that_is_written_anew_meanwhile_stays(place, monkeypatch):
    file = place("user/orphan.png")
    plainly = reconciling.remove_files_alone

    def lock():
        place("user/orphan.png", age=0)
        plainly()

    monkeypatch.setattr(reconciling, "remove_files_alone", lock)
    assert report(remove=True).removed == 0
    assert file.exists()


@pytest.mark.parametrize("bucket", ["workspace-temp", "user-library"])
@pytest.mark.parametrize("store", ["workspace", "library"])
def test_an_orphan_in_a_folder_named_as_a_bucket_is_not_taken_for_the_file_beside(place, store, bucket):
    make_asset(temp_storage_path="user/0.png")
    make_saved("user/0.png")
    files = [place("user/0.png"), place("user/0.png", "library")]
    place(f"{bucket}/user/0.png", store)
    found = report(remove=True)
    assert all(file.exists() for file in files)
    assert orphans(found) == [(store, f"{bucket}/user/0.png")]
    assert found.removed == 0


ODD_NAMES = [
    pytest.param(b"\xff\xfe.png", marks=folders_only("names need not be text")),
    b"a\nb.png",
    b"tab\t.png",
    b"back\\slash.png",
    "žluťoučký kůň.png".encode(),
    b" ",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_files_stop_nothing(place, folder, name):
    plain = place("user/plain.png")
    odd = plain.parent / os.fsdecode(name)
    odd.write_bytes(PNG)
    set_time(odd, time.time() - TWO_DAYS)
    found = report(remove=True)
    assert found.orphans == 2
    assert not plain.exists()
    json.dumps(orphans(found), ensure_ascii=False).encode()
    # What has no key cannot be removed, and goes on being told of.
    assert found.removed == (1 if odd.exists() else 2)


def test_a_fault_of_one_orphan_does_not_hold_up_the_others(place, deny_removing):
    bad, good = place("user/bad.png"), place("user/good.png")
    deny_removing("bad")
    found = report(remove=True)
    assert (found.removed, found.failed) == (1, 1)
    assert not found.is_clean
    assert (bad.exists(), good.exists()) == (True, False)


def test_memory_does_not_grow_with_files_and_rows(place, monkeypatch):
    """Nothing but chunks is held, and the lists of findings are cut."""
    monkeypatch.setattr(reconciling, "CHUNK", 3)
    monkeypatch.setattr(reconciling, "SHOWN", 4)
    assets = make_assets(10)
    for number, asset in enumerate(assets):
        asset.temp_storage_path = f"user/{number}.png"
        place(f"orphan/{number}.png")
    WorkspaceAsset.objects.bulk_update(assets, ["temp_storage_path"])
    found = report()
    assert (found.orphans, found.missing) == (10, 10)
    assert (len(found.some_orphans), len(found.some_missing)) == (4, 4)
    assert report(remove=True, limit=7).removed == 7


# --- The commands -------------------------------------------------------------------


def run_command(name, *options):
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS found_files, found_names")
    out = StringIO()
    try:
        call_command(name, *options, stdout=out)
    except SystemExit as end:
        return end.code, out.getvalue()
    return 0, out.getvalue()


def test_the_command_ends_well_when_all_agree(place):
    make_asset(temp_storage_path="user/0.png")
    place("user/0.png")
    status, text = run_command("reconcile")
    assert status == 0
    assert "The workspace: 1 files, 1 named by rows." in text
    assert "0 files that nobody names" in text


def test_the_command_reports_and_removes_only_when_told(place):
    orphan = place("user/orphan.png")
    for options in ([], ["--limit", "5"], ["--json"]):
        status, text = run_command("reconcile", *options)
        assert status == 1
        assert "user/orphan.png" in text
        assert orphan.exists()
    status, text = run_command("reconcile", "--yes")
    assert status == 0
    assert "1 orphans removed, 0 could not be." in text
    assert not orphan.exists()


def test_the_command_answers_as_json(place):
    asset = make_asset(temp_storage_path="user/0.png")
    place("user/orphan.png", content=b"12345")
    status, text = run_command("reconcile", "--json")
    answer = json.loads(text)
    assert status == 1
    assert (answer["orphans"], answer["orphan_bytes"], answer["removable"]) == (1, 5, 1)
    assert answer["some_orphans"][0]["key"] == "user/orphan.png"
    assert answer["some_missing"][0]["asset_id"] == str(asset.id)
    assert answer["files"] == {"workspace": 1, "library": 0}


def test_the_command_refuses_with_a_status_of_its_own(place):
    make_asset(temp_storage_path="user/0.png")
    place("user/orphan.png", "library")
    with pytest.raises(CommandError, match="Nothing is removed: the workspace lists as empty") as refused:
        run_command("reconcile", "--yes")
    assert refused.value.returncode == 2
    with pytest.raises(CommandError, match="--limit"):
        run_command("reconcile", "--limit", "-1")


@pytest.fixture
def _unlisted_library(monkeypatch):
    if stores.ON_S3:
        with stores.server.failing(s3.refusal("AccessDenied", method="GET", key=stores.BUCKETS["library"])):
            yield
        return
    plainly = os.scandir

    def scandir(path):
        if str(path).endswith("library"):
            raise PermissionError
        return plainly(path)

    monkeypatch.setattr(os, "scandir", scandir)
    yield


@pytest.mark.usefixtures("_unlisted_library")
def test_a_store_that_cannot_be_listed_is_said_and_nothing_is_removed(place):
    orphan = place("user/orphan.png")
    with pytest.raises(
        CommandError, match="A store cannot be listed: The store does not allow reading"
    ) as said:
        run_command("reconcile", "--yes")
    assert said.value.returncode == 2
    assert orphan.exists()


def test_expiring_by_hand_only_says_what_it_would_do():
    expired = make_asset(expires_in=-timedelta(hours=1))
    make_asset(expires_in=timedelta(hours=1))
    make_asset()
    assert run_command("expire_assets", "--json") == (0, '{"due": 1}\n')
    assert WorkspaceAsset.objects.count() == 3
    assert not Disposition.objects.exclude(row={}).exists()
    assert run_command("expire_assets", "--yes", "--json") == (0, '{"done": 1, "failed": 0}\n')
    assert Disposition.objects.latest("id").asset_id == expired.pk
    assert Disposition.objects.latest("id").action == "expired"


def test_what_cannot_expire_is_said_with_an_error_and_holds_nobody_up():
    refused, expired = make_assets(2, expires_in=-timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE keeps (asset uuid REFERENCES workspace_assets (id) NOT DEFERRABLE)")
        cursor.execute("INSERT INTO keeps VALUES (%s)", [refused.pk])
    assert run_command("expire_assets", "--yes", "--json") == (1, '{"done": 1, "failed": 1}\n')
    assert list(WorkspaceAsset.objects.values_list("id", flat=True)) == [refused.pk]
    assert Disposition.objects.latest("id").asset_id == expired.pk
