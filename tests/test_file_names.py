"""Which rows name a file: what the indexes say of a path, and what Python does."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from django.db import connection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets import file_names
from assets.file_names import named_keys
from assets.models import LibraryAsset, WorkspaceAsset
from assets.models.upstream import StoreKey
from assets.storage import LIBRARY, LIBRARY_BUCKET, WORKSPACE, WORKSPACE_BUCKET, PathFault, key_of
from tests.factories import make_asset, make_assets

pytestmark = pytest.mark.django_db

# --- What SQL makes of a path ------------------------------------------------

PIECES = [
    "workspace-temp", "user-library", "Workspace-Temp", "workspace-temp%2F", "%77orkspace-temp", "a", "x.png",
    "žluť", "%C5%BE", "%ff", "%", "%4", "%4g", "%00", "%01", "%0a", "%20", "%25", "%2541", "%2e",
    "%2F", "%3F", "%23", "%22", "%5C", "%7F", "%80", "?", "#", "/", "//", "\t", "\n", "\r", "\x01",
    "\x7f", "\x85", '"', "'", "\\", "\\u0041", " ", ";", "@", ":80", ".", "..", "&", "{}", "$", "ſ", "K",
]  # fmt: skip
PREFIXES = ["http://", "HTTPS://", "s3+http://", "file:///", "http:/", "ht\ttp://", "://", " http://", "ſ://"]
HOSTS = [
    "",
    "files.example",
    "workspace-temp",
    "user-library:9000",
    "me:workspace-temp@workspace-temp",
    "[::1]",
]


@st.composite
def addresses(draw):
    pieces = st.lists(st.sampled_from(PIECES), max_size=6)
    start = draw(st.sampled_from(["", *(prefix + host for prefix in PREFIXES for host in HOSTS)]))
    middle = draw(st.sampled_from(["", "/", "/workspace-temp/", "/user-library/", "workspace-temp/"]))
    return start + "".join(draw(pieces)) + middle + "".join(draw(pieces))


def by_sql(path, bucket):
    """What an index stores for a path."""
    key = StoreKey("path", bucket=bucket).template % {"expressions": "path", "bucket": bucket}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT {} FROM (SELECT %s::text AS path) AS row".format(key.replace("%", "%%")), [path]
        )
        return cursor.fetchone()[0]


IN_HOSTS = [
    "http://workspace-temp/workspace-temp/shared/x.png",
    "HTTP://workspace-temp:9000/workspace-temp/shared/x.png",
    "https://me:secret@workspace-temp/workspace-temp/shared/x.png?token=/workspace-temp/y",
    "https://workspace-temp/v1/workspace-temp/shared/x.png#/workspace-temp/y",
    "https://a/workspace-temp/shared/x.png",
    "http:///workspace-temp/shared/x.png",
]
WRITTEN_IN_CODE = [
    "https://a/workspace-temp/shared%2Fx.png",
    "https://a/%77orkspace-temp/%73hared/x%2epng?%",
    "https://workspace%2Dtemp/workspace%2Dtemp/shared/x.png",
]


@pytest.mark.parametrize("path", [*IN_HOSTS, *WRITTEN_IN_CODE])
def test_the_index_finds_the_key_of_an_address(path):
    assert key_of(path, WORKSPACE_BUCKET) == "shared/x.png"
    assert by_sql(path, WORKSPACE_BUCKET) == "shared/x.png"


@pytest.mark.parametrize(
    "name", ["a b.png", "100%.png", "a?b#c.png", "%41.png", "it's.png", '"{}.png', "a&b;c"]
)
def test_an_address_in_ascii_is_read_without_python(name):
    assert by_sql(f"https://a/workspace-temp/{quote(name)}", WORKSPACE_BUCKET) == name


def test_an_index_stores_nothing_for_no_path():
    assert by_sql(None, WORKSPACE_BUCKET) is None


@settings(max_examples=400)
@given(path=addresses(), bucket=st.sampled_from([WORKSPACE_BUCKET, LIBRARY_BUCKET]))
@example(path=IN_HOSTS[0], bucket=WORKSPACE_BUCKET)
def test_no_index_has_another_key_for_a_path_than_python(path, bucket):
    stored = by_sql(path.replace("\0", ""), bucket)  # and no path makes it fail
    with suppress(PathFault):
        assert stored in (key_of(path, bucket), StoreKey.JUDGED_BY_PYTHON)


# --- Which rows name a key ---------------------------------------------------


@pytest.mark.parametrize("path", [*IN_HOSTS, *WRITTEN_IN_CODE, "https://a/workspace-temp/sh\nared/x.png"])
@pytest.mark.parametrize("column", ["temp_storage_path", "thumbnail_path"])
def test_a_row_that_names_a_file_by_an_address_is_found(path, column):
    make_asset(**{column: path})
    assert named_keys(WORKSPACE, ["shared/x.png", "shared/y.png"]) == {"shared/x.png"}


def test_a_saved_row_that_names_a_file_by_an_address_is_found():
    asset = make_asset()
    values = {"asset_type": "image", "file_size_bytes": 1, "mime_type": "image/png", "user_id": asset.user_id}
    LibraryAsset.objects.create(storage_path="http://user-library/user-library/x.png", **values)
    assert named_keys(LIBRARY, ["x.png"]) == {"x.png"}


@pytest.fixture
def judged(monkeypatch):
    """The paths that are read in Python, and how many rows come at once."""
    paths, real = [], file_names._key
    monkeypatch.setattr(file_names, "_key", lambda path, store: paths.append(path) or real(path, store))
    monkeypatch.setattr(file_names, "ROWS_AT_ONCE", 10)
    return paths


def test_other_addresses_written_in_code_are_not_read(judged):
    for number in range(20):
        make_asset(temp_storage_path=f"https://a/workspace-temp/a%20b%2F{number}.png")
    assert named_keys(WORKSPACE, ["a b/7.png"]) == {"a b/7.png"}
    assert judged == ["https://a/workspace-temp/a%20b%2F7.png"]


def test_no_more_is_read_than_it_takes(judged, monkeypatch):
    make_assets(50, temp_storage_path="https://a/workspace-temp/%C5%BE.png")
    read = []
    real = connection.chunked_cursor
    monkeypatch.setattr(connection, "chunked_cursor", lambda: read.append(real()) or read[-1])
    assert named_keys(WORKSPACE, ["ž.png"]) == {"ž.png"}
    assert len(judged) == 1
    assert len(read) == 1  # by a cursor of the server's, so that the others are not even fetched
    assert named_keys(WORKSPACE, ["other.png"]) == set()
    assert len(judged) == 51


@pytest.mark.parametrize("column", ["temp_storage_path", "thumbnail_path"])
def test_the_rows_are_found_by_an_index(column):
    make_assets(3)
    rows = file_names._naming(WorkspaceAsset.objects.all(), file_names.F(column), WORKSPACE, ["x.png"])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = rows.explain()
    assert "assets_file_key" in plan or "assets_thumbnail_key" in plan, plan


@pytest.mark.django_db(transaction=True)
def test_the_database_gathers_no_more_than_is_fetched(judged, monkeypatch):
    make_assets(5, temp_storage_path="https://a/workspace-temp/%C5%BE.png")
    in_transaction = []
    real = connection.chunked_cursor
    monkeypatch.setattr(
        connection, "chunked_cursor", lambda: in_transaction.append(connection.in_atomic_block) or real()
    )
    assert named_keys(WORKSPACE, ["ž.png"]) == {"ž.png"}
    assert in_transaction == [True]


@pytest.mark.parametrize(
    "path", ["https://a/workspace-temp/" + "%20" * 500_000, "https://" + "a" * 2_000_000]
)
def test_no_length_of_an_address_keeps_it_from_being_written(path):
    make_asset(temp_storage_path=path)
    assert named_keys(WORKSPACE, ["x.png"]) == set()
