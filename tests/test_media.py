"""Files and previews over HTTP: what is sent, to whom, and what a browser may do with it."""

import io
import os
import uuid
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.core.signals import request_finished
from django.db import close_old_connections, connection
from django.http.response import HttpResponseBase
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.http import http_date
from hypothesis import given
from hypothesis import strategies as st

from assets.models import LibraryAsset, WorkspaceAsset
from assets.storage import FileFault
from assets.views.ranged import Unsatisfiable, parse_range, ranged_response
from tests.factories import make_asset, make_user
from tests.samples import BLUE, RED, colour_at, is_like, picture, plain, video
from tests.stores import ON_S3, Browser, folders_only, set_time

MODIFIED = 1_700_000_000.5
CONTENT = picture(".png")
LINKED = folders_only("it has links")


def body(response: HttpResponseBase) -> bytes:
    """All that is sent. Closes the response, but not the connection that the test still needs."""
    content = response.getvalue() if response.streaming else response.content
    request_finished.disconnect(close_old_connections)
    response.close()
    request_finished.connect(close_old_connections)
    return content


# --- Ranges ------------------------------------------------------------------

SPANS = [
    # header, size, first and end of the answer; None: the whole file; (): no byte of it
    ("bytes=0-0", 10, (0, 1)),
    ("bytes=0-9", 10, (0, 10)),
    ("bytes=2-5", 10, (2, 6)),
    ("bytes=9-", 10, (9, 10)),
    ("bytes=0-", 10, (0, 10)),
    ("bytes=5-999", 10, (5, 10)),
    ("bytes=-3", 10, (7, 10)),
    ("bytes=-10", 10, (0, 10)),
    ("bytes=-999", 10, (0, 10)),
    ("BYTES=2-5", 10, (2, 6)),
    ("bytes= 2-5 ", 10, (2, 6)),
    ("bytes=0000000002-05", 10, (2, 6)),
    ("bytes=10-", 10, ()),
    ("bytes=10-20", 10, ()),
    ("bytes=-0", 10, ()),
    ("bytes=0-", 0, ()),
    ("bytes=-5", 0, None),
    ("", 10, None),
    ("bytes=", 10, None),
    ("bytes=-", 10, None),
    ("bytes=5-2", 10, None),
    ("bytes=20-12", 10, None),
    ("bytes=0-1,3-4", 10, None),
    ("bytes=a-b", 10, None),
    ("bytes=--5", 10, None),
    ("bytes=1.5-2", 10, None),
    ("bytes=\u0663-", 10, None),  # a digit, but no ASCII one
    ("bytes 2-5", 10, None),
    ("items=2-5", 10, None),
    ("2-5", 10, None),
    ("bytes=" + "9" * 5000 + "-", 10, None),
]


@pytest.mark.parametrize(("header", "size", "expected"), SPANS)
def test_a_range_is_read_as_the_standard_says(header, size, expected):
    if expected == ():
        with pytest.raises(Unsatisfiable):
            parse_range(header, size)
    else:
        assert parse_range(header, size) == (expected and range(*expected))


@given(
    content=st.binary(min_size=1, max_size=50),
    first=st.none() | st.integers(0, 60),
    last=st.none() | st.integers(0, 60),
)
def test_a_part_is_what_a_slice_would_be(content, first, last):
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    request = RequestFactory().get("/", headers={"Range": header})
    file = io.BytesIO(content)
    response = ranged_response(request, file, content_type="image/png", modified_at=datetime.now(UTC))
    sent = body(response)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        assert (response.status_code, sent) == (200, content)
    elif (last == 0 and first is None) or (first is not None and first >= len(content)):
        assert (response.status_code, sent) == (416, b"")
        assert response["Content-Range"] == f"bytes */{len(content)}"
    else:
        part = content[-last:] if first is None else content[first : None if last is None else last + 1]
        assert (response.status_code, sent) == (206, part)
        assert response["Content-Length"] == str(len(part))
        start = len(content) - len(part) if first is None else first
        assert response["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{len(content)}"
    assert file.closed


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    "headers", [{}, {"Range": "bytes=1-2"}, {"Range": "bytes=99-"}, {"If-None-Match": "*"}]
)
def test_the_file_is_closed_whatever_the_answer(method, headers):
    file = io.BytesIO(b"0123456789")
    request = getattr(RequestFactory(), method)("/", headers=headers)
    body(ranged_response(request, file, content_type="image/png", modified_at=datetime.now(UTC)))
    assert file.closed


