"""Compares the stores with rows and ledger, both ways: files that nobody names, rows whose file is missing.

Names and files are compared in the database, so that memory does not grow with either.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models.fields.json import KT
from django.utils import timezone

from assets import grants
from assets.file_names import named_keys
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.models.ledger import RowText, remove_files_alone
from assets.outcomes import rows
from assets.read_only import refuse_if_read_only
from assets.storage import (
    LIBRARY,
    WORKSPACE,
    FileFault,
    PathFault,
    Store,
    StoreTrouble,
    key_of,
    thumbnail_beside,
)

ORPHAN_AGE = timedelta(hours=24)  # younger ones may be of an asset that is being made, or saved
SHOWN = 1_000  # of each kind of finding
CHUNK = 5_000  # rows held in memory
BATCH = 200  # files removed in one transaction

Progress = Callable[[str, int], None]


class Orphan(NamedTuple):
    store: str
    key: str
    size: int  # bytes
    modified_at: datetime


class Missing(NamedTuple):
    store: str
    asset_id: str
    path: str
    reason: str


@dataclass
class Report:
    files: dict[str, int] = field(default_factory=dict)  # by store
    names: dict[str, int] = field(default_factory=dict)  # paths in rows, by store
    orphans: int = 0
    orphan_bytes: int = 0
    removable: int = 0  # orphans old enough
    missing: int = 0
    unreadable: int = 0  # paths that name no place in their store
    removed: int = 0
    failed: int = 0
    some_orphans: list[Orphan] = field(default_factory=list)
    some_missing: list[Missing] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.orphans - self.removed or self.missing or self.unreadable)

    @property
    def looks_unmounted(self) -> list[str]:
        """Stores that list as empty although rows name files in them."""
        return [store for store, number in self.names.items() if number and not self.files[store]]


class RefusedError(Exception):
    """Why nothing is removed; for people."""


def reconcile(*, remove: bool, limit: int, progress: Progress = lambda step, done: None) -> Report:
    """Reports; with `remove`, removes at most `limit` orphans that are a day old. Raises RefusedError."""
    if remove:
        refuse_if_read_only()
    grants.demand_every_row()
    report = Report()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_TABLES)
        # Files first: whatever came after was named by nobody that these could miss.
        for store in (WORKSPACE, LIBRARY):
            report.files[store.alias] = _list_files(store, progress)
        for store, names in ((WORKSPACE, _workspace_names()), (LIBRARY, _library_names())):
            report.names[store.alias] = _list_names(store, names, report, progress)
        _compare(report)
        orphans = _orphans(limit) if remove else []
    if remove and not _has_known_any_asset():
        raise RefusedError("Nothing is removed: this database has never had an asset. Is it the right one?")
    if remove and report.looks_unmounted:
        stores = " and the ".join(report.looks_unmounted)
        raise RefusedError(f"Nothing is removed: the {stores} lists as empty though rows name files in it.")
    _remove(orphans, report, progress)
    return report


def _has_known_any_asset() -> bool:
    tables = (WorkspaceAsset, LibraryAsset, Disposition)
    return any(table.objects.exists() for table in tables)


_TABLES = """
    CREATE TEMPORARY TABLE found_files (store text, key text, size bigint, modified_at timestamptz)
        ON COMMIT DROP;
    CREATE TEMPORARY TABLE found_names (store text, key text, asset_id uuid, path text) ON COMMIT DROP;
