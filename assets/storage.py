"""The file stores: where rows say a file is, whether that is so, what its bytes are; copying, removing.

Works through Django's storage aliases; knows no model.
"""

import contextlib
import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from django.core.files.storage import Storage, storages

MAX_KEY_BYTES = 1024  # what object stores accept
MAX_NAME_BYTES = 255  # what file systems accept between two slashes
COPY_BLOCK_BYTES = 256 * 1024

# --- Faults ------------------------------------------------------------------


class FileFault(Exception):  # noqa: N818 (what is wrong is the file, not the program)
    """What is wrong with a file, as a sentence that a page shows."""

    transient = False  # whether a second attempt may end better


class PathFault(FileFault, ValueError):  # noqa: N818
    """A path that names no place in its store."""


class MissingFile(FileFault):
    """A path whose file is not there."""


# --- Paths -------------------------------------------------------------------

WORKSPACE_BUCKET = "workspace-temp"
LIBRARY_BUCKET = "user-library"
_BUCKETS = (WORKSPACE_BUCKET, LIBRARY_BUCKET)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Control characters, the other system's separator, and halves of characters, which have no bytes.
_NOT_IN_KEYS = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


def key_of(path: str, bucket: str) -> str:
    """The key, relative to the bucket, that a row's path names; PathFault when it names none.

    A key is its own path, and paths of one file have one key.
    """
    if not path.strip():
        raise PathFault("The path is empty")
    key = _key_in_url(path, bucket) if _URL.match(path) else path.removeprefix(f"{bucket}/")
    _check_key(key)
    return key


def _key_in_url(url: str, bucket: str) -> str:
    try:
        parts = urlsplit(url)
        path = unquote(parts.path, errors="strict")
    except ValueError:
        raise PathFault("The address is not readable") from None
    # The first bucket named is the one the address is in; a later one would be part of a key.
    named = re.search(rf"/({'|'.join(_BUCKETS)})/", path)
    if parts.scheme.lower() not in ("http", "https") or not named or named[1] != bucket:
        raise PathFault("The address is not in this store")
    return path[named.end() :]


def _check_key(key: str) -> None:
    names = key.split("/")
    if _NOT_IN_KEYS.search(key):
        raise PathFault("The path has characters that no file name has")
    if key.startswith("/") or ".." in names:
        raise PathFault("The path leaves the store")
    if names[-1] == "":
        raise PathFault("The path names a folder")
    if "" in names or "." in names:
        # Collapsing these would give one file two keys in an object store.
        raise PathFault("The path is not written plainly")
    if names[0] in _BUCKETS:
        raise PathFault("The path is in another store")
    if len(key.encode()) > MAX_KEY_BYTES or any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        raise PathFault("The path is too long")


THUMBNAIL_SUFFIX = ".thumb.webp"


def thumbnail_beside(key: str) -> str:
    """Where writers put the thumbnail of a file: a/0.png has a/0.thumb.webp."""
    folder, slash, name = key.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}{THUMBNAIL_SUFFIX}"


# --- Stores ------------------------------------------------------------------


@dataclass(frozen=True)
class StoredFacts:
    size: int  # bytes
    modified_at: datetime


class StoredFile(NamedTuple):
    key: str
    size: int  # bytes
    modified_at: datetime


class Copied(NamedTuple):
    key: str
    size: int  # bytes
    sha256: str  # hexadecimal


