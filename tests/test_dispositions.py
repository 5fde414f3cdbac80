"""Saving, deleting, expiring, extending and bringing back, with every oddity that rows and files have."""

import errno
import hashlib
import random
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from assets import dispositions, storage
from assets.dispositions import delete, expire, extend, promote, restore, undo_extensions
from assets.models import Disposition, Extension, LibraryAsset, WorkspaceAsset
from assets.outcomes import DONE, GONE, Outcome, State, failed
from assets.purge import purge
from assets.saving import Labels
from assets.stores import folders
from tests import factories, samples
from tests.factories import make_asset, make_assets, make_job, make_user
from tests.stores import ON_S3, folders_only

pytestmark = pytest.mark.django_db

PNG = samples.picture(".png", 8, 8)
SIGNED = "https://storage.example/storage/v1/object/sign/workspace-temp"
NOW_AND_THEN = timedelta(minutes=1)  # more than any test takes

# --- Files and rows ------------------------------------------------------------


@pytest.fixture(autouse=True)
def home(store_folders):
    """The folder of the stores."""
    return store_folders


@pytest.fixture
def put(home):
    def put_file(key, content=PNG, alias="workspace"):
        path = home / alias / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return put_file


@pytest.fixture
def with_file(put):
    """Makes an asset of which the file is there."""

    def make(content=PNG, key=None, **values):
        key = key or f"{uuid4()}/0.png"
        put(key, content)
        return make_asset(**({"temp_storage_path": key} | values))

    return make


def copied_by(content):
    """What a copy of these bytes is known by: an S3 service copies by itself, and answers with their MD5."""
    if ON_S3:
        return {"etag": hashlib.md5(content, usedforsecurity=False).hexdigest()}
    return {"sha256": hashlib.sha256(content).hexdigest()}