def test_a_large_file_is_sent_in_blocks():
    content = os.urandom(600_000)
    request = RequestFactory().get("/", headers={"Range": "bytes=1-599998"})
    response = ranged_response(
        request, io.BytesIO(content), content_type="video/mp4", modified_at=datetime.now(UTC)
    )
    blocks = list(response)
    assert [len(block) for block in blocks] == [262_144, 262_144, 75_710]
    assert b"".join(blocks) == content[1:-1]
    body(response)


# --- Assets and people -------------------------------------------------------


@pytest.fixture
def store(store_folders):
    """Both stores and the previews in folders of this test; returns the one above them."""
    cache.clear()
    return store_folders


def put(store: Path, path: str, content: bytes) -> Path:
    file = store / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    set_time(file, MODIFIED)
    return file


def workspace_asset(path: str = "user/0.png", **columns: object) -> WorkspaceAsset:
    return make_asset(temp_storage_path=path, **columns)


def library_asset(path: str = "user/0.png", **columns: object) -> LibraryAsset:
    columns = {"user": make_user(), "mime_type": "image/png"} | columns
    return LibraryAsset.objects.create(asset_type="image", storage_path=path, file_size_bytes=0, **columns)


def person(*codenames: str) -> User:
    user = User.objects.create_user(username=f"person-{uuid.uuid4()}")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
def viewer(client, db, store):
    """A browser of someone who may see both kinds of assets."""
    client.force_login(person("view_workspaceasset", "view_libraryasset"))
    return client


@pytest.fixture
def browser(db, store):
    """The same, going on to the store where it is sent there."""
    browser = Browser()
    browser.force_login(person("view_workspaceasset", "view_libraryasset"))
    return browser


def address(name: str, asset: WorkspaceAsset | LibraryAsset) -> str:
    return reverse(name, args=[asset.pk])


KINDS = [("asset", "workspace", workspace_asset), ("library", "library", library_asset)]
each_kind = pytest.mark.parametrize(("kind", "folder", "create"), KINDS, ids=["workspace", "library"])
each_view = pytest.mark.parametrize("view", ["file", "preview"])

# --- Who may look ------------------------------------------------------------


@each_view
@each_kind
def test_media_needs_a_login(client, db, store, kind, folder, create, view):
    url = address(f"{kind}_{view}", create())
    response = client.get(url)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("login"))


@each_view
@each_kind
def test_media_needs_the_permission_to_view_its_kind(browser, store, db, kind, folder, create, view):
    put(store, f"{folder}/user/0.png", CONTENT)
    url = address(f"{kind}_{view}", create())
    own, other = "view_workspaceasset", "view_libraryasset"
    if kind == "library":
        own, other = other, own
    browser.force_login(person(other))
    assert browser.get(url).status_code == 403
    browser.force_login(person(own))
    assert body(browser.get(url))


@each_view
@each_kind
def test_media_is_only_for_reading(viewer, store, kind, folder, create, view):
    url = address(f"{kind}_{view}", create())
    assert viewer.post(url).status_code == 405


@each_view
@pytest.mark.parametrize("kind", ["asset", "library"])
def test_no_row_is_not_found(viewer, kind, view):
    assert viewer.get(reverse(f"{kind}_{view}", args=[uuid.uuid4()])).status_code == 404


@each_view
@each_kind
def test_one_query_fetches_the_row_with_few_columns(viewer, store, kind, folder, create, view):
    put(store, f"{folder}/user/0.png", CONTENT)
    asset = create()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        body(viewer.get(address(f"{kind}_{view}", asset)))
    table = asset._meta.db_table
    about_assets = [query["sql"] for query in queries if f'FROM "{table}"' in query["sql"]]
    assert len(about_assets) == 1
    assert about_assets[0].count('"original_prompt"') == 0
    # The rest is who is asking: session, user, permissions of their own and of their groups.
    assert len(queries) <= 5


# --- Files -------------------------------------------------------------------


