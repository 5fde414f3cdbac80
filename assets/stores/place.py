"""What every kind of store can do: folders and buckets have these in common. They take keys, never paths."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, NamedTuple, Protocol

from assets.stores.faults import FileFault


@dataclass(frozen=True)
class StoredFacts:
    size: int  # bytes
    modified_at: datetime
    etag: str = ""  # of an object: another where its bytes are others

    @property
    def version(self) -> str:
        """Another where the file is another."""
        return f"{self.size}:{self.modified_at.timestamp()}:{self.etag}"


class StoredFile(NamedTuple):
    key: str
    size: int  # bytes
    modified_at: datetime


class Copied(NamedTuple):
    """A copy, and what its bytes were compared by: one of the two, or both."""

    key: str
    size: int  # bytes
    sha256: str = ""  # hexadecimal; empty where nobody here has read the bytes
    etag: str = ""  # of an object

    def as_json(self) -> dict[str, str | int]:
        return {name: value for name, value in self._asdict().items() if value != ""}


class Served(NamedTuple):
    """How a browser is to take a file."""

    content_type: str
    disposition: str


class Place(Protocol):
    """Its errors are FileFaults."""

    copies_at_once: int

    def open(self, key: str) -> BinaryIO: ...

    def head(self, key: str, size: int) -> bytes:
        """The first bytes, so many or all."""

    def facts(self, key: str) -> StoredFacts: ...

    def copy_from(self, source: "Place", source_key: str, key: str) -> Copied:
        """Copies a file of another store, and makes sure that both are the same."""

    def put(self, file: BinaryIO, key: str, sha256: str) -> Copied:
        """Writes the file; whoever opens the key finds all of it, or what was there before."""

    def settle(self, key: str) -> None:
        """Waits until the file would survive a power cut."""

    def remove(self, keys: Iterable[str]) -> dict[str, FileFault | None]: ...

    def walk(self) -> Iterator[StoredFile]:
        """Every file of the store, in no order."""

    def link(self, key: str, served: Served, method: str) -> str:
        """Where a browser gets the file itself for some minutes; empty where it is sent from here."""


def is_as_copied(file: BinaryIO, copied: Copied) -> bool:
    """By all of its bytes. An ETag of several parts says nothing of them, and is nobody's checksum."""
    if copied.sha256:
        return hashlib.file_digest(file, "sha256").hexdigest() == copied.sha256  # type: ignore[arg-type]
    return hashlib.file_digest(file, plain_md5).hexdigest() == copied.etag  # type: ignore[arg-type]


def plain_md5(content: bytes = b"") -> "hashlib._Hash":
    """What object stores have for an ETag, of what was sent in one piece."""
    return hashlib.md5(content, usedforsecurity=False)
