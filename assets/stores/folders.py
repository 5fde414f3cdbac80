"""A store that is a folder on this machine: whole files or none, and no link out of it is followed."""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.storage import FileSystemStorage

from assets.stores.faults import FileFault, MissingFile, PathFault
from assets.stores.keys import check_key
from assets.stores.place import Copied, Place, Served, StoredFacts, StoredFile

COPY_BLOCK_BYTES = 256 * 1024


class Folder:
    # Comparing takes a core: more threads would only wait for each other.
    copies_at_once = max(2, min(os.cpu_count() or 1, 8))

    def __init__(self, storage: FileSystemStorage) -> None:
        self._storage = storage

    def open(self, key: str) -> BinaryIO:
        self._check_place(key)
        try:
            return cast(BinaryIO, self._storage.open(key, "rb"))
        except OSError as error:
            raise _fault(error) from error

    def head(self, key: str, size: int) -> bytes:
        try:
            with self.open(key) as file:
                return file.read(size)
        except OSError as error:
            raise _fault(error) from error

    def facts(self, key: str) -> StoredFacts:
        self._check_place(key)
        try:
            return StoredFacts(self._storage.size(key), self._storage.get_modified_time(key))
        except OSError as error:
            raise _fault(error) from error

    def copy_from(self, source: Place, source_key: str, key: str) -> Copied:
        with source.open(source_key) as file:
            return self.put(file, key, "")

    def put(self, file: BinaryIO, key: str, sha256: str) -> Copied:
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

    def settle(self, key: str) -> None:
        self._check_place(key)
        root, place = Path(self._storage.path("")), Path(self._storage.path(key))
        try:
            for each in (place, *[folder for folder in place.parents if folder.is_relative_to(root)]):
                descriptor = os.open(each, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise _change_fault(error) from error

    def remove(self, keys: Iterable[str]) -> dict[str, FileFault | None]:
        return {key: self._remove(key) for key in keys}

    def _remove(self, key: str) -> FileFault | None:
        try:
            check_key(key)  # what is not a key as it stands would name another file
            self._check_place(key)
            self._storage.delete(key)
            with contextlib.suppress(MissingFile):
                self.facts(key)
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

    def link(self, key: str, served: Served, method: str) -> str:
        return ""

    def _check_place(self, key: str) -> None:
        try:
            _check_place(self._storage.path(key), self._storage.path(""))
        except OSError as error:
            raise _fault(error) from error


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