@each_kind
def test_a_file_is_sent_whole(browser, store, kind, folder, create):
    put(store, f"{folder}/user/0.png", CONTENT)
    asset = create()
    response = browser.get(address(f"{kind}_file", asset))
    assert response.status_code == 200
    assert response["Content-Type"] == "image/png"
    assert response["Content-Length"] == str(len(CONTENT))
    assert response["Content-Disposition"] == f'inline; filename="{asset.pk}.png"'
    assert response["Accept-Ranges"] == "bytes"
    assert response["Last-Modified"] == http_date(int(MODIFIED))
    assert response["Cache-Control"] == f"private, max-age={600 if ON_S3 else 3600}"
    assert body(response) == CONTENT


@pytest.mark.parametrize(
    "path", ["workspace-temp/user/0.png", "https://host/x/workspace-temp/user/0.png?token=1"]
)
def test_every_way_to_write_a_path_finds_the_file(browser, store, path):
    put(store, "workspace/user/0.png", CONTENT)
    assert body(browser.get(address("asset_file", workspace_asset(path)))) == CONTENT


@pytest.mark.parametrize(
    ("content", "mime", "extension"),
    [
        (lambda: picture(".jpg"), "image/jpeg", "jpg"),
        (lambda: picture(".avif"), "image/avif", "avif"),
        (lambda: video("mp4"), "video/mp4", "mp4"),
        (lambda: video("webm", "libvpx"), "video/webm", "webm"),
    ],
    ids=["jpeg", "avif", "mp4", "webm"],
)
def test_the_bytes_say_what_a_file_is(browser, store, content, mime, extension):
    put(store, "workspace/user/0.png", content())
    asset = workspace_asset("user/0.png", mime_type="text/html")
    response = browser.get(address("asset_file", asset))
    assert response["Content-Type"] == mime
    assert response["Content-Disposition"] == f'inline; filename="{asset.pk}.{extension}"'
    body(response)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"",
    ],
    ids=["svg", "html", "pdf", "empty"],
)
def test_an_unknown_file_is_only_ever_a_download(browser, store, content):
    put(store, "workspace/user/0.png", content)
    asset = workspace_asset("user/0.png", mime_type="image/svg+xml")
    response = browser.get(address("asset_file", asset))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == f'attachment; filename="{asset.pk}.bin"'
    assert body(response) == content


def test_a_download_has_a_name_with_the_real_extension(browser, store):
    put(store, "workspace/user/0.png", picture(".webp"))
    asset = workspace_asset("user/0.png")
    response = browser.get(address("asset_file", asset), {"download": "1"})
    assert response["Content-Disposition"] == f'attachment; filename="{asset.pk}.webp"'
    assert response["Content-Type"] == "image/webp"
    body(response)


@pytest.mark.parametrize("content", [CONTENT, b"<script>alert(1)</script>"], ids=["known", "unknown"])
@each_view
def test_media_can_do_nothing_in_a_browser(viewer, store, view, content):
    put(store, "workspace/user/0.png", content)
    response = viewer.get(address(f"asset_{view}", workspace_asset()))
    policy = [directive.strip() for directive in response["Content-Security-Policy"].split(";")]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert not any("script" in directive or "unsafe" in directive for directive in policy)
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"].startswith("private, ")
    body(response)


@folders_only("of an S3 server, the answer has no policy")
def test_a_video_opened_on_its_own_may_load_itself_and_run_nothing(viewer, store):
    put(store, "workspace/user/0.mp4", video())
    response = viewer.get(address("asset_file", workspace_asset("user/0.mp4")))
    policy = [directive.strip() for directive in response["Content-Security-Policy"].split(";")]
    assert {"default-src 'none'", "media-src 'self'", "sandbox allow-same-origin"} <= set(policy)
    body(response)


def test_one_range_is_sent_as_a_part(browser, store):
    put(store, "workspace/user/0.png", CONTENT)
    response = browser.get(address("asset_file", workspace_asset()), headers={"Range": "bytes=10-19"})
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes 10-19/{len(CONTENT)}"
    assert response["Content-Length"] == "10"
    assert response["Content-Type"] == "image/png"
    assert body(response) == CONTENT[10:20]


@folders_only("an S3 server answers ranges and conditions by itself")
def test_a_range_behind_the_end_is_refused(viewer, store):
    put(store, "workspace/user/0.png", CONTENT)
    response = viewer.get(address("asset_file", workspace_asset()), headers={"Range": "bytes=999999-"})
    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{len(CONTENT)}"
    assert body(response) == b""


