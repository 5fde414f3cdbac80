"""Removes the files of assets that have left, when their time has come; nothing is best effort.

Each entry of the ledger keeps what became of each of its files. One that cannot be removed now is tried
again, later each time, and never holds up another.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from psycopg.types.json import Jsonb

from assets import grants
from assets.file_names import named_keys
from assets.formats import FORMATS
from assets.models import Disposition, LibraryAsset
from assets.models.ledger import remove_files_alone
from assets.previews import drop_preview, preview_name
from assets.read_only import writes
from assets.storage import (
    LIBRARY,
    THUMBNAIL_SUFFIX,
    WORKSPACE,
    Copied,
    MissingFile,
    PathFault,
    Store,
    key_of,
    thumbnail_beside,
)

logger = logging.getLogger(__name__)

BATCH = 200  # entries whose files go in one transaction
LONGEST_WAIT = timedelta(hours=6)  # between two tries

EXTENSIONS = {known.extension for known in FORMATS} | {"jpeg"}

STORES = {store.alias: store for store in (WORKSPACE, LIBRARY)}


class Purged(NamedTuple):
    done: int
    failed: int


@dataclass
class File:
    """A file of an entry, and what became of it."""

    store: str
    path: str
    # removed; missing; kept (another asset names it); outside (the path names no place in the store); failed
    state: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        return key_of(self.path, STORES[self.store].bucket)

    def settle(self, state: str, reason: object = "") -> None:
        self.state, self.reason = state, str(reason)


@writes
def purge(*, batch: int = BATCH, progress: Callable[[int], None] = lambda done: None) -> Purged:
    """Removes the files of every entry that is due."""
    grants.demand_every_row()
    schedule_departures_by_others()
    done = failed = 0
    while True:
        purged = _purge_batch(batch)
        done, failed = done + purged.done, failed + purged.failed
        progress(done)
        if not any(purged):
            return Purged(done, failed)


def schedule_departures_by_others() -> None:
    """The trigger that wrote these entries cannot know for how long files are kept."""
    grace = timedelta(hours=settings.PURGE_GRACE_HOURS)
    Disposition.objects.unscheduled().update(purge_after=F("disposed_at") + grace)


def _purge_batch(size: int) -> Purged:
    due = Disposition.objects.due().order_by("next_try", "id")
    unsafe = _unsafe(list(due[:size]))  # takes its time, and so comes before the lock
    with transaction.atomic():
        # Until the commit nothing comes back, so that no row can come to name what is removed here.
        remove_files_alone()
        entries = list(due.filter(id__in=unsafe).select_for_update(skip_locked=True))
        files = {entry.id: _files_of(entry, unsafe[entry.id]) for entry in entries}
        for alias, store in STORES.items():
            _remove([file for each in files.values() for file in each if file.store == alias], store, files)
        for entry in entries:
            _note(entry, files[entry.id])
        _write_down(entries)
    failed = sum(entry.purged_at is None for entry in entries)
    return Purged(len(entries) - failed, failed)


def _unsafe(entries: list[Disposition]) -> dict[int, str]:
    """Why the workspace's file of an entry has to stay, if it has: an asset in the library needs its copy.

    That is read once more before the last other one goes, and made to survive a power cut.
    """
    saved = [
        entry for entry in entries if entry.action == Disposition.Action.PROMOTED and not entry.restored_at
    ]
    rows = LibraryAsset.objects.filter(id__in=[entry.asset_id for entry in saved])
    paths = {pk: names for pk, *names in rows.values_list("id", "storage_path", "thumbnail_path")}
    reasons = dict.fromkeys((entry.id for entry in entries), "")
    for entry in saved:
        try:
            for name, path in zip(("file", "thumbnail"), paths.get(entry.asset_id, ()), strict=False):
                _confirm(entry, name, path)
        except Exception as error:
            # A fault, or an entry that makes no sense.
            reasons[entry.id] = f"It stays, since of the library's copy this is said: {error}"
    return reasons


def _confirm(entry: Disposition, name: str, path: str | None) -> None:
    copied = entry.saved[name]
    if copied and copied["key"] == path:
        LIBRARY.confirm(Copied(**copied))
    elif path:
        LIBRARY.settle(path)  # the product has put another in its place


def _files_of(entry: Disposition, unsafe: str) -> list[File]:
    """The files that this entry is to remove: the workspace's, or the library's after a return from it."""
    try:
        files = list(_library_files(entry) if entry.restored_at else _workspace_files(entry))
        for file in files:
            if unsafe and not file.state:
                file.settle("failed", unsafe)
        return files
    except Exception as error:
        logger.exception("The entry %s of the ledger is not understood", entry.pk)
        return [File("workspace", "", "failed", f"The entry is not understood: {error!r}")]


def _workspace_files(entry: Disposition) -> Iterator[File]:
    path, thumbnail = entry.row["temp_storage_path"], entry.row["thumbnail_path"]
    paths = [path, thumbnail]
    with contextlib.suppress(PathFault):  # said of the path itself
        paths.append(thumbnail_beside(key_of(path, WORKSPACE.bucket)))
    for each in dict.fromkeys(filter(None, paths)):
        yield _file(WORKSPACE, each)
    if not path:
        yield _file(WORKSPACE, path)


def _library_files(entry: Disposition) -> Iterator[File]:
    for saved in (entry.saved["file"], entry.saved["thumbnail"]):
        if saved:
            yield _file(LIBRARY, saved["key"])


def _file(store: Store, path: str) -> File:
    file = File(store.alias, path)
    try:
        _ = file.key
    except PathFault as fault:
        file.settle("outside", fault)
    return file


def _remove(todo: list[File], store: Store, files: dict[int, list[File]]) -> None:
    open_files = [file for file in todo if not file.state]
    # One that has to stay for its own entry has to stay for the others.
    named = {file.key for file in todo if file.state == "failed" and file.path}
    keys = {file.key for file in open_files}
    named |= named_keys(store, keys | _siblings(keys), besides=list(files))
    # The thumbnail beside a file that stays is its other asset's too, whose row need not name it.
    named |= {thumbnail_beside(key) for key in named}
    results = store.remove({file.key for file in open_files} - named)
    for file in open_files:
        if file.key in named:
            file.settle("kept", "Another asset, here or in the ledger, has the same file")
            continue
        fault = results[file.key]
        if fault is None:
            file.settle("removed")
        elif isinstance(fault, MissingFile):
            file.settle("missing", fault)
        else:
            file.settle("outside" if isinstance(fault, PathFault) else "failed", fault)


def _siblings(keys: set[str]) -> set[str]:
    """The files that a thumbnail may lie beside: a/0.thumb.webp is that of a/0.png, and of a/0.mp4."""
    stems = {key.removesuffix(THUMBNAIL_SUFFIX) for key in keys if key.endswith(THUMBNAIL_SUFFIX)}
    return {f"{stem}.{extension}" for stem in stems for extension in EXTENSIONS}


def _note(entry: Disposition, files: list[File]) -> None:
    _recall(entry, files)
    entry.files = [asdict(file) for file in files]
    faults = [file.reason for file in files if file.state == "failed"]
    if faults:
        entry.attempts += 1
        entry.last_error = faults[0]
        entry.retry_at = timezone.now() + min(timedelta(minutes=2 ** min(entry.attempts, 12)), LONGEST_WAIT)
        return
    entry.purged_at, entry.retry_at, entry.last_error = timezone.now(), None, ""
    if not entry.restored_at:
        _drop_preview(entry.asset_id)


_WRITE_DOWN = """
    UPDATE {ledger} AS entry SET (purged_at, retry_at, attempts, last_error, files)
        = (result.purged_at, result.retry_at, result.attempts, result.last_error, result.files)
    FROM jsonb_to_recordset(%s) AS result (
        id bigint, purged_at timestamptz, retry_at timestamptz, attempts integer, last_error text, files jsonb
    ) WHERE entry.id = result.id
"""


def _write_down(entries: list[Disposition]) -> None:
    """All in one plain statement: building one with Django took longer than removing the files."""
    results = [
        {
            "id": entry.id,
            "purged_at": entry.purged_at and entry.purged_at.isoformat(),
            "retry_at": entry.retry_at and entry.retry_at.isoformat(),
            "attempts": entry.attempts,
            "last_error": entry.last_error,
            "files": entry.files,
        }
        for entry in entries
    ]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_DOWN.format(ledger=Disposition._meta.db_table), [Jsonb(results)])


def _drop_preview(asset_id: UUID) -> None:
    try:
        drop_preview(preview_name(WORKSPACE.alias, asset_id))
    except OSError:
        # It goes by its age instead, and must not hold up files.
        logger.warning("The preview of %s cannot be removed", asset_id, exc_info=True)


def _recall(entry: Disposition, files: list[File]) -> None:
    """What an earlier try removed, this one only finds missing."""
    removed = {(each["store"], each["path"]) for each in entry.files or () if each["state"] == "removed"}
    for file in files:
        if file.state == "missing" and (file.store, file.path) in removed:
            file.settle("removed")
