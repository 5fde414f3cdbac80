"""Paths as rows have them, files as stores have them, formats as the bytes have them."""

import os
import socket
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.formats import AVIF, GIF, JPEG, MP4, PNG, QUICKTIME, WEBM, WEBP, sniff
from assets.storage import (
    LIBRARY,
    LIBRARY_BUCKET,
    WORKSPACE,
    WORKSPACE_BUCKET,
    FileFault,
    MissingFile,
    PathFault,
    key_of,
)
from tests.stores import folders_only, set_time

SIGNED = "https://storage.example/storage/v1/object/sign"

# --- Paths -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("user/job/0.png", "user/job/0.png"),
        ("user/job_1731000000000.mp4", "user/job_1731000000000.mp4"),
        ("0.png", "0.png"),
        ("workspace-temp/user/job/0.png", "user/job/0.png"),
        ("user/asset.thumb.webp", "user/asset.thumb.webp"),
        ("user/a picture, 100% žluťoučký.png", "user/a picture, 100% žluťoučký.png"),
        ("user/what?.png", "user/what?.png"),
        ("user/a%2Fb.png", "user/a%2Fb.png"),
        ("user/..hidden..png", "user/..hidden..png"),
        ("user/workspace-temp/0.png", "user/workspace-temp/0.png"),
        (f"{SIGNED}/workspace-temp/user/job/0.png?token=abc.def", "user/job/0.png"),
        (f"{SIGNED}/workspace-temp/user/a%20b%C5%BE.png?token=a/../b", "user/a bž.png"),
        (f"{SIGNED}/workspace-temp/user/100%2525.png", "user/100%25.png"),
        ("HTTP://host:9000/workspace-temp/user/0.png#top", "user/0.png"),
    ],
)
def test_every_way_to_write_a_path_gives_its_key(path, key):
    assert key_of(path, WORKSPACE_BUCKET) == key


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "The path is empty"),
        ("  \n", "The path is empty"),
        ("/etc/passwd", "The path leaves the store"),
        ("//host/workspace-temp/0.png", "The path leaves the store"),
        ("/workspace-temp/user/0.png", "The path leaves the store"),
        ("../library/0.png", "The path leaves the store"),
        ("user/../../0.png", "The path leaves the store"),
        ("user/..", "The path leaves the store"),
        ("workspace-temp/../0.png", "The path leaves the store"),
        (f"{SIGNED}/workspace-temp/%2e%2e/0.png", "The path leaves the store"),
        (f"{SIGNED}/workspace-temp/a%2F..%2F..%2F0.png", "The path leaves the store"),
        (f"{SIGNED}/workspace-temp/%2Fetc/passwd", "The path leaves the store"),
        ("user/job/", "The path names a folder"),
        ("workspace-temp/", "The path names a folder"),
        (f"{SIGNED}/workspace-temp/?token=abc", "The path names a folder"),
        ("user//0.png", "The path is not written plainly"),
        ("./user/0.png", "The path is not written plainly"),
        ("user\\..\\0.png", "The path has characters that no file name has"),
        ("user/0.png\0.jpg", "The path has characters that no file name has"),
        ("user/0.png\r\nX-Header: 1", "The path has characters that no file name has"),
        ("user/\ud800.png", "The path has characters that no file name has"),
        ("user-library/user/0.png", "The path is in another store"),
        ("workspace-temp/workspace-temp/0.png", "The path is in another store"),
        ("workspace-temp", "The path is in another store"),
        (f"{SIGNED}/user-library/user/0.png?token=abc", "The address is not in this store"),
        (f"{SIGNED}/user-library/workspace-temp/0.png", "The address is not in this store"),
        ("https://elsewhere.example/0.png?at=/workspace-temp/0.png", "The address is not in this store"),
        ("https://workspace-temp/0.png", "The address is not in this store"),
        ("file:///workspace-temp/0.png", "The address is not in this store"),
        ("https://[workspace-temp/0.png", "The address is not readable"),
        (f"{SIGNED}/workspace-temp/%ff%fe.png", "The address is not readable"),
        ("user/" + "n" * 256, "The path is too long"),
        ("user/" + "ž" * 128, "The path is too long"),
        ("/".join(["n" * 200] * 6), "The path is too long"),
    ],
)
def test_a_path_without_a_key_says_why(path, reason):
    with pytest.raises(PathFault, match=f"^{reason}$"):
        key_of(path, WORKSPACE_BUCKET)