@folders_only("an S3 server answers ranges and conditions by itself")
def test_several_ranges_are_answered_with_the_whole_file(viewer, store):
    put(store, "workspace/user/0.png", CONTENT)
    response = viewer.get(address("asset_file", workspace_asset()), headers={"Range": "bytes=0-1,5-6"})
    assert response.status_code == 200
    assert body(response) == CONTENT


@folders_only("an S3 server answers ranges and conditions by itself")
def test_a_head_has_the_headers_alone(viewer, store):
    put(store, "workspace/user/0.png", CONTENT)
    response = viewer.head(address("asset_file", workspace_asset()), headers={"Range": "bytes=10-19"})
    assert response.status_code == 200, "a range is defined for GET only"
    assert response["Content-Length"] == str(len(CONTENT))
    assert response["Content-Type"] == "image/png"
    assert response["Accept-Ranges"] == "bytes"
    assert body(response) == b""


@folders_only("an S3 server answers ranges and conditions by itself")
def test_a_file_that_has_not_changed_is_not_sent_again(viewer, store):
    file = put(store, "workspace/user/0.png", CONTENT)
    url = address("asset_file", workspace_asset())
    first = viewer.get(url)
    body(first)
    conditions = [
        {"If-None-Match": first["ETag"]},
        {"If-None-Match": f'"other", W/{first["ETag"]}'},
        {"If-Modified-Since": first["Last-Modified"]},
        {"If-None-Match": first["ETag"], "Range": "bytes=0-1"},
    ]
    for headers in conditions:
        response = viewer.get(url, headers=headers)
        assert response.status_code == 304
        assert response["ETag"] == first["ETag"]
        assert response["Cache-Control"] == first["Cache-Control"]
        assert body(response) == b""
    os.utime(file, (MODIFIED + 1, MODIFIED + 1))
    for headers in conditions[:3]:
        response = viewer.get(url, headers=headers)
        assert response.status_code == 200
        assert body(response) == CONTENT


@folders_only("an S3 server answers ranges and conditions by itself")
def test_a_failed_precondition_is_said(viewer, store):
    put(store, "workspace/user/0.png", CONTENT)
    response = viewer.get(address("asset_file", workspace_asset()), headers={"If-Match": '"other"'})
    assert response.status_code == 412
    assert body(response) == b""


@folders_only("an S3 server answers ranges and conditions by itself")
def test_a_part_is_only_sent_of_the_file_that_is_meant(viewer, store):
    put(store, "workspace/user/0.png", CONTENT)
    url = address("asset_file", workspace_asset())
    first = viewer.get(url)
    body(first)
    part = {"Range": "bytes=0-1"}
    for same in (first["ETag"], first["Last-Modified"]):
        assert body(viewer.get(url, headers=part | {"If-Range": same})) == CONTENT[:2]
    for other in (
        '"other"',
        f"W/{first['ETag']}",
        http_date(MODIFIED - 100),
        http_date(MODIFIED + 100),
        "nonsense",
    ):
        response = viewer.get(url, headers=part | {"If-Range": other})
        assert response.status_code == 200
        assert body(response) == CONTENT


@each_kind
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("user/none.png", "The file is missing from the store"),
        ("", "The path is empty"),
        ("user/../../secret", "The path leaves the store"),
        ("/etc/passwd", "The path leaves the store"),
        ("https://elsewhere.example/0.png", "The address is not in this store"),
        ("folder", "The file is missing from the store" if ON_S3 else "The path names a folder"),
    ],
)
def test_a_file_that_is_not_there_says_why_on_a_page(viewer, store, kind, folder, create, path, reason):
    put(store, f"{folder}/folder/0.png", CONTENT)
    put(store, "secret", b"secret")
    asset = create(path)
    response = viewer.get(address(f"{kind}_file", asset))
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
    text = response.content.decode()
    assert reason in text
    assert str(asset.pk) in text
    assert "sandbox" not in response.get("Content-Security-Policy", ""), "the page has its styles"


# --- Previews ----------------------------------------------------------------


@each_kind
def test_a_preview_is_a_small_webp_that_is_kept(viewer, store, kind, folder, create):
    put(store, f"{folder}/user/0.png", picture(".png", 1024, 768))
    asset = create()
    response = viewer.get(address(f"{kind}_preview", asset))
    assert response.status_code == 200
    assert response["Content-Type"] == "image/webp"
    assert response["Cache-Control"] == "private, max-age=604800"
    assert is_like(colour_at(response.content, 0.2, 0.5), RED)
    name = f"{folder}/{asset.pk.hex[:2]}/{asset.pk}.webp"
    assert (store / "previews" / name).read_bytes() == response.content


