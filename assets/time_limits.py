"""Statements that a page can do without, if they take too long."""

from collections.abc import Sequence
from typing import Any

from django.db import OperationalError, connections
from psycopg.errors import QueryCanceled


class TimeLimitError(Exception):
    """The database gave up on a statement."""


def rows_within(using: str, seconds: float | None, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement finds, in some time if there is a limit. Raises TimeLimitError.

    The limit travels with the statement, as one message of a transaction of its own: no further round trip.
    (Within a longer transaction, that one would be of no use after the error.)
    """
    with connections[using].cursor() as cursor:
        if seconds is None:
            cursor.execute(sql, params)
            return cursor.fetchall()
        limit = f"SET LOCAL statement_timeout = {int(seconds * 1000)}"
        try:
            cursor.execute(f"{limit}; {sql}; SET LOCAL statement_timeout TO DEFAULT", params)
        except OperationalError as error:
            if isinstance(error.__cause__, QueryCanceled):
                raise TimeLimitError from error
            raise
        cursor.nextset()  # past the limit, which finds nothing
        return cursor.fetchall()