def sql(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def in_library(home):
    return {str(path.relative_to(home / "library")) for path in (home / "library").rglob("*.*")}


def every_column(pk):
    """The row as text, in which nothing is rounded and a null of JSON is not one of SQL."""
    columns = [field.column for field in WorkspaceAsset._meta.concrete_fields]
    assert len(columns) == 18
    texts = ", ".join(f"{name}::text" for name in columns)
    rows = sql(f"SELECT {texts} FROM workspace_assets WHERE id = %s", pk)
    return dict(zip(columns, rows[0], strict=True)) if rows else None


def entry_of(asset):
    return Disposition.objects.filter(asset_id=asset.pk).latest("id")


def let_grace_run_out():
    passed = "disposed_at = disposed_at - interval '2 days', purge_after = purge_after - interval '2 days'"
    sql(f"UPDATE assets_disposition SET {passed}")


def refuse(table, event, *pks):
    """Has the product's database refuse some rows."""
    row = "OLD" if event == "DELETE" else "NEW"
    ids = ",".join(map(str, pks))
    sql(f"""
        CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {row}.id = ANY('{{{ids}}}') THEN RAISE EXCEPTION 'this one is evidence'; END IF;
            RETURN {row};
        END $$;
        CREATE TRIGGER refuse_one BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_one()
    """)


REFUSED = failed("The database refused: this one is evidence")


def is_about(moment, expected):
    return abs(moment - expected) < NOW_AND_THEN


# --- Saving --------------------------------------------------------------------


def test_a_saved_asset_has_the_library_row_that_the_product_would_write(admin, home, with_file):
    asset = with_file(
        duration_seconds=Decimal("4.125"),
        generation_seed=0,
        original_prompt="Žluťoučký kůň",
        model_used="fal-ai/wan-i2v",
        width=640,
        height=480,
        file_size_bytes=0,
    )
    assert promote([asset.pk], actor=admin) == {asset.pk: DONE}
    saved = LibraryAsset.objects.get()
    assert (saved.pk, saved.user_id, saved.asset_type) == (asset.pk, asset.user_id, "image")
    assert saved.storage_path == f"{asset.user_id}/{asset.pk}.png"
    assert (home / "library" / saved.storage_path).read_bytes() == PNG
    assert (saved.file_size_bytes, saved.mime_type) == (len(PNG), "image/png")
    assert (saved.duration_seconds, saved.width, saved.height) == (Decimal("4.125"), 640, 480)
    assert (saved.generation_seed, saved.original_prompt) == (0, "Žluťoučký kůň")
    assert (saved.model_used, saved.thumbnail_path) == ("fal-ai/wan-i2v", None)
    assert (saved.custom_title, saved.tags, saved.collection_id) == (None, [], None)
    assert (saved.is_favorite, saved.visibility) == (False, "private")
    assert is_about(saved.created_at, timezone.now())
    assert not WorkspaceAsset.objects.exists()


def test_the_ledger_keeps_of_a_saved_asset_what_the_library_has_no_column_for(admin, put, with_file):
    asset = with_file(generation_settings={"steps": 30}, thumbnail_path="thumbs/0.webp")
    put("thumbs/0.webp", b"thumbnail")
    promote([asset.pk], actor=admin)
    entry = entry_of(asset)
    assert (entry.action, entry.actor, entry.user_id) == ("promoted", admin, asset.user_id)
    assert entry.row["generation_settings"] == {"steps": 30}
    assert (entry.row["job_id"], entry.row["asset_index"]) == (str(asset.job_id), 0)
    assert len(entry.row) == 18
    assert is_about(entry.purge_after, timezone.now() + timedelta(hours=24))
    key = f"{asset.user_id}/{asset.pk}"
    assert entry.saved == {
        "file": {"key": f"{key}.png", "size": len(PNG)} | copied_by(PNG),
        "thumbnail": {"key": f"{key}.thumb.webp", "size": 9} | copied_by(b"thumbnail"),
    }


def test_title_tags_and_collection_are_those_the_person_wrote(admin, with_file):
    collection = uuid4()
    asset = with_file()
    promote([asset.pk], actor=admin, labels=Labels("Fox, 100 %", ["a", 'b "c"'], collection))
    saved = LibraryAsset.objects.get()
    assert (saved.custom_title, saved.tags) == ("Fox, 100 %", ["a", 'b "c"'])
    assert saved.collection_id == collection


QUICKTIME = b"\0\0\0\x14ftypqt  \0\0\0\0qt  "
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm"


@pytest.mark.parametrize(
    ("content", "extension", "mime"),
    [
        (samples.picture(".jpg", 8, 8), "jpg", "image/jpeg"),
        (samples.picture(".webp", 8, 8), "webp", "image/webp"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "mp4", "video/mp4"),
        (QUICKTIME, "mov", "video/quicktime"),
        (WEBM, "webm", "video/webm"),
    ],
)
def test_name_and_type_in_the_library_follow_the_bytes(admin, home, with_file, content, extension, mime):
    asset = with_file(content, mime_type="image/png")
    promote([asset.pk], actor=admin)
    saved = LibraryAsset.objects.get()
    assert (saved.storage_path, saved.mime_type) == (f"{asset.user_id}/{asset.pk}.{extension}", mime)
    assert (home / "library" / saved.storage_path).read_bytes() == content


@pytest.mark.parametrize(
    ("name", "mime", "extension"),
    [("0.mp4", "image/png", "mp4"), ("0", "image/png", "png"), ("0.html", "text/html", "bin")],
)
def test_bytes_of_no_known_format_are_saved_as_the_row_says(admin, with_file, name, mime, extension):
    asset = with_file(b"who knows", key=f"{uuid4()}/{name}", mime_type=mime)
    promote([asset.pk], actor=admin)
    saved = LibraryAsset.objects.get()
    assert (saved.storage_path, saved.mime_type) == (f"{asset.user_id}/{asset.pk}.{extension}", mime)


@pytest.mark.parametrize(
    ("path", "files", "expected"),
    [
        ("t/given.webp", ["t/given.webp"], "t/given.webp"),
        ("t/given.webp", ["t/given.webp", "a/0.thumb.webp"], "t/given.webp"),
        (None, ["a/0.thumb.webp"], "a/0.thumb.webp"),
        ("", ["a/0.thumb.webp"], "a/0.thumb.webp"),
        ("t/missing.webp", ["a/0.thumb.webp"], "a/0.thumb.webp"),
        ("../outside.webp", ["a/0.thumb.webp"], "a/0.thumb.webp"),
        (f"{SIGNED}/t/a%20b.webp?token=c", ["t/a b.webp"], "t/a b.webp"),
        ("t/missing.webp", [], None),
        (None, [], None),
    ],
)
def test_the_thumbnail_is_the_one_named_else_the_one_beside(
    admin, home, put, with_file, path, files, expected
):
    for key in files:
        put(key, f"not WebP at all: {key}".encode())
    asset = with_file(key="a/0.png", thumbnail_path=path)
    assert promote([asset.pk], actor=admin) == {asset.pk: DONE}
    saved = LibraryAsset.objects.get()
    if expected is None:
        assert saved.thumbnail_path is None
        assert in_library(home) == {saved.storage_path}
        return
    assert saved.thumbnail_path == f"{asset.user_id}/{asset.pk}.thumb.webp"
    copied = (home / "library" / saved.thumbnail_path).read_text()
    assert copied == f"not WebP at all: {expected}"


@pytest.mark.parametrize(
    "path",
    [
        "user/a b.png",
        "workspace-temp/user/a b.png",
        f"{SIGNED}/user/a%20b.png?token=abc.def",
        "HTTP://host:9000/workspace-temp/user/a%20b.png#top",
    ],
)
def test_a_path_is_followed_however_it_is_written(admin, home, put, path):
    put("user/a b.png")
    asset = make_asset(temp_storage_path=path)
    assert promote([asset.pk], actor=admin) == {asset.pk: DONE}
    assert (home / "library" / LibraryAsset.objects.get().storage_path).read_bytes() == PNG


def test_rows_that_name_one_file_are_saved_each_with_a_copy_of_its_own(admin, home, put):
    put("user/0.png")
    one = make_asset(temp_storage_path="user/0.png")
    other = make_asset(temp_storage_path="workspace-temp/user/0.png")
    assert promote([one.pk, other.pk], actor=admin) == {one.pk: DONE, other.pk: DONE}
    assert in_library(home) == {f"{one.user_id}/{one.pk}.png", f"{other.user_id}/{other.pk}.png"}


def test_siblings_with_equal_prompt_seed_and_model_are_all_saved(admin, put):
    put("user/0.png")
    siblings = make_assets(3, temp_storage_path="user/0.png")
    promote([asset.pk for asset in siblings], actor=admin)
    assert LibraryAsset.objects.count() == 3


def test_assets_of_a_user_and_a_job_that_are_gone_are_saved_deleted_and_brought_back(admin, with_file):
    factories.unenforce_keys()
    sql("ALTER TABLE user_library DISABLE TRIGGER ALL")
    pks = [with_file(user=make_user(), job=make_job()).pk for _ in range(2)]
    sql("UPDATE workspace_assets SET user_id = gen_random_uuid(), job_id = gen_random_uuid()")
    before = [every_column(pk) for pk in pks]
    assert promote(pks[:1], actor=admin) == {pks[0]: DONE}
    assert delete(pks[1:], actor=admin) == {pks[1]: DONE}
    assert restore(Disposition.objects.values_list("id", flat=True), actor=admin) == dict.fromkeys(pks, DONE)
    assert [every_column(pk) for pk in pks] == before


def test_a_second_saving_makes_no_second_copy(admin, home, with_file):
    asset = with_file()
    promote([asset.pk], actor=admin)
    before = in_library(home)
    assert promote([asset.pk, asset.pk], actor=admin) == {asset.pk: GONE}
    assert in_library(home) == before
    assert (LibraryAsset.objects.count(), Disposition.objects.count()) == (1, 1)


def make_library_row(asset, path, **values):
    return LibraryAsset.objects.create(
        user=asset.user,
        asset_type="image",
        storage_path=path,
        file_size_bytes=1,
        mime_type="image/png",
        original_prompt="",
        model_used="",
        **values,
    )


def test_an_asset_whose_id_the_library_has_is_refused(admin, home, put, with_file):
    asset = with_file()
    put(f"{asset.user_id}/{asset.pk}.png", b"what was saved before", "library")
    row = make_library_row(asset, f"{asset.user_id}/{asset.pk}.png", id=asset.pk)
    reason = failed("The library already has an asset with this id")
    assert promote([asset.pk], actor=admin) == {asset.pk: reason}
    assert (home / "library" / row.storage_path).read_bytes() == b"what was saved before"
    assert WorkspaceAsset.objects.filter(pk=asset.pk).exists()


@pytest.mark.parametrize("prefix", ["", "user-library/", "https://host/storage/user-library/"])
@pytest.mark.parametrize("suffix", [".png", ".thumb.webp"])
def test_an_asset_whose_place_in_the_library_is_of_another_row_is_refused(
    admin, home, put, with_file, prefix, suffix
):
    asset = with_file()
    key = f"{asset.user_id}/{asset.pk}{suffix}"
    put(key, b"of another row", "library")
    make_library_row(asset, prefix + key, id=uuid4())
    reason = failed("The library already has a file of this name, for another asset")
    assert promote([asset.pk], actor=admin) == {asset.pk: reason}
    assert (home / "library" / key).read_bytes() == b"of another row"
    assert WorkspaceAsset.objects.filter(pk=asset.pk).exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("user/missing.png", "The file is missing from the store"),
        ("", "The path is empty"),
        ("  \n", "The path is empty"),
        ("../outside.png", "The path leaves the store"),
        ("/etc/passwd", "The path leaves the store"),
        (f"{SIGNED}/%2e%2e/outside.png", "The path leaves the store"),
        pytest.param("link.png", "The path leaves the store by a link", marks=folders_only("it has links")),
        ("user", "The file is missing from the store" if ON_S3 else "The path names a folder"),
        ("https://elsewhere.example/0.png", "The address is not in this store"),
    ],
)
def test_an_asset_whose_file_cannot_be_had_stays_and_says_why(admin, home, with_file, path, reason):
    (home / "outside.png").write_bytes(PNG)
    if path == "link.png":
        (home / "workspace" / path).symlink_to(home / "outside.png")
    good = with_file(key="user/0.png")
    bad = make_asset(temp_storage_path=path)
    assert promote([bad.pk, good.pk], actor=admin) == {bad.pk: failed(reason), good.pk: DONE}
    assert every_column(bad.pk)["temp_storage_path"] == path
    assert in_library(home) == {f"{good.user_id}/{good.pk}.png"}


