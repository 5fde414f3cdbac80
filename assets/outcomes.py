"""What became of each asset of a set; acting on a set so that one asset does not stop the others."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError, OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, ForeignKeyViolation

from assets.models import OperationItem

PAUSE = 0.1  # seconds
MOST_TRIES = 3  # where the database ends a deadlock at our cost

State = OperationItem.State


class Outcome(NamedTuple):
    """What became of one asset: done, gone before, or failed for a reason."""

    state: OperationItem.State
    reason: str = ""


Outcomes = dict[UUID, Outcome]
Record = Callable[[Outcomes], None]

DONE, GONE = Outcome(State.DONE), Outcome(State.GONE)


def failed(reason: object) -> Outcome:
    return Outcome(State.FAILED, str(reason))


def keep_no_record(outcomes: Outcomes) -> None:
    pass


def together_or_singly(act: Callable[[list[UUID]], Outcomes], ids: list[UUID], record: Record) -> Outcomes:
    """Acts on all in one transaction; where the database refuses, on each half in its own, and so on.

    A single asset that the database refuses (a constraint, a trigger of the product's) does not hold up
    the others. What is no asset's fault, such as a lost connection, is raised.
    """
    if not ids:
        return {}
    try:
        return _together(act, ids, record)
    except OperationalError:
        raise
    except DatabaseError as error:
        if len(ids) == 1:
            return note({ids[0]: failed(f"The database refused: {_reason(error)}")}, record)
    middle = len(ids) // 2
    return together_or_singly(act, ids[:middle], record) | together_or_singly(act, ids[middle:], record)


def _together(act: Callable[[list[UUID]], Outcomes], ids: list[UUID], record: Record) -> Outcomes:
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            with transaction.atomic():
                outcomes = act(ids)
                record(outcomes)
            return outcomes
        except OperationalError as error:
            # Verbs take their locks in one order, but other programs need not.
            if not tries_left or not isinstance(error.__cause__, DeadlockDetected):
                raise
            time.sleep(PAUSE)  # for the other to take what it waited for
    raise AssertionError("The last try returns or raises")


def note(outcomes: Outcomes, record: Record) -> Outcomes:
    with transaction.atomic():
        record(outcomes)
    return outcomes


def _reason(error: DatabaseError) -> str:
    # The other kind is of a row that others refer to.
    if isinstance(error.__cause__, ForeignKeyViolation) and str(error).startswith("insert"):
        return "its user or its job is gone, and a row here has to name one that is there"
    return str(error).partition("\n")[0][:300]


def rows(sql: str, params: Mapping[str, Any]) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()