def test_the_longest_name_and_key_are_accepted():
    name = "n" * 255
    key = "/".join([name, name, name, name])
    assert len(key) == 1023
    assert key_of(key, WORKSPACE_BUCKET) == key


def test_a_path_fault_is_a_value_error_and_a_file_fault():
    assert issubclass(PathFault, ValueError)
    assert issubclass(PathFault, FileFault)


@st.composite
def hostile_paths(draw):
    names = st.sampled_from(
        ["..", ".", "", "a", "%2e%2e", "%2F", "\\", "workspace-temp", "user-library", "~"]
    )
    path = "/".join(draw(st.lists(names | st.text(max_size=5), max_size=6)))
    return (
        draw(st.sampled_from(["", "/", "http://host/workspace-temp/", "https://", "workspace-temp/"])) + path
    )


@given(path=hostile_paths() | st.text(), bucket=st.sampled_from([WORKSPACE_BUCKET, LIBRARY_BUCKET]))
def test_a_key_never_leaves_its_store_and_is_its_own_path(path, bucket):
    try:
        key = key_of(path, bucket)
    except PathFault:
        return
    parts = PurePosixPath(key).parts
    assert key
    assert not key.startswith("/")
    assert ".." not in parts
    assert "/".join(parts) == key
    assert os.path.normpath(f"/store/{key}").startswith("/store/")
    assert key_of(key, bucket) == key


# --- Stores ------------------------------------------------------------------


@pytest.fixture
def folder(store_folders):
    """The workspace store, for one test."""
    return store_folders / "workspace"


def put(folder: Path, key: str, content: bytes) -> Path:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_opens_by_any_of_its_paths_and_can_be_sought(folder):
    put(folder, "user/0.png", b"0123456789")
    for path in ("user/0.png", "workspace-temp/user/0.png", f"{SIGNED}/workspace-temp/user/0.png?token=1"):
        with WORKSPACE.open(path) as file:
            file.seek(4)
            assert file.read(3) == b"456"


def test_facts_are_those_of_the_file(folder):
    path = put(folder, "user/0.png", b"0123456789")
    set_time(path, 1_700_000_000)
    facts = WORKSPACE.facts("user/0.png")
    assert facts.size == 10
    assert facts.modified_at.timestamp() == 1_700_000_000


def test_the_stores_are_apart(store_folders):
    put(store_folders / "library", "user/only-saved.png", b"saved")
    assert LIBRARY.exists("user/only-saved.png")
    assert not WORKSPACE.exists("user/only-saved.png")


@pytest.mark.parametrize("path", ["user/none.png", "user/0.png/below", "nobody/0.png"])
def test_a_missing_file_is_a_fault_of_its_own(folder, path):
    put(folder, "user/0.png", b"here")
    assert not WORKSPACE.exists(path)
    for look in (WORKSPACE.open, WORKSPACE.facts):
        with pytest.raises(MissingFile, match=r"^The file is missing from the store$"):
            look(path)


@folders_only("what would be a folder of a bucket is nothing")
def test_a_folder_is_not_a_file(folder):
    (folder / "user").mkdir()
    for look in (WORKSPACE.open, WORKSPACE.facts, WORKSPACE.exists):
        with pytest.raises(FileFault, match=r"^The path names a folder$"):
            look("user")