@folders_only("it writes a draft by itself; other copies are in test_buckets.py")
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="a bit"),
        pytest.param(lambda data: b"\0" + data[1:], id="the first byte"),
        pytest.param(lambda data: data[:-1], id="shorter"),
        pytest.param(lambda data: data + b"\0", id="longer"),
        pytest.param(lambda data: b"", id="nothing"),
    ],
)
def test_a_copy_that_differs_is_no_copy(admin, home, with_file, monkeypatch, spoil):
    asset = with_file(PNG + bytes(2 * folders.COPY_BLOCK_BYTES))

    def write(source, target):
        target.write(spoil(source.read()))
        target.flush()

    monkeypatch.setattr(folders, "_write", write)
    reason = failed("The copy differs from the file")
    assert promote([asset.pk], actor=admin) == {asset.pk: reason}
    assert not in_library(home)
    assert WorkspaceAsset.objects.exists()


@pytest.mark.parametrize("more", [-1, 0, 1, folders.COPY_BLOCK_BYTES])
def test_a_copy_is_what_its_checksum_says(home, put, more):
    data = random.Random(7).randbytes(folders.COPY_BLOCK_BYTES + more)
    put("0.png", data)
    copied = storage.LIBRARY.copy_from(storage.WORKSPACE, "0.png", "1.png")
    assert copied[:2] == ("1.png", len(data))
    assert copied_by(data).items() <= copied.as_json().items()
    assert (home / "library" / "1.png").read_bytes() == data