def test_the_two_kinds_do_not_share_previews(viewer, store):
    put(store, "workspace/user/0.png", picture(".png", image=plain(60, 40, RED)))
    put(store, "library/user/0.png", picture(".png", image=plain(60, 40, BLUE)))
    asset = workspace_asset()
    saved = library_asset(id=asset.id)
    assert is_like(colour_at(viewer.get(address("asset_preview", asset)).content, 0.5, 0.5), RED)
    assert is_like(colour_at(viewer.get(address("library_preview", saved)).content, 0.5, 0.5), BLUE)


def test_a_preview_that_has_not_changed_is_not_sent_again(viewer, store):
    put(store, "workspace/user/0.png", CONTENT)
    url = address("asset_preview", workspace_asset())
    first = viewer.get(url)
    again = viewer.get(url, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Cache-Control"] == first["Cache-Control"]
    assert viewer.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_thumbnail_of_the_product_is_preferred(viewer, store):
    put(store, "workspace/user/0.mp4", video())
    put(store, "workspace/user/0.thumb.webp", picture(".webp", image=plain(60, 40, BLUE)))
    asset = workspace_asset("user/0.mp4", thumbnail_path="user/0.thumb.webp")
    assert is_like(colour_at(viewer.get(address("asset_preview", asset)).content, 0.2, 0.5), BLUE)


@pytest.mark.parametrize("thumbnail", [None, "", "user/none.thumb.webp", "user/0.thumb.webp", "../../secret"])
def test_without_a_sound_thumbnail_the_file_is_shown(viewer, store, thumbnail):
    put(store, "workspace/user/0.png", CONTENT)
    put(store, "workspace/user/0.thumb.webp", b"<html>not found</html>")
    asset = workspace_asset(thumbnail_path=thumbnail)
    assert is_like(colour_at(viewer.get(address("asset_preview", asset)).content, 0.2, 0.5), RED)


def test_the_thumbnail_is_shown_when_the_file_is_gone(viewer, store):
    put(store, "workspace/user/0.thumb.webp", picture(".webp"))
    asset = workspace_asset("user/gone.mp4", thumbnail_path="user/0.thumb.webp")
    assert viewer.get(address("asset_preview", asset))["Content-Type"] == "image/webp"


@each_kind
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("user/none.png", "The file is missing from the store"),
        ("user/broken.png", "The file is not a known image or video"),
        ("user/empty.png", "The file is empty"),
        ("user/cut.jpg", "The file is truncated"),
        ("../secret.png", "The path leaves the store"),
        pytest.param("user/link.png", "The path leaves the store by a link", marks=LINKED),
    ],
)
def test_a_placeholder_says_why_there_is_no_preview(viewer, store, kind, folder, create, path, reason):
    put(store, f"{folder}/user/broken.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    put(store, f"{folder}/user/empty.png", b"")
    put(store, f"{folder}/user/cut.jpg", picture(".jpg")[:2000])
    if path == "user/link.png":
        (store / folder / path).symlink_to(put(store, "secret.png", CONTENT))
    response = viewer.get(address(f"{kind}_preview", create(path)))
    assert response.status_code == 200, "or an <img> would show nothing"
    assert response["Content-Type"] == "image/svg+xml"
    assert response["Cache-Control"] == "private, max-age=60"
    assert response["X-Preview-Fault"] == reason
    assert reason in _words(response.content)


def _words(svg: bytes) -> str:
    spans = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}tspan")
    lines = [span.text for span in spans]
    assert all(len(line) <= 24 for line in lines), "or a line would leave the picture"
    return " ".join(lines)


def test_a_placeholder_is_sound_whatever_the_reason(viewer, store, monkeypatch):
    def fail(*args):
        raise FileFault("<script>&\"'</script> žluťoučký")

    monkeypatch.setattr("assets.views.media.preview", fail)
    response = viewer.get(address("asset_preview", workspace_asset()))
    assert _words(response.content) == "<script>&\"'</script> žluťoučký"
    assert response["X-Preview-Fault"] == "<script>&\"'</script> ?lu?ou?k?"
    assert b"<script" not in response.content