@folders_only("it has pipes and sockets")
def test_a_pipe_or_socket_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket must be short
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(here)
    for path in ("pipe.png", "socket.png"):
        with pytest.raises(FileFault, match=r"^The path names something that is not a file$"):
            WORKSPACE.open(path)


@folders_only("it has links")
@pytest.mark.parametrize("target", ["../secret.txt", "../workspace-beside/secret.txt"])
def test_a_link_out_of_the_store_is_refused(folder, target):
    put(folder.parent, "secret.txt", b"secret")
    put(folder.parent, "workspace-beside/secret.txt", b"secret")
    (folder / "0.png").symlink_to(target)
    for look in (WORKSPACE.open, WORKSPACE.facts, WORKSPACE.exists):
        with pytest.raises(PathFault, match=r"^The path leaves the store by a link$"):
            look("0.png")


@folders_only("it has links")
def test_a_linked_folder_out_of_the_store_is_refused(folder):
    put(folder.parent, "elsewhere/secret.txt", b"secret")
    (folder / "user").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(PathFault, match="by a link"):
        WORKSPACE.open("user/secret.txt")


@folders_only("it has links")
def test_links_within_the_store_and_of_the_store_are_followed(folder, settings):
    put(folder, "user/0.png", b"content")
    (folder / "1.png").symlink_to("user/0.png")
    moved = folder.rename(folder.with_name("moved"))
    folder.symlink_to(moved)
    with WORKSPACE.open("1.png") as file:
        assert file.read() == b"content"


@folders_only("it has links")
def test_links_in_a_circle_are_a_fault(folder):
    (folder / "0.png").symlink_to("0.png")
    with pytest.raises(FileFault, match=r"^The store cannot read the file$"):
        WORKSPACE.open("0.png")


@folders_only("refusals of an S3 server are in test_buckets.py")
def test_a_file_that_may_not_be_read_is_a_fault(folder, monkeypatch):
    put(folder, "0.png", b"content")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    # By hand, since root may read everything.
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._open", refuse)
    with pytest.raises(FileFault, match=r"^The store does not allow reading the file$"):
        WORKSPACE.open("0.png")


# --- Formats -----------------------------------------------------------------


def box(major: bytes, *compatible: bytes) -> bytes:
    brands = major + b"\0\0\0\0" + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4) + b"ftyp" + brands


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", PNG),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", JPEG),
        (b"RIFF\x24\0\0\0WEBPVP8 ", WEBP),
        (b"GIF89a\x01\0\x01\0", GIF),
        (b"GIF87a\x01\0\x01\0", GIF),
        (box(b"avif", b"mif1", b"miaf"), AVIF),
        (box(b"avis", b"avif"), AVIF),
        (box(b"mif1", b"miaf", b"avif"), AVIF),
        (box(b"isom", b"iso2", b"avc1", b"mp41"), MP4),
        (box(b"mp42"), MP4),
        (box(b"M4V ", b"isom"), MP4),
        (box(b"qt  ", b"qt  "), QUICKTIME),
        (
            b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm",
            WEBM,
        ),
    ],
)
def test_known_formats_are_told_by_their_bytes(head, known):
    assert sniff(head) == known


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x89PNG",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"#EXTM3U\n#EXT-X-VERSION:3\n",
        b"%PDF-1.7",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"GIF88a",
        b"BM\0\0\0\0",
        b"II*\0",
        box(b"heic", b"mif1", b"heic"),
        box(b"mif1", b"heic"),
        box(b"M4A ", b"isom", b"mp42"),
        # The brand stands behind the end of the box.
        box(b"mif1") + b"\0\0\0\x10avif",
        b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska webm",
    ],
)
def test_what_a_browser_must_not_render_is_unknown(head):
    assert sniff(head) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_sniffed_without_an_error(head):
    assert sniff(head) in (None, PNG, JPEG, WEBP, GIF, AVIF, MP4, QUICKTIME, WEBM)