@dataclass(frozen=True)
class Store:
    """One bucket behind a storage alias. Takes paths as rows have them; its errors are FileFaults."""

    alias: str
    bucket: str

    def open(self, path: str) -> BinaryIO:
        """The file, for seeking and reading bytes."""
        key = self._checked_key(path)
        try:
            return cast(BinaryIO, self._storage.open(key, "rb"))
        except OSError as error:
            raise _fault(error) from error

    def facts(self, path: str) -> StoredFacts:
        key = self._checked_key(path)
        try:
            return StoredFacts(self._storage.size(key), self._storage.get_modified_time(key))
        except OSError as error:
            raise _fault(error) from error

    def exists(self, path: str) -> bool:
        """False only for a file that is not there: a path that cannot be followed raises its fault."""
        try:
            self.facts(path)
        except MissingFile:
            return False
        return True

    def copy_from(self, source: "Store", path: str, key: str) -> Copied:
        """Copies a file of another store to a key of this one, and reads the copy again to compare.

        Whoever opens the key finds the whole copy, or what was there before.
        """
        with source.open(path) as file:
            return self.put(file, key)

    def put(self, file: BinaryIO, key: str, *, sha256: str = "") -> Copied:
        """The same for a file from outside, all of it; where its checksum is given, of these bytes alone."""
        _check_key(key)
        target = Path(self._storage.path(key))
        file.seek(0)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _draft(target) as draft:
                _write(file, draft)
                size, digest = _read_again(file, draft)
                if sha256 and digest != sha256:
                    raise FileFault("The file was changed while it was read")
        except OSError as error:
            raise _change_fault(error) from error
        return Copied(key, size, digest)

    def settle(self, path: str) -> None:
        """Waits until the file would survive a power cut."""
        root = Path(self._storage.path(""))
        place = Path(self._storage.path(self._checked_key(path)))
        try:
            for each in (place, *[folder for folder in place.parents if folder.is_relative_to(root)]):
                descriptor = os.open(each, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise _change_fault(error) from error

    def confirm(self, copied: Copied) -> None:
        """Reads a copy once more, from a disk that would survive a power cut; FileFault where it differs."""
        self.settle(copied.key)
        with self.open(copied.key) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        if digest != copied.sha256:
            raise FileFault("The file is not what was saved")

    def remove(self, keys: Iterable[str]) -> dict[str, FileFault | None]:
        """What stands in the way of each key's removal: None where it is gone, MissingFile where it was."""
        return {key: self._remove(key) for key in keys}

    def _remove(self, key: str) -> FileFault | None:
        try:
            _check_key(key)  # what is not a key as it stands would name another file
            self._storage.delete(self._checked_key(key))
            if self.exists(key):
                return FileFault("The store said that the file is removed, but it is still there")
        except FileFault as fault:
            return fault
        except OSError as error:
            return _change_fault(error)
        except Exception as error:
            # Whatever a storage raises for one key must not hold up the others.
            return FileFault(f"The store failed: {error}")
        return None

    def walk(self) -> Iterator[StoredFile]:
        """Every file of the store, in no order."""
        root = self._storage.path("")
        folders = [root]
        while folders:
            try:
                entries = os.scandir(folders.pop())
            except FileNotFoundError:
                continue  # removed meanwhile, or a store that has nothing yet
            except OSError as error:
                raise _fault(error) from error
            with entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        facts = entry.stat(follow_symlinks=False)
                        # A name that is not text has no key: shown with its bytes spelt out.
                        key = os.fsencode(os.path.relpath(entry.path, root)).decode(errors="backslashreplace")
                        yield StoredFile(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))

    @property
    def _storage(self) -> Storage:
        return storages[self.alias]

    def _checked_key(self, path: str) -> str:
        key = key_of(path, self.bucket)
        try:
            _check_place(self._storage.path(key), self._storage.path(""))
        except NotImplementedError:
            pass  # not folders on this machine, so no links and no special files
        except OSError as error:
            raise _fault(error) from error
        return key


@contextlib.contextmanager
def _draft(target: Path) -> Iterator[BinaryIO]:
    """A file to write and read that takes the target's place when all went well, and is gone otherwise."""
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
    ) as draft:
        try:
            yield cast(BinaryIO, draft)
            Path(draft.name).chmod(0o666 & ~_UMASK)  # as any file; a temporary one is its owner's alone
            Path(draft.name).replace(target)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


_UMASK = os.umask(0o077)  # can only be learnt by setting it
os.umask(_UMASK)


