"""The file stores: where rows say a file is, whether that is so, what its bytes are; copying, removing.

Works through Django's storage aliases, be they folders or buckets; knows no model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from django.core.files.storage import FileSystemStorage, storages

from assets.formats import SNIFF_BYTES, Format, sniff
from assets.stores.faults import FileFault, MissingFile, PathFault, StoreTrouble
from assets.stores.folders import Folder
from assets.stores.keys import (
    LIBRARY_BUCKET,
    THUMBNAIL_SUFFIX,
    WORKSPACE_BUCKET,
    check_key,
    key_of,
    thumbnail_beside,
)
from assets.stores.place import Copied, Place, Served, StoredFacts, StoredFile, is_as_copied

__all__ = [
    "LIBRARY", "LIBRARY_BUCKET", "THUMBNAIL_SUFFIX", "WORKSPACE", "WORKSPACE_BUCKET",
    "Copied", "FileFault", "MissingFile", "PathFault", "Served", "Store", "StoreTrouble",
    "StoredFacts", "StoredFile", "key_of", "thumbnail_beside",
]  # fmt: skip


@dataclass(frozen=True)
class Store:
    """One bucket behind a storage alias. Takes paths as rows have them; its errors are FileFaults."""

    alias: str
    bucket: str  # as rows name it

    def open(self, path: str) -> BinaryIO:
        """The file, for seeking and reading bytes."""
        return self._place.open(self._key(path))

    def format_of(self, path: str) -> Format | None:
        """What the file is by its first bytes; None where a browser is not to be shown it."""
        return sniff(self._place.head(self._key(path), SNIFF_BYTES))

    def facts(self, path: str) -> StoredFacts:
        return self._place.facts(self._key(path))

    def exists(self, path: str) -> bool:
        """False only for a file that is not there: a path that cannot be followed raises its fault."""
        try:
            self.facts(path)
        except MissingFile:
            return False
        return True

    @property
    def copies_at_once(self) -> int:
        """How many threads are worth having."""
        return self._place.copies_at_once

    def copy_from(self, source: "Store", path: str, key: str) -> Copied:
        """Copies a file of another store to a key of this one, and makes sure that both are the same.

        Whoever opens the key finds the whole copy, or what was there before.
        """
        check_key(key)
        return self._place.copy_from(source._place, source._key(path), key)

    def put(self, file: BinaryIO, key: str, *, sha256: str = "") -> Copied:
        """The same for a file from outside, all of it; where its checksum is given, of these bytes alone."""
        check_key(key)
        return self._place.put(file, key, sha256)

    def settle(self, path: str) -> None:
        """Waits until the file would survive a power cut."""
        self._place.settle(self._key(path))

    def confirm(self, copied: Copied) -> None:
        """Looks at a copy once more, where it would survive a power cut; FileFault where it differs."""
        self.settle(copied.key)
        facts = self.facts(copied.key)
        if copied.etag and (facts.etag, facts.size) == (copied.etag, copied.size):
            return
        with self.open(copied.key) as file:
            if not is_as_copied(file, copied):
                raise FileFault("The file is not what was saved")

    def remove(self, keys: Iterable[str]) -> dict[str, FileFault | None]:
        """What stands in the way of each key's removal: None where it is gone, MissingFile where it was."""
        return self._place.remove(keys)

    def walk(self) -> Iterator[StoredFile]:
        """Every file of the store, in no order."""
        return self._place.walk()

    def link(self, path: str, served: Served, method: str = "GET") -> str:
        """Where a browser gets the file itself for some minutes; empty where it is sent from here."""
        return self._place.link(self._key(path), served, method)

    @property
    def _place(self) -> Place:
        storage = storages[self.alias]
        if isinstance(storage, FileSystemStorage):
            return Folder(storage)
        # What talks to object stores takes half a second to load.
        from assets.stores.buckets import Bucket

        return Bucket(storage)

    def _key(self, path: str) -> str:
        return key_of(path, self.bucket)


WORKSPACE = Store("workspace", WORKSPACE_BUCKET)
LIBRARY = Store("library", LIBRARY_BUCKET)
