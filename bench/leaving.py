"""Deleting and expiring: against the bare statement, by several workers, and the memory that it takes."""

from collections.abc import Callable, Iterator
from statistics import median
from uuid import UUID

import psycopg

from assets import bulk, dispositions
from assets.models import Operation
from bench.child import Child
from bench.ground import Progress, Stopwatch, actor, count, fill, ids_of
from bench.report import Finding

BATCH = dispositions.BATCH
ROUNDS = 5
WORKERS = 4

# --- Against the bare statement ---------------------------------------------------

_BARE = """
    WITH left_now AS (
        DELETE FROM workspace_assets AS asset WHERE id = ANY({which})
        RETURNING asset.id, asset.user_id, to_jsonb(asset) AS row
    )
    INSERT INTO assets_disposition (asset_id, user_id, action, row, actor_id, operation_id, purge_after)
    SELECT id, user_id, %(action)s, row, %(actor)s, %(operation)s, now() + interval '24 hours' FROM left_now
"""
_BARE_DELETE = _BARE.format(which="%(ids)s")
_BARE_EXPIRE = _BARE.format(
    which="""ARRAY(
        SELECT id FROM workspace_assets WHERE expires_at <= now()
        ORDER BY expires_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )"""
)


def run_operation(action: Operation.Action, user: UUID) -> Operation:
    """As the pages and the worker do it: select by filter, freeze, confirm, run."""
    operation = bulk.freeze_filter(f"user={user}", action=action, actor=actor())
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    bulk.start(operation, actor=actor(), confirmed=operation.total, options={})
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    if operation.done != operation.total:
        raise AssertionError(f"{operation}: {operation.done} of {operation.total} done")
    return operation


def bare_delete(bare: psycopg.Connection, ids: list[UUID]) -> None:
    params = {"action": "deleted", "actor": actor().pk, "operation": 0}
    for first in range(0, len(ids), BATCH):
        bare.execute(_BARE_DELETE, params | {"ids": ids[first : first + BATCH]})


def bare_expire(bare: psycopg.Connection) -> None:
    params = {"action": "expired", "actor": None, "operation": None, "limit": BATCH}
    while bare.execute(_BARE_EXPIRE, params).rowcount:
        pass


def against_bare(bare: psycopg.Connection, rows: int) -> Iterator[Finding]:
    yield _rounds(bare, "delete by an operation", rows, _delete_round)
    yield _rounds(bare, "expire", rows, _expire_round)


def _rounds(
    bare: psycopg.Connection,
    name: str,
    rows: int,
    time_one: Callable[[psycopg.Connection, int, bool], float],
) -> Finding:
    each = rows // ROUNDS
    progress = Progress(f"{name}, against the bare statement", 2 * ROUNDS)
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * ROUNDS):
        ours = number % 4 in (0, 3)  # ours, bare, bare, ours, …
        speeds[ours].append(each / time_one(bare, each, ours))
        progress.show(number + 1)
    ratio = median(our / their for our, their in zip(speeds[True], speeds[False], strict=True))
    return Finding(
        f"{name}, {rows:,} rows",
        "rows/s",
        median(speeds[True]),
        median(speeds[False]),
        "bare statement",
        ratio,
        "at least 0.33",
        ratio >= 1 / 3,
    )


def _delete_round(bare: psycopg.Connection, rows: int, ours: bool) -> float:
    user = fill(bare, rows)
    ids = ids_of(bare, user)
    with Stopwatch() as watch:
        if ours:
            run_operation(Operation.Action.DELETE, user)
        else:
            bare_delete(bare, ids)
    _check_left(bare, user, rows)
    return watch.seconds


def _expire_round(bare: psycopg.Connection, rows: int, ours: bool) -> float:
    user = fill(bare, rows, expired=True)
    with Stopwatch() as watch:
        if ours:
            dispositions.expire()
        else:
            bare_expire(bare)
    _check_left(bare, user, rows)
    return watch.seconds


def _check_left(bare: psycopg.Connection, user: UUID, rows: int) -> None:
    """Every asset of the user has left, and is in the ledger once."""
    left = count(bare, "SELECT count(*) FROM workspace_assets WHERE user_id = %s", user)
    entries, assets = bare.execute(
        "SELECT count(*), count(DISTINCT asset_id) FROM assets_disposition WHERE user_id = %s", [user]
    ).fetchone()
    if (left, entries, assets) != (0, rows, rows):
        raise AssertionError(f"Of {rows} assets {left} are left; {entries} entries for {assets} of them")


# --- Several workers -----------------------------------------------------------


def by_workers(bare: psycopg.Connection, rows: int) -> Iterator[Finding]:
    rounds = 2
    progress = Progress(f"expire, by 1 and by {WORKERS} workers", 2 * rounds)
    deadlocks = _deadlocks(bare)
    speeds: dict[int, list[float]] = {1: [], WORKERS: []}
    for number in range(2 * rounds):
        workers = (1, WORKERS)[number % 2]
        speeds[workers].append(rows // rounds / _expire_by(bare, workers, rows // rounds))
        progress.show(number + 1)
    one, several = median(speeds[1]), median(speeds[WORKERS])
    name = f"expire by {WORKERS} processes, {rows:,} rows"
    yield Finding(name, "rows/s", several, one, "one process", several / one)
    deadlocks = _deadlocks(bare) - deadlocks
    yield Finding(
        "… deadlocks; each row in the ledger once", "", deadlocks, None, "", None, "none", not deadlocks
    )


def _expire_by(bare: psycopg.Connection, workers: int, rows: int) -> float:
    user = fill(bare, rows, expired=True)
    children = [Child("expire") for _ in range(workers)]
    with Stopwatch() as watch:
        for child in children:
            child.begin()
        done = [child.answer()["done"] for child in children]
    if sum(done) != rows:
        raise AssertionError(f"The workers say {done} of {rows} rows")
    _check_left(bare, user, rows)
    return watch.seconds


def _deadlocks(bare: psycopg.Connection) -> int:
    return count(bare, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


# --- Memory ----------------------------------------------------------------------


def memory(bare: psycopg.Connection, rows: int) -> Iterator[Finding]:
    few = min(1_000, rows)
    small = _delete_in_child(bare, few)
    large = _delete_in_child(bare, rows)
    ratio = large["peak_kib"] / small["peak_kib"]
    yield Finding(
        f"peak memory of a delete of {rows:,}",
        "MiB",
        large["peak_kib"] / 1024,
        small["peak_kib"] / 1024,
        f"of {few:,}",
        ratio,
        "at most 1.2",
        ratio <= 1.2,
    )
    yield Finding(f"… its speed, {rows:,} rows", "rows/s", rows / large["running"])
    yield Finding(f"freezing {rows:,} by a filter", "s", large["freezing"])


def _delete_in_child(bare: psycopg.Connection, rows: int) -> dict[str, float]:
    user = fill(bare, rows, label=f"{rows:,} rows for an operation")
    progress = Progress(f"deleting {rows:,} in a process of its own", rows)
    child = Child("delete", str(user))
    child.begin()
    while child.is_running(0.5):
        progress.show(
            min(count(bare, "SELECT done FROM assets_operation ORDER BY id DESC LIMIT 1"), rows - 1)
        )
    answer = child.answer()
    progress.show(rows)
    if answer["done"] != rows:
        raise AssertionError(f"The worker says {answer}")
    _check_left(bare, user, rows)
    return answer
