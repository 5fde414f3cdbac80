"""The newest rows of assets and library: whether their files are where the stores are."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from django.db import DatabaseError, connection, transaction

from assets.attachment.verdicts import Verdict, counted, note, ok, problem, said, unknown, value, warning
from assets.models import LibraryAsset, WorkspaceAsset
from assets.storage import LIBRARY, WORKSPACE, FileFault, Store, StoreTrouble

SIZE = 100  # rows
AT_ONCE = 8
ENOUGH = 0.9  # of the files that rows name: now and then one is gone in any product
TELLING = 10  # rows: none of so many has its file by no accident
_PER_TRY = "SET LOCAL statement_timeout = '2s'"  # without an index, a large table is given up


class Sample(NamedTuple):
    store: Store
    table: str
    paths: list[str]
    failure: str = ""


def take() -> list[Sample]:
    """From the database, so that it need not wait for the stores."""
    wanted = (
        (WORKSPACE, WorkspaceAsset, "temp_storage_path", ("created_at", "expires_at")),
        (LIBRARY, LibraryAsset, "storage_path", ("created_at",)),
    )
    return [
        _newest(store, model._meta.db_table, column, orders)
        for store, model, column, orders in wanted
        if value("SELECT to_regclass(%s)", model._meta.db_table)
    ]


def _newest(store: Store, table: str, column: str, orders: tuple[str, ...]) -> Sample:
    """By the first order that answers in time; of a table that has an index for none of them, any rows."""
    failure = ""
    sorts = [f"WHERE {order} IS NOT NULL ORDER BY {order} DESC" for order in orders]
    for sort in (*sorts, ""):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_PER_TRY)
                cursor.execute(f"SELECT {column} FROM {table} {sort} LIMIT {SIZE}")  # noqa: S608 (names are ours)
                paths = [path or "" for (path,) in cursor.fetchall()]
        except DatabaseError as error:
            failure = said(error)
            continue
        if paths:
            return Sample(store, table, paths)
        failure = ""
    return Sample(store, table, [], failure)


def verdict(sample: Sample) -> Verdict:
    if sample.failure:
        return unknown(f"The paths of {sample.table} cannot be read ({sample.failure}).")
    if not sample.paths:
        return note(f"{sample.table} is empty: whether its files are in this store cannot be told.")
    faults = _faults(sample)
    there = faults.count("")
    so = (
        f"Of {counted(len(faults), 'row')} of {sample.table}, the newest,"
        f" {f'{there} have their' if there else 'none has its'} file in the {sample.store.alias}'s store"
    )
    if there >= ENOUGH * len(faults):
        return ok(f"{so}.")
    why = "; ".join(f"{reason} ({number})" for reason, number in Counter(filter(None, faults)).most_common(3))
    example = next(path for path, fault in zip(sample.paths, faults, strict=True) if fault)
    do = f"{why}. Such as {_shown(example)}: compare it with the bucket and the prefix that are set."
    return (warning if there or len(faults) < TELLING else problem)(f"{so}.", do)


def _faults(sample: Sample) -> list[str]:
    """What is wrong with each path's file; empty where it is there."""
    first = _fault(sample.store, sample.paths[0])
    if isinstance(first, StoreTrouble):  # which takes its time to be found out
        return [str(first)] * len(sample.paths)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = pool.map(lambda path: _fault(sample.store, path), sample.paths)
        return [str(fault or "") for fault in faults]


def _fault(store: Store, path: str) -> FileFault | None:
    try:
        store.facts(path)
    except FileFault as fault:
        return fault
    return None


def _shown(path: str) -> str:
    """Without what signs an address, and without what a terminal would act on."""
    return repr(path.partition("?")[0][:120])