"""


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _copy_in(table: str, columns: str, items: Iterable[tuple]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for item in items:
            copy.write_row(item)


def _list_files(store: Store, progress: Progress) -> int:
    number = 0
    for chunk in _chunks(store.walk()):
        _copy_in("found_files", "store, key, size, modified_at", ((store.alias, *file) for file in chunk))
        number += len(chunk)
        progress(f"files of the {store.alias}", number)
    return number


class _Name(NamedTuple):
    path: str
    asset_id: Any = None  # None where the file need not be there


def _workspace_names() -> Iterator[_Name]:
    live = WorkspaceAsset.objects.order_by().values_list("id", "temp_storage_path", "thumbnail_path")
    for pk, path, thumbnail in live.iterator(CHUNK):
        yield from _of_row(pk, path, thumbnail, WORKSPACE)
    # Read as text, as `named_keys` does: whatever an entry holds, it must not stop the others.
    columns = RowText("temp_storage_path"), RowText("thumbnail_path")
    for path, thumbnail in Disposition.objects.held().order_by().values_list(*columns).iterator(CHUNK):
        yield from _of_row(None, path, thumbnail, WORKSPACE)


def _library_names() -> Iterator[_Name]:
    saved = LibraryAsset.objects.order_by().values_list("id", "storage_path", "thumbnail_path")
    for pk, path, thumbnail in saved.iterator(CHUNK):
        yield from _of_row(pk, path, thumbnail, LIBRARY)
    returned = Disposition.objects.pending().filter(restored_at__isnull=False).order_by()
    for keys in returned.values_list(KT("saved__file__key"), KT("saved__thumbnail__key")).iterator(CHUNK):
        yield from map(_Name, filter(None, keys))


def _of_row(pk: Any, path: str | None, thumbnail: str | None, store: Store) -> Iterator[_Name]:
    if path is not None:
        yield _Name(path, pk)
        with contextlib.suppress(PathFault):  # told of the path itself
            yield _Name(thumbnail_beside(key_of(path, store.bucket)))
    if thumbnail:
        yield _Name(thumbnail, pk)


def _list_names(store: Store, names: Iterable[_Name], report: Report, progress: Progress) -> int:
    number = seen = 0
    for chunk in _chunks(names):
        described = []
        for name in chunk:
            try:
                described.append((store.alias, key_of(name.path, store.bucket), name.asset_id, name.path))
            except PathFault as fault:
                if name.asset_id:
                    report.unreadable += 1
                    _show(
                        report.some_missing, Missing(store.alias, str(name.asset_id), name.path, str(fault))
                    )
        _copy_in("found_names", "store, key, asset_id, path", described)
        number += sum(name[2] is not None for name in described)
        seen += len(chunk)
        progress(f"names in the {store.alias}", seen)
    return number


_UNNAMED = """
    FROM found_files AS file WHERE NOT EXISTS (
        SELECT FROM found_names AS name WHERE name.store = file.store AND name.key = file.key
    )
"""
_ABSENT = """
    FROM found_names AS name WHERE asset_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM found_files AS file WHERE file.store = name.store AND file.key = name.key
    )
"""


def _compare(report: Report) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE found_files; ANALYZE found_names")
    old = {"old": timezone.now() - ORPHAN_AGE, "shown": SHOWN}
    numbers = "count(*), coalesce(sum(size), 0)::bigint, count(*) FILTER (WHERE modified_at < %(old)s)"
    report.orphans, report.orphan_bytes, report.removable = rows(f"SELECT {numbers} {_UNNAMED}", old)[0]
    listed = rows(f"SELECT store, key, size, modified_at {_UNNAMED} ORDER BY store, key LIMIT %(shown)s", old)
    report.some_orphans = [Orphan(*row) for row in listed]
    with connection.cursor().connection.cursor("absent") as cursor:  # on the server, for there may be many
        cursor.execute(f"SELECT store, asset_id::text, path {_ABSENT} ORDER BY store, asset_id")
        for store, asset_id, path in cursor:
            _count_missing(report, Missing(store, asset_id, path, ""))


def _count_missing(report: Report, missing: Missing) -> None:
    """Unless the file has come since the files were listed."""
    try:
        {"workspace": WORKSPACE, "library": LIBRARY}[missing.store].facts(missing.path)
    except FileFault as fault:
        report.missing += 1
        _show(report.some_missing, missing._replace(reason=str(fault)))


def _show(listed: list, finding: NamedTuple) -> None:
    if len(listed) < SHOWN:
        listed.append(finding)


# --- Removing ----------------------------------------------------------------


def _orphans(limit: int) -> list[Orphan]:
    old = {"old": timezone.now() - ORPHAN_AGE, "limit": limit}
    sql = f"SELECT store, key, size, modified_at {_UNNAMED} AND modified_at < %(old)s ORDER BY store, key LIMIT %(limit)s"  # noqa: E501
    return [Orphan(*row) for row in rows(sql, old)]


def _remove(orphans: list[Orphan], report: Report, progress: Progress) -> None:
    for store in (WORKSPACE, LIBRARY):
        keys = [orphan.key for orphan in orphans if orphan.store == store.alias]
        for start in range(0, len(keys), BATCH):
            with transaction.atomic():
                remove_files_alone()  # nothing is saved or brought back meanwhile: judged once more
                _remove_batch(store, keys[start : start + BATCH], report)
            progress("orphans removed", report.removed)


def _remove_batch(store: Store, keys: list[str], report: Report) -> None:
    named = named_keys(store, keys)
    unnamed = (key for key in keys if key not in named)
    for fault in store.remove(list(_old_among(store, unnamed))).values():
        if fault is None:
            report.removed += 1
        else:
            report.failed += 1


def _old_among(store: Store, keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        try:
            is_old = store.facts(key).modified_at < timezone.now() - ORPHAN_AGE
        except StoreTrouble:
            return  # which takes its time: nobody is to wait for the lock meanwhile, and the rest can
        except FileFault:
            continue
        if is_old:
            yield key