@folders_only("no bucket is ever full")
def test_a_full_library_is_a_failure_with_its_reason(admin, home, with_file, monkeypatch):
    asset = with_file()

    def fill(source, target):
        target.write(b"a part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folders, "_write", fill)
    assert promote([asset.pk], actor=admin) == {asset.pk: failed("The store is full")}
    assert not in_library(home)
    assert WorkspaceAsset.objects.exists()


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something happen after the files are copied and before the rows move."""

    def arrange(happen):
        def copy_and_happen(ids, copy=dispositions.copy_to_library):
            copies = copy(ids)
            happen()
            return copies

        monkeypatch.setattr(dispositions, "copy_to_library", copy_and_happen)

    return arrange


@pytest.mark.parametrize("column", ["temp_storage_path", "thumbnail_path"])
def test_an_asset_that_comes_to_name_another_file_meanwhile_is_not_moved(admin, with_file, meanwhile, column):
    asset = with_file()
    meanwhile(lambda: WorkspaceAsset.objects.update(**{column: "another.png"}))
    reason = failed("The asset was changed while it was being copied")
    assert promote([asset.pk], actor=admin) == {asset.pk: reason}
    assert not LibraryAsset.objects.exists()


def test_a_change_meanwhile_of_anything_else_is_saved_as_it_is_now(admin, with_file, meanwhile):
    asset = with_file()
    meanwhile(lambda: WorkspaceAsset.objects.update(original_prompt="corrected"))
    assert promote([asset.pk], actor=admin) == {asset.pk: DONE}
    assert LibraryAsset.objects.get().original_prompt == entry_of(asset).row["original_prompt"] == "corrected"


def test_an_asset_that_leaves_meanwhile_is_gone(admin, with_file, meanwhile):
    asset, other = with_file(), with_file()
    meanwhile(lambda: delete([asset.pk], actor=admin))
    assert promote([asset.pk, other.pk], actor=admin) == {asset.pk: GONE, other.pk: DONE}
    assert list(LibraryAsset.objects.values_list("pk", flat=True)) == [other.pk]
    assert entry_of(asset).action == "deleted"


def test_a_copy_that_vanishes_meanwhile_saves_nothing(admin, home, with_file, meanwhile):
    asset = with_file()
    meanwhile((home / "library" / f"{asset.user_id}/{asset.pk}.png").unlink)
    reason = failed("The copy was removed before the asset was saved")
    assert promote([asset.pk], actor=admin) == {asset.pk: reason}
    assert WorkspaceAsset.objects.exists()
    assert not LibraryAsset.objects.exists()


def test_one_asset_that_the_database_refuses_does_not_hold_up_saving_the_others(admin, with_file):
    assets = [with_file() for _ in range(3)]
    refuse("user_library", "INSERT", assets[1].pk)
    recorded = {}
    outcomes = promote([asset.pk for asset in assets], actor=admin, record=recorded.update)
    assert outcomes == recorded == {assets[0].pk: DONE, assets[1].pk: REFUSED, assets[2].pk: DONE}
    assert list(WorkspaceAsset.objects.values_list("pk", flat=True)) == [assets[1].pk]
    assert LibraryAsset.objects.count() == Disposition.objects.count() == 2


# --- Deleting ------------------------------------------------------------------


def test_a_deleted_asset_is_in_the_ledger_with_all_18_columns_and_its_file_stays_for_the_grace(
    admin, home, with_file
):
    asset = with_file(generation_settings={"steps": 30}, key="user/0.png")
    assert delete([asset.pk], actor=admin) == {asset.pk: DONE}
    entry = entry_of(asset)
    assert (entry.action, entry.actor, entry.saved) == ("deleted", admin, None)
    assert len(entry.row) == 18
    assert is_about(entry.purge_after, timezone.now() + timedelta(hours=24))
    purge()
    assert (home / "workspace/user/0.png").exists()
    let_grace_run_out()
    purge()
    assert not (home / "workspace/user/0.png").exists()


def test_deleting_says_which_were_gone_before(admin):
    asset, stranger = make_asset(), uuid4()
    assert delete([stranger, asset.pk, asset.pk], actor=admin) == {stranger: GONE, asset.pk: DONE}
    assert delete([asset.pk], actor=admin) == {asset.pk: GONE}
    assert delete([], actor=admin) == {}
    assert Disposition.objects.count() == 1


def test_deleting_touches_no_other_asset(admin):
    one, other = make_assets(2)
    delete([one.pk], actor=admin)
    assert list(WorkspaceAsset.objects.values_list("pk", flat=True)) == [other.pk]


def test_one_asset_that_the_database_refuses_does_not_hold_up_deleting_the_others(admin):
    assets = make_assets(3)
    refuse("workspace_assets", "DELETE", assets[1].pk)
    recorded = {}
    outcomes = delete([asset.pk for asset in assets], actor=admin, record=recorded.update)
    assert outcomes == recorded == {assets[0].pk: DONE, assets[1].pk: REFUSED, assets[2].pk: DONE}
    assert list(WorkspaceAsset.objects.values_list("pk", flat=True)) == [assets[1].pk]
    assert Disposition.objects.count() == 2


def test_an_asset_that_the_products_own_trigger_keeps_is_not_called_deleted(admin):
    asset = make_asset()
    sql("""
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE DELETE ON workspace_assets FOR EACH ROW EXECUTE FUNCTION keep()
    """)
    outcome = delete([asset.pk], actor=admin)[asset.pk]
    assert outcome.state != State.DONE
    assert every_column(asset.pk)
    assert not Disposition.objects.exists()


def test_the_thumbnail_beside_a_file_stays_while_another_asset_names_the_file(admin, home, put):
    put("user/0.png")
    put("user/0.thumb.webp")
    one, other = make_assets(2, temp_storage_path="user/0.png")
    delete([one.pk], actor=admin)
    let_grace_run_out()
    purge()
    assert (home / "workspace/user/0.thumb.webp").exists()
    delete([other.pk], actor=admin)
    let_grace_run_out()
    purge()
    assert not list((home / "workspace/user").iterdir())


# --- Departures by other hands ---------------------------------------------------


def expect_external(*assets):
    entries = {entry.asset_id: entry for entry in Disposition.objects.all()}
    assert entries.keys() == {asset.pk for asset in assets}
    for asset in assets:
        entry = entries[asset.pk]
        assert (entry.action, entry.actor, entry.purge_after) == ("external", None, None)
        assert entry.user_id == asset.user_id
        assert entry.row["original_prompt"] == asset.original_prompt


@pytest.fixture
def checked_now(db):
    """Foreign keys checked at once: tables with checks that wait are not altered, nor emptied."""
    sql("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_delete_by_statement_is_recorded():
    assets = make_assets(2)
    make_asset()
    sql("DELETE FROM workspace_assets WHERE job_id = %s", assets[0].job_id)
    expect_external(*assets)


@pytest.mark.usefixtures("checked_now")
def test_a_delete_by_cascade_is_recorded():
    factories.unenforce_keys()
    sql("""
        ALTER TABLE workspace_assets ADD FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE
    """)
    assets = make_assets(2)
    sql("DELETE FROM jobs WHERE id = %s", assets[0].job_id)
    expect_external(*assets)


@pytest.mark.usefixtures("checked_now")
def test_emptying_the_table_is_recorded():
    assets = make_assets(2)
    sql("TRUNCATE workspace_assets")
    expect_external(*assets)


def test_a_delete_by_a_role_without_rights_on_the_ledger_is_recorded():
    assets = make_assets(2)
    sql("CREATE ROLE a_stranger; GRANT SELECT, DELETE ON workspace_assets TO a_stranger")
    sql("SET LOCAL ROLE a_stranger")
    sql("DELETE FROM workspace_assets")
    sql("RESET ROLE")
    expect_external(*assets)


def test_a_delete_by_the_dashboard_is_not_recorded_twice_and_one_after_it_is(admin):
    one, other = make_assets(2)
    delete([one.pk], actor=admin)
    sql("DELETE FROM workspace_assets WHERE id = %s", other.pk)
    actions = Disposition.objects.order_by("id").values_list("asset_id", "action")
    assert list(actions) == [(one.pk, "deleted"), (other.pk, "external")]


@pytest.mark.parametrize("statement", ["DELETE FROM workspace_assets", "TRUNCATE workspace_assets"])
@pytest.mark.usefixtures("checked_now")
def test_the_product_goes_on_when_the_ledger_is_gone(statement):
    make_assets(2)
    sql("ALTER TABLE assets_disposition RENAME TO elsewhere")
    sql(statement)
    assert sql("SELECT count(*) FROM workspace_assets") == [(0,)]
    assert sql("SELECT count(*) FROM elsewhere") == [(0,)]


def test_an_asset_that_left_by_other_hands_comes_back_or_is_purged(admin, home, with_file):
    kept, left = with_file(key="user/kept.png"), with_file(key="user/left.png")
    before = every_column(kept.pk)
    sql("DELETE FROM workspace_assets")
    assert restore([entry_of(kept).pk], actor=admin) == {kept.pk: DONE}
    assert every_column(kept.pk) == before
    purge()
    assert is_about(entry_of(left).purge_after, timezone.now() + timedelta(hours=24))
    let_grace_run_out()
    purge()
    assert [path.name for path in (home / "workspace/user").iterdir()] == ["kept.png"]


# --- Expiring ------------------------------------------------------------------


def test_only_what_has_expired_now_leaves():
    expired = make_assets(3, expires_in=-timedelta(seconds=1))
    make_assets(2, expires_in=timedelta(minutes=1))
    make_assets(2, ago=timedelta(days=400), expires_at=None)
    assert expire(batch=2) == (3, 0)
    entries = Disposition.objects.all()
    assert {entry.asset_id for entry in entries} == {asset.pk for asset in expired}
    assert {(entry.action, entry.actor) for entry in entries} == {("expired", None)}
    assert WorkspaceAsset.objects.count() == 4
    assert expire() == (0, 0)


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_assets_that_the_database_refuses_do_not_hold_up_the_expiry_of_the_others(batch):
    assets = make_assets(7, expires_in=-timedelta(hours=1))
    stay = sorted(asset.pk for asset in assets)[:3]  # more than a batch of them come first
    refuse("workspace_assets", "DELETE", *stay)
    assert expire(batch=batch) == (4, 3)
    assert sorted(WorkspaceAsset.objects.values_list("pk", flat=True)) == stay
    assert Disposition.objects.count() == 4


def test_what_expired_before_all_time_leaves_too():
    make_assets(3)
    sql("UPDATE workspace_assets SET expires_at = '-infinity'")
    refuse("workspace_assets", "DELETE", uuid4())
    assert expire(batch=2) == (3, 0)


# --- Staying longer ----------------------------------------------------------------


def test_an_extended_asset_has_seven_days_from_now(admin):
    soon, expired = make_asset(expires_in=timedelta(hours=1)), make_asset(expires_in=-timedelta(hours=1))
    assert extend([soon.pk, expired.pk], actor=admin) == {soon.pk: DONE, expired.pk: DONE}
    for asset in (soon, expired):
        before = asset.expires_at
        asset.refresh_from_db()
        assert is_about(asset.expires_at, timezone.now() + timedelta(days=7))
        extension = Extension.objects.get(asset_id=asset.pk)
        assert (extension.actor, extension.expired_at) == (admin, before)
        assert extension.expires_at == asset.expires_at
    assert expire() == (0, 0)


def test_extending_shortens_no_life_and_gives_no_end_to_one_that_has_none(admin):
    later, never = make_asset(expires_in=timedelta(days=30)), make_asset(expires_at=None)
    before = [every_column(later.pk), every_column(never.pk)]
    gone = uuid4()
    assert extend([later.pk, never.pk, gone], actor=admin) == {
        later.pk: Outcome(State.DONE, "It expires later anyway"),
        never.pk: Outcome(State.DONE, "It never expires"),
        gone: GONE,
    }
    assert [every_column(later.pk), every_column(never.pk)] == before
    assert not Extension.objects.exists()


def test_one_asset_that_the_database_refuses_does_not_hold_up_extending_the_others(admin):
    assets = make_assets(3, expires_in=timedelta(hours=1))
    refuse("workspace_assets", "UPDATE", assets[1].pk)
    outcomes = extend([asset.pk for asset in assets], actor=admin)
    assert outcomes == {assets[0].pk: DONE, assets[1].pk: REFUSED, assets[2].pk: DONE}
    assert Extension.objects.count() == 2


def test_an_extension_undone_gives_back_the_expiry_that_was(admin):
    asset = make_asset(expires_in=timedelta(hours=1))
    before = every_column(asset.pk)
    extend([asset.pk], actor=admin)
    extensions = {Extension.objects.get().pk: asset.pk}
    assert undo_extensions(extensions) == {asset.pk: DONE}
    assert every_column(asset.pk) == before
    changed = failed("The asset has left, or its expiry has changed since")
    assert undo_extensions(extensions) == {asset.pk: changed}


def test_an_extension_is_not_undone_over_a_later_change_or_a_departure(admin):
    moved, left = make_assets(2, expires_in=timedelta(hours=1))
    extend([moved.pk, left.pk], actor=admin)
    WorkspaceAsset.objects.filter(pk=moved.pk).update(expires_at=None)
    delete([left.pk], actor=admin)
    changed = failed("The asset has left, or its expiry has changed since")
    extensions = dict(Extension.objects.values_list("pk", "asset_id"))
    assert undo_extensions(extensions) == dict.fromkeys([moved.pk, left.pk], changed)
    assert every_column(moved.pk)["expires_at"] is None


# --- Coming back -------------------------------------------------------------------

LEAVING = {
    "deleted": lambda asset, admin: delete([asset.pk], actor=admin),
    "promoted": lambda asset, admin: promote([asset.pk], actor=admin),
    "external": lambda asset, admin: sql("DELETE FROM workspace_assets WHERE id = %s", asset.pk),
    "truncated": lambda asset, admin: sql("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE workspace_assets"),
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
@pytest.mark.parametrize(
    "settings_text",
    [
        None,
        "null",
        "{}",
        "[]",
        "0",
        '"null"',
        '{"guidance_scale": 7.50, "seed": 18446744073709551617, "a": null, "ž": "\\u2028 \\\\ %"}',
    ],
)
def test_every_column_comes_back_as_it_was(admin, with_file, leave, settings_text):
    asset = with_file()
    sql(
        "UPDATE workspace_assets SET generation_settings = %s, duration_seconds = 'NaN', width = NULL,"
        " height = -1, created_at = '2026-01-01 00:00:00.000001+00', expires_at = 'infinity',"
        " generation_seed = -9223372036854775808, original_prompt = E'a\\tb\\r\\n\\\\ \"ž\" \\U0001F98A',"
        " thumbnail_path = '', file_size_bytes = 0, model_used = '', asset_index = -3",
        settings_text,
    )
    before = every_column(asset.pk)
    leave(asset, admin)
    assert every_column(asset.pk) is None
    assert restore([entry_of(asset).pk], actor=admin) == {asset.pk: DONE}
    assert every_column(asset.pk) == before


def test_nulls_of_times_come_back_as_nulls(admin):
    asset = make_asset(created_at=None, expires_at=None)
    before = every_column(asset.pk)
    delete([asset.pk], actor=admin)
    restore([entry_of(asset).pk], actor=admin)
    assert every_column(asset.pk) == before


def test_coming_back_is_noted_and_keeps_the_files_from_the_purge(admin, home, with_file):
    asset = with_file(key="user/0.png")
    delete([asset.pk], actor=admin)
    entry = entry_of(asset)
    restore([entry.pk], actor=admin)
    entry.refresh_from_db()
    assert is_about(entry.restored_at, timezone.now())
    assert (entry.restored_by, entry.purged_at) == (admin, None)
    let_grace_run_out()
    purge()
    assert (home / "workspace/user/0.png").exists()


def test_what_has_expired_comes_back_for_seven_days(admin):
    asset = make_asset(expires_in=-timedelta(days=3))
    expire()
    assert restore([entry_of(asset).pk], actor=admin) == {asset.pk: DONE}
    asset.refresh_from_db()
    assert is_about(asset.expires_at, timezone.now() + timedelta(days=7))
    assert expire() == (0, 0)


def test_nothing_comes_back_after_its_files_are_removed(admin, with_file):
    asset = with_file()
    delete([asset.pk], actor=admin)
    let_grace_run_out()
    purge()
    assert restore([entry_of(asset).pk], actor=admin) == {asset.pk: failed("Its files have been removed")}
    assert every_column(asset.pk) is None


def test_nothing_comes_back_after_the_grace(admin, with_file):
    asset = with_file()
    delete([asset.pk], actor=admin)
    let_grace_run_out()
    reason = failed("The time for bringing it back has passed")
    assert restore([entry_of(asset).pk], actor=admin) == {asset.pk: reason}


def test_nothing_comes_back_twice(admin):
    asset = make_asset()
    delete([asset.pk], actor=admin)
    first = entry_of(asset).pk
    restore([first], actor=admin)
    reason = failed("It has been brought back already")
    assert restore([first], actor=admin) == {asset.pk: reason}
    delete([asset.pk], actor=admin)
    assert restore([first], actor=admin) == {asset.pk: reason}
    assert every_column(asset.pk) is None


def test_of_several_departures_of_one_asset_the_latest_is_undone(admin):
    asset = make_asset()
    delete([asset.pk], actor=admin)
    first = entry_of(asset).pk
    restore([first], actor=admin)
    WorkspaceAsset.objects.update(original_prompt="corrected")
    delete([asset.pk], actor=admin)
    assert restore([entry_of(asset).pk, first], actor=admin) == {asset.pk: DONE}
    assert every_column(asset.pk)["original_prompt"] == "corrected"


def test_an_entry_that_the_ledger_does_not_have_brings_nothing_back(admin):
    assert restore([0, 10**12], actor=admin) == {}


TAKEN = failed("An asset with its id, or at its place in the job, is in the workspace already")


def test_nothing_comes_back_over_an_asset_with_its_id(admin):
    asset, other = make_assets(2)
    delete([asset.pk, other.pk], actor=admin)
    make_asset(id=asset.pk, original_prompt="another one")
    entries = [entry_of(asset).pk, entry_of(other).pk]
    assert restore(entries, actor=admin) == {asset.pk: TAKEN, other.pk: DONE}
    assert every_column(asset.pk)["original_prompt"] == "another one"
    assert entry_of(asset).restored_at is None


def test_nothing_comes_back_to_a_place_in_the_job_that_is_taken(admin):
    asset, other = make_assets(2)
    delete([asset.pk, other.pk], actor=admin)
    make_asset(user=asset.user, job=asset.job, asset_index=asset.asset_index)
    entries = [entry_of(asset).pk, entry_of(other).pk]
    assert restore(entries, actor=admin) == {asset.pk: TAKEN, other.pk: DONE}
    assert every_column(asset.pk) is None


def test_one_asset_that_the_database_refuses_does_not_hold_up_the_return_of_the_others(admin):
    assets = make_assets(3)
    delete([asset.pk for asset in assets], actor=admin)
    refuse("workspace_assets", "INSERT", assets[1].pk)
    outcomes = restore([entry_of(asset).pk for asset in assets], actor=admin)
    assert outcomes == {assets[0].pk: DONE, assets[1].pk: REFUSED, assets[2].pk: DONE}
    assert entry_of(assets[1]).restored_at is None


def test_an_asset_that_the_products_trigger_drops_on_its_return_is_not_called_back(admin):
    asset = make_asset()
    delete([asset.pk], actor=admin)
    sql("""
        CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER drop_it BEFORE INSERT ON workspace_assets FOR EACH ROW EXECUTE FUNCTION drop_it()
    """)
    assert restore([entry_of(asset).pk], actor=admin)[asset.pk].state == State.FAILED
    assert entry_of(asset).restored_at is None


# --- Back out of the library -----------------------------------------------------------


@pytest.fixture
def saved(admin, put, with_file):
    """An asset that was saved, with its thumbnail."""
    asset = with_file(key="user/0.png")
    put("user/0.thumb.webp", b"thumbnail")
    promote([asset.pk], actor=admin, labels=Labels("Fox", ["a"]))
    return asset


def test_a_saved_asset_comes_back_out_of_the_library(admin, saved):
    assert restore([entry_of(saved).pk], actor=admin) == {saved.pk: DONE}
    assert every_column(saved.pk)
    assert not LibraryAsset.objects.exists()
    row = entry_of(saved).saved["row"]
    assert (row["custom_title"], row["tags"], row["id"]) == ("Fox", ["a"], str(saved.pk))


def test_the_librarys_files_go_with_the_purge_after_a_return(admin, home, saved):
    restore([entry_of(saved).pk], actor=admin)
    purge()
    assert len(in_library(home)) == 2
    let_grace_run_out()
    purge()
    assert not in_library(home)
    assert {path.name for path in (home / "workspace/user").iterdir()} == {"0.png", "0.thumb.webp"}
    assert entry_of(saved).purged_at


def test_the_librarys_files_stay_when_the_asset_is_saved_again(admin, home, saved):
    restore([entry_of(saved).pk], actor=admin)
    assert promote([saved.pk], actor=admin) == {saved.pk: DONE}
    let_grace_run_out()
    purge()
    row = LibraryAsset.objects.get()
    assert in_library(home) == {row.storage_path, row.thumbnail_path}
    assert (home / "library" / row.storage_path).read_bytes() == PNG


def test_the_librarys_files_stay_while_another_row_of_it_names_them(admin, home, saved):
    row = LibraryAsset.objects.get()
    restore([entry_of(saved).pk], actor=admin)
    address = f"https://host/storage/user-library/{row.storage_path}?token=a"
    other = make_library_row(saved, address, thumbnail_path=f"user-library/{row.thumbnail_path}")
    let_grace_run_out()
    purge()
    assert in_library(home) == {row.storage_path, row.thumbnail_path}
    other.delete()


def test_the_workspaces_file_of_a_saved_asset_stays_while_the_librarys_is_missing(admin, home, saved):
    (home / "library" / LibraryAsset.objects.get().storage_path).unlink()
    let_grace_run_out()
    assert purge().failed == 1
    assert (home / "workspace/user/0.png").exists()
    assert "The file is missing from the store" in entry_of(saved).last_error


# --- What a reviewer of the product's database might have in store -----------------


def keep_without_a_word(*pks):
    """Has the product's database keep some rows, and say nothing."""
    ids = ",".join(map(str, pks))
    sql(f"""
        CREATE FUNCTION keep_some() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.id = ANY('{{{ids}}}') THEN RETURN NULL; END IF;
            RETURN OLD;
        END $$;
        CREATE TRIGGER keep_some BEFORE DELETE ON workspace_assets FOR EACH ROW EXECUTE FUNCTION keep_some()
    """)


def test_a_row_that_the_database_keeps_is_neither_saved_nor_said_to_be_gone(admin, with_file):
    kept, other = with_file(), with_file()
    keep_without_a_word(kept.pk)
    outcomes = promote([kept.pk, other.pk], actor=admin)
    assert outcomes[other.pk] == DONE
    assert outcomes[kept.pk].state == "failed"
    assert "did not let the row go" in outcomes[kept.pk].reason
    assert list(LibraryAsset.objects.values_list("id", flat=True)) == [other.pk]
    assert delete([kept.pk], actor=admin) == {kept.pk: failed("The database did not let the row go")}
    assert not Disposition.objects.filter(asset_id=kept.pk).exists()


def test_expired_rows_that_the_database_keeps_do_not_hold_up_the_others():
    assets = make_assets(9, expires_in=-timedelta(hours=1))
    first = sorted(asset.pk for asset in assets)[:4]
    keep_without_a_word(*first)
    assert expire(batch=2) == (5, 0)
    assert set(WorkspaceAsset.objects.values_list("id", flat=True)) == set(first)


def test_a_column_that_is_newer_than_the_departure_has_its_default(admin):
    asset = make_asset()
    delete([asset.pk], actor=admin)
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # what is pending would forbid altering the table
    sql("ALTER TABLE workspace_assets ADD COLUMN rating integer NOT NULL DEFAULT 3")
    later = make_asset()
    sql("UPDATE workspace_assets SET rating = 5 WHERE id = %s", later.pk)
    delete([later.pk], actor=admin)
    entries = list(Disposition.objects.values_list("id", flat=True))
    assert restore(entries, actor=admin) == {asset.pk: DONE, later.pk: DONE}
    assert dict(sql("SELECT id, rating FROM workspace_assets")) == {asset.pk: 3, later.pk: 5}


@pytest.mark.parametrize("thumbnail", ["a-folder", "../elsewhere.webp"])
def test_a_thumbnail_that_is_none_does_not_keep_its_asset_from_being_saved(admin, home, with_file, thumbnail):
    (home / "workspace" / "a-folder").mkdir()
    asset = with_file(thumbnail_path=thumbnail)
    assert promote([asset.pk], actor=admin) == {asset.pk: DONE}
    assert LibraryAsset.objects.get().thumbnail_path is None


def test_a_file_that_is_written_anew_while_it_is_saved_stays(admin, put, with_file, monkeypatch):
    asset = with_file()
    plainly = dispositions.copy_to_library

    def copy(ids):
        copies = plainly(ids)
        put(asset.temp_storage_path, PNG + b"new")
        return copies

    monkeypatch.setattr(dispositions, "copy_to_library", copy)
    outcome = promote([asset.pk], actor=admin)[asset.pk]
    assert outcome == failed("The file was changed while it was being copied")
    monkeypatch.undo()
    assert promote([asset.pk], actor=admin) == {asset.pk: DONE}


def test_a_thumbnail_beside_two_files_stays_with_the_one_that_stays(admin, home, put, with_file):
    picture, film = with_file(key="user/0.png"), with_file(key="user/0.mp4")
    thumbnail = put("user/0.thumb.webp")
    delete([picture.pk], actor=admin)
    let_grace_run_out()
    assert purge() == (1, 0)
    assert not (home / "workspace/user/0.png").exists()
    assert thumbnail.exists()
    delete([film.pk], actor=admin)
    let_grace_run_out()
    assert purge() == (1, 0)
    assert not thumbnail.exists()


@pytest.mark.django_db(transaction=True)
def test_a_return_to_a_job_that_is_gone_is_refused_in_plain_words(admin):
    asset = make_asset()
    delete([asset.pk], actor=admin)
    sql("DELETE FROM jobs WHERE id = %s", asset.job_id)
    outcome = restore([entry_of(asset).pk], actor=admin)[asset.pk]
    assert outcome == failed(
        "The database refused: its user or its job is gone, and a row here has to name one that is there"
    )
