"""Where rows say a file is: paths with a bucket, without, or addresses; and the one key that all mean.

The names of the buckets are those that rows have. What a bucket is called where it really is, or the folder
that stands for it, is no part of a key.
"""

import re
from urllib.parse import unquote, urlsplit

from assets.stores.faults import PathFault

MAX_KEY_BYTES = 1024  # what object stores accept
MAX_NAME_BYTES = 255  # what file systems accept between two slashes

WORKSPACE_BUCKET = "workspace-temp"
LIBRARY_BUCKET = "user-library"
_BUCKETS = (WORKSPACE_BUCKET, LIBRARY_BUCKET)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Control characters, the other system's separator, halves of characters, which have no bytes, and two that
# XML does not have: for one of them, a request to remove many files would fail.
_NOT_IN_KEYS = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff\ufffe\uffff]")


def key_of(path: str, bucket: str) -> str:
    """The key, relative to the bucket, that a row's path names; PathFault when it names none.

    A key is its own path, and paths of one file have one key.
    """
    if not path.strip():
        raise PathFault("The path is empty")
    key = _key_in_url(path, bucket) if _URL.match(path) else path.removeprefix(f"{bucket}/")
    check_key(key)
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


def check_key(key: str) -> None:
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
