"""The replica that lists are read from, where READ_REPLICA_URL names one."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connections, transaction

from assets import replica
from assets.attachment.server import PATIENCE, advice
from assets.attachment.verdicts import Check, Verdict, ok, problem, rows, said, warning

# By numbers that two servers only have in common where one is a copy of the other.
_IDENTITY = (
    "(SELECT oid FROM pg_database WHERE datname = current_database()), to_regclass('workspace_assets')::oid"
)
_THERE = (
    f"SELECT {_IDENTITY}, pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn() - '0/0', 0),"
    " clock_timestamp() - pg_last_xact_replay_timestamp()"
)
_HERE = f"SELECT {_IDENTITY}, pg_current_wal_flush_lsn() - '0/0'"


def read_replica() -> Iterator[Verdict]:
    if not replica.is_configured():
        return
    (*ours, written) = rows(_HERE)[0]
    try:
        (*theirs, is_replica, replayed, age) = _ask()
    except DatabaseError as error:
        so = f"The replica cannot be reached, so that lists are read from the primary: {said(error)}."
        yield warning(so, advice(str(error).lower()).replace("DATABASE_URL", "READ_REPLICA_URL"))
        return
    if not is_replica or ours != theirs:
        why = "is of another database" if is_replica else "is no replica, but a server of its own"
        yield problem(f"What READ_REPLICA_URL names {why}.", "Name a streaming replica of DATABASE_URL.")
    else:
        yield _lag(max(written - replayed, 0), age or timedelta(0))


def _ask() -> tuple[Any, ...]:
    try:
        with transaction.atomic(replica.REPLICA), connections[replica.REPLICA].cursor() as cursor:
            cursor.execute(PATIENCE)
            cursor.execute(_THERE)
            return cursor.fetchone()
    finally:
        connections[replica.REPLICA].close()


def _lag(behind: int, age: timedelta) -> Verdict:
    """Time alone says nothing: what the primary does not write, no replica can have."""
    if behind and age > replica.MOST_LAG:
        so = f"The replica is {age.total_seconds():,.0f} s and {behind:,} bytes behind."
        return warning(so, "Lists are read from the primary until it has caught up: look at the replica.")
    return ok("The replica is one of this database, and keeps up.")


CHECKS: tuple[Check, ...] = (read_replica,)
