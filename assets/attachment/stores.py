"""Both stores: what the dashboard does with files, tried on one small file of its own.

It is written into the workspace's store under a name that tells what it is, copied into the library's, and
removed from both, whatever happens meanwhile.
"""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar
from uuid import uuid4

from django.core.files.storage import FileSystemStorage, storages

from assets.attachment import links
from assets.attachment.server import difference
from assets.attachment.verdicts import Verdict, note, obstacle, ok, problem, unknown
from assets.storage import LIBRARY, WORKSPACE, FileFault, MissingFile, Store

CONTENT = b"Workspace Assets wrote this to try the store, and removes it at once."
TAIL = 8  # bytes from the end, read without the rest

Result = TypeVar("Result")


def listings() -> Iterator[Verdict]:
    for store in (WORKSPACE, LIBRARY):
        yield _listed(store)


def where(store: Store) -> str:
    """As the variables that set it would write it."""
    storage = storages[store.alias]
    if isinstance(storage, FileSystemStorage):
        return f"file://{storage.location}"
    return f"s3://{storage.bucket_name}/{storage.location}".rstrip("/")


def _name(store: Store) -> str:
    return f"The {store.alias}'s store"


def _variable(store: Store) -> str:
    return f"{store.alias.upper()}_STORE"


def _settings_of(store: Store) -> str:
    if isinstance(storages[store.alias], FileSystemStorage):
        return _variable(store)
    return (
        f"{_variable(store)}, AWS_REGION or S3_ENDPOINT_URL, and the keys in AWS_ACCESS_KEY_ID and beside it"
    )


def _listed(store: Store) -> Verdict:
    first, fault = _tried(lambda: list(islice(store.walk(), 1)))
    place = f"{_name(store)}, {where(store)},"
    if fault:
        return problem(f"{place} cannot be listed: {fault}.", f"Check {_settings_of(store)}.")
    if not first:
        return note(f"{place} is empty.", f"Check {_variable(store)}, unless nothing was ever in it.")
    return ok(f"{place} can be listed.")


def _tried(act: Callable[[], Result]) -> tuple[Result | None, str]:
    """What came of it, or why nothing did."""
    try:
        return act(), ""
    except FileFault as fault:
        return None, str(fault)
    except Exception as error:  # whatever a storage raises is a verdict
        return None, f"{type(error).__name__}: {error}"


# --- The probe ---------------------------------------------------------------


def probe() -> Iterator[Verdict]:
    """Writes, reads and copies a file, which goes in any case."""
    key = f".workspace-assets-probe-{uuid4()}.txt"  # in no folder, since an empty one would stay
    started = datetime.now(UTC).replace(microsecond=0)  # as files' times are
    try:
        _, fault = _tried(lambda: WORKSPACE.put(io.BytesIO(CONTENT), key))
        if fault:
            do = f"Let the keys write there, or set READ_ONLY=1. Look at {_variable(WORKSPACE)}."
            yield obstacle(f"{_name(WORKSPACE)} cannot be written to: {fault}.", do)
            yield unknown("Copying, reading parts and removing could not be tried.")
            return
        yield ok(f"{_name(WORKSPACE)} can be written to.")
        yield _clock(key, started)
        yield _read(key)
        yield _part(key)
        yield from links.verdicts(WORKSPACE, key, CONTENT)
        yield _copied(key)
    finally:
        removed = [_removed(store, key) for store in (WORKSPACE, LIBRARY)]
    yield from removed


def _clock(key: str, started: datetime) -> Verdict:
    facts, fault = _tried(lambda: WORKSPACE.facts(key))
    if facts is None:
        return problem(
            f"{_name(WORKSPACE)} does not tell of a file that it has: {fault}.", "Ask who runs it."
        )
    return difference(facts.modified_at, started, datetime.now(UTC), "the store's")


def _read(key: str) -> Verdict:
    content, fault = _tried(lambda: _content(WORKSPACE, key))
    if content == CONTENT:
        return ok("A file is read as it was written.")
    return problem(f"A file is not read as it was written: {fault or 'its bytes differ'}.", _RIGHTS)


_RIGHTS = "Let the keys read, write and remove objects in both buckets."


def _content(store: Store, key: str, start: int = 0) -> bytes:
    with store.open(key) as file:
        file.seek(start)
        return file.read()


def _part(key: str) -> Verdict:
    content, fault = _tried(lambda: _content(WORKSPACE, key, len(CONTENT) - TAIL))
    if content == CONTENT[-TAIL:]:
        return ok("A part of a file can be read without the rest, as videos need.")
    do = "Whatever stands before the store must pass on the header Range."
    return problem(f"A part of a file cannot be read: {fault or 'other bytes came'}.", do)


def _copied(key: str) -> Verdict:
    copy, fault = _tried(lambda: LIBRARY.copy_from(WORKSPACE, key, key))
    content, unread = _tried(lambda: _content(LIBRARY, key)) if copy else (None, "")
    if content == CONTENT:
        return ok("A file can be copied from the workspace's store into the library's.")
    return obstacle(f"Saving fails: a file cannot be copied into the library ({fault or unread}).", _RIGHTS)


def _removed(store: Store, key: str) -> Verdict:
    faults, failure = _tried(lambda: store.remove([key]))
    fault = faults[key] if faults else failure
    if fault is None or isinstance(fault, MissingFile):
        return ok(f"{_name(store)} lets files be removed: nothing of this is left there.")
    so = f"{_name(store)} does not let files be removed: {fault}."
    return problem(so, f"Remove {key} there by hand, and let the keys remove objects. {_RIGHTS}")
