"""Stores that are buckets of an S3 service: what it is asked, and what becomes of all that it may answer."""

import io
import re
import threading
from collections import Counter
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from django.utils import timezone

from assets import dispositions
from assets.demo.build import build
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.outcomes import State
from assets.purge import purge
from assets.storage import LIBRARY, WORKSPACE, Copied, FileFault, MissingFile, PathFault, Served, StoreTrouble
from assets.stores import buckets, clients, copying, objects, uploads
from tests import s3, samples
from tests.factories import make_asset

PNG = samples.picture(".png", 8, 8)
OPTIONS = {"region_name": "us-east-1", "default_acl": None}


@pytest.fixture(scope="module")
def server():
    """With keys in the environment, as for the dashboard itself."""
    server = s3.Server()
    client = server.client()
    for name in ("product", "kept"):
        client.create_bucket(Bucket=name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.KEYS.items():
            patch.setenv(name, value)
        yield server
    server.stop()


@pytest.fixture(autouse=True)
def _stores(settings, tmp_path, server):
    def bucket(name, location):
        options = OPTIONS | {"bucket_name": name, "location": location, "endpoint_url": server.url}
        return {"BACKEND": "assets.stores.clients.BucketStorage", "OPTIONS": options}

    settings.STORAGES = settings.STORAGES | {
        "workspace": bucket("product", "temp/files"),
        "library": bucket("kept", ""),
        "previews": settings.STORAGES["previews"] | {"OPTIONS": {"location": tmp_path / "previews"}},
    }
    server.requests.clear()
    yield
    for name in ("product", "kept"):
        s3.empty(name)


def change(settings, *aliases, **options):
    for alias in aliases:
        place = settings.STORAGES[alias]
        place = place | {"OPTIONS": place["OPTIONS"] | options}
        settings.STORAGES = settings.STORAGES | {alias: place}


def put(key, content=PNG, store=WORKSPACE):
    return store.put(io.BytesIO(content), key)


def content_of(path, store=WORKSPACE):
    with store.open(path) as file:
        return file.read()


# --- Reading -----------------------------------------------------------------


def test_a_file_is_found_by_any_of_its_paths_behind_the_prefix(server):
    put("user/0.png")
    assert server.requests[0] == "PUT /product/temp/files/user/0.png"
    signed = "https://storage.example/storage/v1/object/sign/workspace-temp/user/0.png?token=1"
    for path in ("user/0.png", "workspace-temp/user/0.png", signed):
        assert content_of(path) == PNG
        assert WORKSPACE.format_of(path).mime == "image/png"
        assert WORKSPACE.facts(path).size == len(PNG)


def test_a_large_file_is_read_in_parts_from_anywhere(server, monkeypatch):
    monkeypatch.setattr(objects, "FIRST_BYTES", 10)
    monkeypatch.setattr(objects, "PART_BYTES", 7)
    monkeypatch.setattr(objects, "BUFFER_BYTES", 5)
    content = bytes(range(100))
    put("user/0.bin", content)
    with WORKSPACE.open("user/0.bin") as file:
        assert file.read() == content
        for place in (0, 9, 10, 16, 17, 50, 99, 100):
            assert file.seek(place) == place
            assert file.read(20) == content[place : place + 20]
        assert file.seek(0, io.SEEK_END) == 100
        assert file.seek(-3, io.SEEK_CUR) == 97
        with pytest.raises(ValueError, match="before the first byte"):
            file.raw.seek(-1)


def test_a_file_without_bytes_is_one():
    put("user/empty.png", b"")
    assert content_of("user/empty.png") == b""
    assert WORKSPACE.format_of("user/empty.png") is None
    assert WORKSPACE.facts("user/empty.png").size == 0


def test_what_would_be_a_folder_is_no_file():
    put("user/0.png/inside.png")
    for path in ("user", "user/0.png"):
        assert not WORKSPACE.exists(path)
        with pytest.raises(MissingFile):
            WORKSPACE.open(path)
    assert isinstance(WORKSPACE.remove(["user/0.png"])["user/0.png"], MissingFile)
    assert WORKSPACE.exists("user/0.png/inside.png")


def test_a_file_that_is_replaced_while_it_is_read_is_never_half_of_each(monkeypatch):
    monkeypatch.setattr(objects, "FIRST_BYTES", 10)
    put("user/0.bin", bytes(100))
    with WORKSPACE.open("user/0.bin") as file:
        put("user/0.bin", b"x" * 100)
        with pytest.raises(FileFault, match=r"^The file was changed while it was read$"):
            file.read()


LOOKS = [WORKSPACE.open, WORKSPACE.facts, WORKSPACE.format_of, WORKSPACE.exists]

REFUSALS = [
    ("AccessDenied", "403 Forbidden", FileFault, "The store does not allow reading the file"),
    ("SignatureDoesNotMatch", "403 Forbidden", FileFault, "The store does not allow reading the file"),
    ("SlowDown", "503 Slow Down", StoreTrouble, "The store is too busy, or out of order"),
    ("InternalError", "500 Internal Server Error", StoreTrouble, "The store is too busy, or out of order"),
    ("Nonsense", "418 I'm a teapot", FileFault, r"The store cannot read the file \(.*\)"),
]


@pytest.fixture
def _few_tries(monkeypatch):
    """The client's waits between tries are for people's networks."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0)


@pytest.mark.usefixtures("_few_tries")
@pytest.mark.parametrize(("code", "status", "kind", "reason"), REFUSALS)
def test_a_refusal_is_a_fault_in_words(server, code, status, kind, reason):
    put("user/0.png")
    with server.failing(s3.refusal(code, status, key="0.png")):
        for look in LOOKS:
            with pytest.raises(kind, match=f"^{reason}$") as raised:
                look("user/0.png")
            assert raised.value.transient == (kind is StoreTrouble)


def test_a_missing_file_and_a_missing_bucket_are_told_apart(settings, server):
    for look in LOOKS[:3]:
        with pytest.raises(MissingFile):
            look("user/none.png")
    assert not WORKSPACE.exists("user/none.png")
    options = settings.STORAGES["workspace"]["OPTIONS"] | {"bucket_name": "nobodys"}
    settings.STORAGES = settings.STORAGES | {
        "workspace": settings.STORAGES["workspace"] | {"OPTIONS": options}
    }
    for look in (*LOOKS, lambda path: list(WORKSPACE.walk()), lambda path: put("user/0.png")):
        with pytest.raises(FileFault, match=r"^The store's bucket does not exist$") as raised:
            look("user/0.png")
        assert not isinstance(raised.value, MissingFile)
    assert str(WORKSPACE.remove(["user/0.png"])["user/0.png"]) == "The store's bucket does not exist"


@pytest.mark.usefixtures("_few_tries")
def test_a_service_that_is_busy_for_a_moment_is_asked_again(server):
    put("user/0.png")
    with server.failing(s3.refusal("SlowDown", "503 Slow Down", times=2)):
        assert content_of("user/0.png") == PNG


@pytest.mark.parametrize("breaks", [2, 10])
def test_a_connection_that_breaks_within_a_file_is_made_again(server, breaks):
    """And when it goes on breaking, the file is not there for now, but nothing is half."""
    put("user/0.png")
    with server.failing(s3.cut_off(after=20, times=breaks)):
        if breaks < objects.TRIES:
            assert content_of("user/0.png") == PNG
        else:
            with pytest.raises(StoreTrouble, match=r"^The store does not answer$"):
                content_of("user/0.png")


@pytest.fixture
def silence(server, monkeypatch):
    """A service that takes requests and does not answer; for a short time, here."""
    released = threading.Event()
    monkeypatch.setattr(clients, "QUICK_SECONDS", 0.2)
    monkeypatch.setattr(clients, "WORK_SECONDS", 0.2)
    monkeypatch.setattr(clients, "WORK_TRIES", 1)
    clients._config.cache_clear()
    clients._client.cache_clear()
    yield server.failing(lambda environ, start: released.wait(30) and None)
    released.set()
    clients._config.cache_clear()
    clients._client.cache_clear()


def test_a_service_that_does_not_answer_is_not_waited_for(server, silence):
    put("user/0.png")
    server.requests.clear()
    with silence:
        for look in (WORKSPACE.open, WORKSPACE.format_of):
            with pytest.raises(StoreTrouble, match=r"^The store does not answer$"):
                look("user/0.png")
    assert len(server.requests) == 2, "the client has its own tries, which nobody multiplies"


@pytest.mark.usefixtures("_few_tries")
def test_what_holds_locks_asks_a_service_that_does_not_answer_for_a_few_files_alone(
    server, silence, monkeypatch
):
    """Or of hundreds each would be waited for, while nothing can come back."""
    monkeypatch.setattr(clients, "WORK_SECONDS", 30)
    monkeypatch.setattr(buckets, "PATIENCE", 0.1)
    keys = [f"user/{number}.png" for number in range(100)]
    with silence:
        results = WORKSPACE.remove(keys)
    assert all(isinstance(fault, StoreTrouble) for fault in results.values())
    assert Counter(map(str, results.values()))["The store takes too long to answer"] > 50
    assert len(server.requests) <= 2 * (16 + 1)  # tries, of those at once and of the removal


@pytest.mark.usefixtures("_few_tries")
def test_a_service_that_is_down_is_a_fault_that_may_pass(settings):
    options = settings.STORAGES["workspace"]["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:9"}
    settings.STORAGES = settings.STORAGES | {
        "workspace": settings.STORAGES["workspace"] | {"OPTIONS": options}
    }
    for look in (*LOOKS, lambda path: list(WORKSPACE.walk()), lambda path: put("user/0.png")):
        with pytest.raises(StoreTrouble, match=r"^The store does not answer$"):
            look("user/0.png")


def test_all_files_are_listed_and_what_stands_for_a_folder_is_not(server):
    client = server.client()
    for number in range(1_050):
        s3.add("product", f"temp/files/user/{number}.png", b"x")
    s3.add("product", "temp/files/user/", b"")
    s3.add("product", "temp/filesystem/other.png", b"not ours")
    client.put_object(Bucket="product", Key="temp/files/odd ž+%2F.png", Body=b"12")
    found = {file.key: file.size for file in WORKSPACE.walk()}
    assert len(found) == 1_051
    assert found["odd ž+%2F.png"] == 2
    assert "user/7.png" in found


# --- Writing -----------------------------------------------------------------


def test_what_is_written_says_what_it_is_by_its_bytes_and_is_private(server):
    put("user/page.png", b"<!doctype html><script>alert(1)</script>")
    put("user/film.txt", PNG)
    heads = [server.client().head_object(Bucket="product", Key=f"temp/files/user/{name}") for name in
             ("page.png", "film.txt")]  # fmt: skip
    assert [head["ContentType"] for head in heads] == ["application/octet-stream", "image/png"]
    assert {head["CacheControl"] for head in heads} == {"private"}


@pytest.mark.parametrize("size", [0, 1, 5 * 1024**2, 5 * 1024**2 + 1, 11 * 1024**2])
def test_a_file_of_any_size_is_written_whole(monkeypatch, size):
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * 1024**2)
    monkeypatch.setattr(uploads, "MOST_AT_ONCE", 5 * 1024**2)
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    copied = put("user/0.bin", content)
    assert copied.size == size
    assert ("-" in copied.etag) == (size > 5 * 1024**2)
    assert content_of("user/0.bin") == content
    WORKSPACE.confirm(copied)
    WORKSPACE.confirm(copied._replace(etag=""))


@pytest.mark.parametrize("size", [100, 6 * 1024**2])
def test_a_file_that_is_not_the_one_meant_never_appears(monkeypatch, size):
    monkeypatch.setattr(uploads, "MOST_AT_ONCE", 5 * 1024**2)
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * 1024**2)
    put("user/0.bin", b"what was there")
    with pytest.raises(FileFault, match="changed while it was read"):
        WORKSPACE.put(io.BytesIO(bytes(size)), "user/0.bin", sha256="0" * 64)
    assert content_of("user/0.bin") == b"what was there"
    assert not s3.bucket_of("product").multiparts, "parts that are paid for without end"


# --- Saving ------------------------------------------------------------------


def test_the_service_copies_by_itself_and_its_word_is_checked(server):
    put("user/0.png")
    server.requests.clear()
    copied = LIBRARY.copy_from(WORKSPACE, "user/0.png", "user/1.png")
    assert copied == Copied("user/1.png", len(PNG), "", WORKSPACE.facts("user/0.png").etag)
    assert "PUT /kept/user/1.png" in server.requests
    assert "GET /kept/user/1.png" not in server.requests, "no byte came here"
    head = server.client().head_object(Bucket="kept", Key="user/1.png")
    assert (head["ContentType"], head["CacheControl"]) == ("image/png", "private")
    LIBRARY.confirm(copied)


def test_more_than_one_request_may_copy_is_copied_in_parts_and_read(server, monkeypatch):
    monkeypatch.setattr(copying, "MOST_AT_ONCE", 5 * 1024**2)
    monkeypatch.setattr(copying, "PART_BYTES", 5 * 1024**2)
    content = bytes(range(256)) * 4096 * 11
    put("user/0.bin", content)
    copied = LIBRARY.copy_from(WORKSPACE, "user/0.bin", "user/1.bin")
    assert copied.etag.endswith("-3")
    assert len(copied.sha256) == 64
    assert content_of("user/1.bin", LIBRARY) == content
    LIBRARY.confirm(copied)


def test_a_source_that_changes_meanwhile_is_not_copied(server):
    put("user/0.png")

    refuse = s3.refusal("PreconditionFailed", "412 Precondition Failed", method="PUT")
    etag = WORKSPACE.facts("user/0.png").etag

    def change(environ, start_response):
        # moto copies whatever is there, a real service what is of this version.
        if environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH") == f'"{etag}"':
            return refuse(environ, start_response)
        return None

    with server.failing(change), pytest.raises(StoreTrouble, match="changed while it was read"):
        LIBRARY.copy_from(WORKSPACE, "user/0.png", "user/1.png")


@pytest.mark.parametrize("content", [b"", PNG[:-1], PNG[:-1] + b"x"], ids=["none", "short", "other"])
def test_a_copy_that_is_another_file_is_none(server, content):
    """A service that says it has copied, and has something else."""
    put("user/0.png")

    def spoil(environ, start_response):
        if environ["REQUEST_METHOD"] == "HEAD" and environ["PATH_INFO"].startswith("/kept/"):
            s3.add("kept", "user/1.png", content)

    with server.failing(spoil), pytest.raises(FileFault, match=r"^The copy differs from the file$"):
        LIBRARY.copy_from(WORKSPACE, "user/0.png", "user/1.png")


def test_a_copy_of_another_etag_is_compared_by_all_bytes(server):
    """Where a service encrypts, or has put parts together, its ETags tell nothing."""
    s3.add("product", "temp/files/user/0.png", PNG, etag="of-two-parts-2")
    copied = LIBRARY.copy_from(WORKSPACE, "user/0.png", "user/1.png")
    assert len(copied.sha256) == 64
    LIBRARY.confirm(copied)


@pytest.mark.parametrize("known_by", ["sha256", "etag"])
def test_what_is_no_longer_what_was_saved_is_said_to_be_so(known_by):
    copied = put("user/0.png", store=LIBRARY)
    copied = copied._replace(**{"etag" if known_by == "sha256" else "sha256": ""})
    LIBRARY.confirm(copied)
    put("user/0.png", PNG[::-1], store=LIBRARY)
    with pytest.raises(FileFault, match=r"^The file is not what was saved$"):
        LIBRARY.confirm(copied)


@pytest.mark.parametrize("to_folder", [True, False])
def test_files_move_between_folders_and_buckets(settings, tmp_path, to_folder):
    alias = "library" if to_folder else "workspace"
    folder = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path / "f"},
    }
    settings.STORAGES = settings.STORAGES | {alias: folder}
    put("user/0.png")
    copied = LIBRARY.copy_from(WORKSPACE, "user/0.png", "user/1.png")
    assert content_of("user/1.png", LIBRARY) == PNG
    LIBRARY.confirm(copied)


@pytest.mark.django_db
def test_a_saved_asset_keeps_its_etag_in_the_ledger_and_its_file_goes_only_while_the_copy_is_whole(
    client, admin
):
    put("user/0.png")
    asset = make_asset(temp_storage_path="user/0.png")
    dispositions.promote([asset.pk], actor=admin)
    entry, saved = Disposition.objects.get(), LibraryAsset.objects.get()
    etag = LIBRARY.facts(saved.storage_path).etag
    assert entry.saved["file"] == {"key": saved.storage_path, "size": len(PNG), "etag": etag}
    client.force_login(admin)
    assert etag in client.get(f"/library/{asset.pk}/").text
    Disposition.objects.update(purge_after=timezone.now() - timedelta(hours=1))
    put(saved.storage_path, PNG[::-1], store=LIBRARY)
    assert purge() == (0, 1)
    assert WORKSPACE.exists("user/0.png"), "the last whole copy"
    put(saved.storage_path, PNG, store=LIBRARY)
    Disposition.objects.update(retry_at=None)
    assert purge() == (1, 0)
    assert not WORKSPACE.exists("user/0.png")


ODD = ["a b+c%2F%20.png", "ž/日本 ☃.png", "'\"&<>;=?#[]{}|^~`.png", " .png ", "\x85\u2028\U0001f600"]


@pytest.mark.parametrize("key", ODD, ids=range(len(ODD)))
def test_a_key_may_be_of_any_characters(key):
    put(key)
    assert [file.key for file in WORKSPACE.walk()] == [key]
    assert content_of(LIBRARY.copy_from(WORKSPACE, key, key).key, LIBRARY) == PNG
    link = WORKSPACE.link(key, Served("image/png", "inline"))
    with urlopen(link, timeout=60) as answer:
        assert answer.read() == PNG
    assert WORKSPACE.remove([key]) == {key: None}
    assert list(WORKSPACE.walk()) == []


@pytest.mark.parametrize("key", ["user/\ufffe.png", "user/\uffff.png"], ids=["fffe", "ffff"])
def test_a_key_that_no_request_can_name_does_not_hold_up_the_others(key):
    put("user/0.png")
    results = WORKSPACE.remove(["user/0.png", key])
    assert results["user/0.png"] is None
    assert str(results[key]) == "The path has characters that no file name has"


def test_a_key_that_is_too_long_behind_the_prefix_does_not_hold_up_the_others(server):
    """A service may refuse to remove all that are named with it."""
    put("user/0.png")
    key = "/".join(["x" * 204] * 5)  # of 1,024 bytes
    results = WORKSPACE.remove(["user/0.png", key])
    assert results["user/0.png"] is None
    assert (type(results[key]), str(results[key])) == (PathFault, "The path is too long")
    assert not WORKSPACE.exists("user/0.png")
    assert not [request for request in server.requests if "xxx" in request]


@pytest.mark.django_db
@pytest.mark.usefixtures("_few_tries")
@pytest.mark.parametrize(("code", "status", "kind", "reason"), REFUSALS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_may_not_be_read_or_written_stays_and_is_saved_later(
    server, admin, code, status, kind, reason, method
):
    put("user/good.png")
    put("user/bad.png")
    good, bad = (make_asset(temp_storage_path=f"user/{name}.png") for name in ("good", "bad"))
    key = "user/bad.png" if method == "GET" else f"{bad.pk}.png"
    with server.failing(s3.refusal(code, status, method=method, key=key)):
        outcomes = dispositions.promote([good.pk, bad.pk], actor=admin)
    assert outcomes[good.pk].state == State.DONE
    assert outcomes[bad.pk].state == State.FAILED
    words = reason if method == "GET" else reason.replace("reading", "changing").replace("read", "change")
    assert re.fullmatch(words, outcomes[bad.pk].reason)
    assert WorkspaceAsset.objects.get() == bad
    assert content_of("user/bad.png") == PNG
    assert len(s3.bucket_of("kept").keys) == 1
    assert dispositions.promote([bad.pk], actor=admin)[bad.pk].state == State.DONE
    assert content_of(LibraryAsset.objects.get(pk=bad.pk).storage_path, LIBRARY) == PNG


# --- Removing ----------------------------------------------------------------


def test_files_are_removed_a_thousand_at_a_time_and_each_has_its_result(server):
    keys = [f"user/{number}.png" for number in range(1_001)]
    for key in keys:
        s3.add("product", f"temp/files/{key}", b"x")
    results = WORKSPACE.remove([*keys, "user/none.png", "../kept/0.png"])
    assert [key for key, fault in results.items() if fault] == ["user/none.png", "../kept/0.png"]
    assert isinstance(results["user/none.png"], MissingFile)
    assert [each for each in server.requests if each.startswith("POST")] == ["POST /product"] * 2
    assert not s3.bucket_of("product").keys


ANSWERS = {
    "denied": ("<Error><Key>temp/files/bad.png</Key><Code>AccessDenied</Code></Error>", FileFault,
               "The store does not allow changing the file"),
    "error": ("<Error><Key>temp/files/bad.png</Key><Code>InternalError</Code></Error>", FileFault,
              r"The store cannot change the file \(InternalError\)"),
    "nothing said": ("", FileFault, "The store did not say what became of the file"),
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_failed_within_a_success_is_read(server, answer):
    said, kind, reason = ANSWERS[answer]
    for name in ("bad", "good"):
        put(f"{name}.png")
    deleted = "<Deleted><Key>temp/files/good.png</Key></Deleted>"
    with server.failing(s3.answer("POST", f"<DeleteResult>{deleted}{said}</DeleteResult>")):
        results = WORKSPACE.remove(["good.png", "bad.png"])
    assert results["good.png"] is None
    with pytest.raises(kind, match=f"^{reason}$"):
        raise results["bad.png"]


def test_what_refuses_as_a_whole_refuses_every_key(server):
    put("user/0.png")
    with server.failing(s3.refusal("AccessDenied", method="POST")):
        results = WORKSPACE.remove(["user/0.png", "user/none.png"])
    assert str(results["user/0.png"]) == "The store does not allow changing the file"
    assert isinstance(results["user/none.png"], MissingFile)
    assert WORKSPACE.exists("user/0.png")


def test_in_a_bucket_with_versions_what_is_removed_is_gone(settings, server):
    client = server.client()
    client.create_bucket(Bucket="versioned")
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    change(settings, "workspace", bucket_name="versioned")
    put("user/0.png")
    assert WORKSPACE.remove(["user/0.png"]) == {"user/0.png": None}
    assert not WORKSPACE.exists("user/0.png")
    assert list(WORKSPACE.walk()) == []
    assert isinstance(WORKSPACE.remove(["user/0.png"])["user/0.png"], MissingFile)


# --- Pages -------------------------------------------------------------------


def follow(response, method="GET", **headers):
    assert response.status_code == 302
    with urlopen(Request(response["Location"], method=method, headers=headers), timeout=60) as answer:
        return answer.status, answer.headers, answer.read()


@pytest.mark.django_db
def test_an_original_is_fetched_from_the_store_by_a_link_that_soon_expires(client, admin):
    put("user/0.png")
    client.force_login(admin)
    asset = make_asset(temp_storage_path="user/0.png", mime_type="text/html")
    response = client.get(f"/media/assets/{asset.pk}/file")
    assert response["Cache-Control"] == "private, max-age=240"
    said = {name: value for name, (value,) in parse_qs(urlsplit(response["Location"]).query).items()}
    assert said["response-content-type"] == "image/png"
    assert said["response-content-disposition"] == f'inline; filename="{asset.pk}.png"'
    assert (said["X-Amz-Expires"], said["X-Amz-Algorithm"]) == ("600", "AWS4-HMAC-SHA256")
    assert said["X-Amz-Credential"].startswith("testing/")
    assert said["X-Amz-Signature"]
    status, headers, content = follow(response)
    assert (status, headers["Content-Type"], content) == (200, "image/png", PNG)
    status, headers, content = follow(response, Range="bytes=1-3")
    assert (status, content) == (206, PNG[1:4])
    head = client.head(f"/media/assets/{asset.pk}/file")
    assert follow(head, "HEAD")[0] == 200
    assert head["Location"] != response["Location"], "a signature is for one method"


@pytest.mark.django_db
@pytest.mark.parametrize("content", [b"<script>alert(1)</script>", b"%PDF-1.7", b"<svg onload='alert(1)'/>"])
def test_what_is_no_known_picture_is_only_ever_a_download(client, admin, content):
    put("user/0.png", content)
    client.force_login(admin)
    asset = make_asset(temp_storage_path="user/0.png")
    _, headers, _ = follow(client.get(f"/media/assets/{asset.pk}/file"))
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == f'attachment; filename="{asset.pk}.bin"'


def test_a_service_may_be_behind_a_path(settings, server):
    """All that it is asked, links as well, begins with it."""

    def behind_a_path(environ, start_response):
        if not environ["PATH_INFO"].startswith("/storage/v1/s3/"):
            return s3.refusal("NoSuchBucket", "404 Not Found")(environ, start_response)
        for name in ("PATH_INFO", "RAW_URI", "REQUEST_URI"):
            environ[name] = environ[name].removeprefix("/storage/v1/s3")
        return None

    address = f"{server.url}/storage/v1/s3"
    change(settings, "workspace", "library", endpoint_url=address)
    with server.failing(behind_a_path):
        WORKSPACE.put(io.BytesIO(PNG), "user/0.png")
        assert [file.key for file in WORKSPACE.walk()] == ["user/0.png"]
        assert LIBRARY.copy_from(WORKSPACE, "user/0.png", "user/copy.png").size == len(PNG)
        link = WORKSPACE.link("user/0.png", Served("image/png", "inline"))
        assert link.startswith(f"{address}/product/temp/files/user/0.png?")
        with urlopen(link, timeout=60) as answer:
            assert answer.read() == PNG
        assert WORKSPACE.remove(["user/0.png"]) == {"user/0.png": None}


@pytest.mark.django_db
def test_a_link_names_the_service_as_browsers_know_it(client, admin, settings):
    put("user/0.png")
    change(settings, "workspace", public_url="https://files.example")
    client.force_login(admin)
    asset = make_asset(temp_storage_path="user/0.png")
    location = client.get(f"/media/assets/{asset.pk}/file")["Location"]
    assert location.startswith("https://files.example/product/temp/files/user/0.png?")


@pytest.mark.django_db
@pytest.mark.usefixtures("_few_tries")
def test_a_store_that_fails_for_a_moment_spoils_no_page_and_no_preview_for_good(client, admin, server):
    put("user/0.png")
    client.force_login(admin)
    asset = make_asset(temp_storage_path="user/0.png")
    with server.failing(s3.refusal("SlowDown", "503 Slow Down")):
        response = client.get(f"/media/assets/{asset.pk}/file")
        assert response.status_code == 503
        assert "too busy" in response.text
        assert "too busy" in client.get(f"/assets/{asset.pk}/").text
        assert client.get(f"/media/assets/{asset.pk}/preview")["Content-Type"] == "image/svg+xml"
    assert client.get(f"/media/assets/{asset.pk}/preview")["Content-Type"] == "image/webp"
    assert "8 × 8" in client.get(f"/assets/{asset.pk}/").text


@pytest.mark.django_db
def test_the_demo_is_built_into_a_bucket_and_found_there_again(settings, tmp_path, server):
    settings.DATA_DIR = tmp_path
    now = timezone.now()
    build(now, lambda done, total: None, 0.15)
    there = {file.key for file in WORKSPACE.walk()}
    assert len(there) > 10
    assert WorkspaceAsset.objects.exists()
    server.requests.clear()
    build(now, lambda done, total: None, 0.15)
    assert {file.key for file in WORKSPACE.walk()} == there
    assert not [each for each in server.requests if each.startswith("PUT")]