def _write(source: BinaryIO, target: BinaryIO) -> None:
    # One block for all: a new one for each read is most of what the kernel has to do for a copy.
    block = bytearray(COPY_BLOCK_BYTES)
    while count := source.readinto(block):
        target.write(memoryview(block)[:count])
    target.flush()


def _read_again(source: BinaryIO, copy: BinaryIO) -> tuple[int, str]:
    """The size and the SHA-256 of the copy, whose every byte is that of the source."""
    source.seek(0)
    copy.seek(0)
    expected, block = bytearray(COPY_BLOCK_BYTES), bytearray(COPY_BLOCK_BYTES)
    size, digest = 0, hashlib.sha256()
    while True:
        count = copy.readinto(block)
        # Comparing is quicker than a second checksum, and sees all that one would. Behind the count both
        # blocks have what they had before, which was the same.
        if source.readinto(expected) != count or block != expected:
            raise FileFault("The copy differs from the file")
        if not count:
            return size, digest.hexdigest()
        digest.update(memoryview(block)[:count])
        size += count


def _check_place(path: str, root: str) -> None:
    if not os.path.realpath(path).startswith(os.path.realpath(root) + os.sep):
        raise PathFault("The path leaves the store by a link")
    mode = os.stat(path).st_mode  # noqa: PTH116
    if stat.S_ISDIR(mode):
        raise FileFault("The path names a folder")
    if not stat.S_ISREG(mode):
        # Opening a pipe would wait for its other end.
        raise FileFault("The path names something that is not a file")


def _fault(error: OSError) -> FileFault:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MissingFile("The file is missing from the store")
    if isinstance(error, PermissionError):
        return FileFault("The store does not allow reading the file")
    return FileFault("The store cannot read the file")


def _change_fault(error: OSError) -> FileFault:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _fault(error)
    if isinstance(error, PermissionError):
        return FileFault("The store does not allow changing the file")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FileFault("The store is full")
    return FileFault("The store cannot change the file")


WORKSPACE = Store("workspace", WORKSPACE_BUCKET)
LIBRARY = Store("library", LIBRARY_BUCKET)

# --- Formats -----------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    mime: str
    extension: str  # without a dot
    asset_type: str  # as the product's tables call it


PNG = Format("image/png", "png", "image")
JPEG = Format("image/jpeg", "jpg", "image")
WEBP = Format("image/webp", "webp", "image")
GIF = Format("image/gif", "gif", "image")
AVIF = Format("image/avif", "avif", "image")
MP4 = Format("video/mp4", "mp4", "video")
QUICKTIME = Format("video/quicktime", "mov", "video")
WEBM = Format("video/webm", "webm", "video")
FORMATS = (PNG, JPEG, WEBP, GIF, AVIF, MP4, QUICKTIME, WEBM)

SNIFF_BYTES = 256

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
}
_MP4_BRANDS = frozenset(
    b"isom,iso2,iso3,iso4,iso5,iso6,iso7,iso8,iso9,mp41,mp42,mp71,avc1,dash,mmp4,MSNV,M4V ,M4VH,M4VP".split(
        b","
    )
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIF_BRANDS = frozenset((b"mif1", b"msf1"))


def sniff(head: bytes) -> Format | None:
    """The format that the first SNIFF_BYTES of a file begin, of those a browser may be shown."""
    for magic, known in _MAGIC.items():
        if head.startswith(magic):
            return known
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    # Matroska names its document type among the first elements; only WebM's is a browser's.
    if head.startswith(b"\x1a\x45\xdf\xa3") and b"\x42\x82\x84webm" in head[:64]:
        return WEBM
    return None


def _sniff_brands(head: bytes) -> Format | None:
    """The format by the brands that an ISO base media file declares: one major, some compatible."""
    end = min(int.from_bytes(head[:4]), len(head))
    major = head[8:12]
    compatible = {head[start : start + 4] for start in range(16, end, 4)}
    if major in _AVIF_BRANDS or (major in _HEIF_BRANDS and compatible & _AVIF_BRANDS):
        return AVIF
    if major == b"qt  ":
        return QUICKTIME
    return MP4 if major in _MP4_BRANDS else None
