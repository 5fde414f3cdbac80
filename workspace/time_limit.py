"""The time that the statements of one request may take together."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

QUICK = 0.25  # seconds after which a request is no longer one of the many whose time need not be told


class TimeLimit:
    """Gives each statement no more than what is left.

    Until the request has taken some time, the database is not told: it has the whole limit from the
    settings of the connection.
    """

    def __init__(self, seconds: float) -> None:
        self.started_at = time.monotonic()
        self.seconds = seconds
        self.told: set[BaseDatabaseWrapper] = set()

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        elapsed = time.monotonic() - self.started_at
        if elapsed > QUICK:
            self._tell(context["connection"], max(self.seconds - elapsed, 0.001))
        return execute(sql, params, many, context)

    def allow(self, seconds: float) -> None:
        """So much from now on, for the answer that says that the limit is reached."""
        self.seconds = time.monotonic() - self.started_at + seconds

    def _tell(self, connection: BaseDatabaseWrapper, seconds: float) -> None:
        self.told.add(connection)
        # Of a transaction that has failed, the next statement fails by itself, and this with it.
        with suppress(psycopg.Error):
            self._run(connection, f"SET statement_timeout = {round(seconds * 1000) or 1}")

    def forget(self) -> None:
        """Whoever has a connection next must not inherit what was left of the limit."""
        for connection in self.told:
            try:
                self._run(connection, "RESET statement_timeout")
            except psycopg.Error:  # such as that the last millisecond of the limit has passed meanwhile
                connection.connection.close()  # so that the pool makes another
                connection.close()

    def _run(self, connection: BaseDatabaseWrapper, statement: str) -> None:
        if connection.connection is not None:
            connection.connection.execute(statement)


@contextmanager
def time_limit(seconds: float) -> Iterator[TimeLimit]:
    limit = TimeLimit(seconds)
    try:
        with ExitStack() as wrapped:
            for connection in connections.all():
                wrapped.enter_context(connection.execute_wrapper(limit))
            yield limit
    finally:
        limit.forget()
