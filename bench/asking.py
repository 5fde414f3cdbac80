"""The three sides that are asked the same, each over one connection that stays open."""

import re
import time
from collections.abc import Sequence
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any, NamedTuple

import psycopg

from bench import DATA_DIR
from bench.serving import HOST
from workspace import localpg

PATIENCE = 60  # seconds; what takes longer is not waited for


class Statement(NamedTuple):
    sql: str
    params: Sequence[Any] | None = None


class Answer(NamedTuple):
    """Milliseconds; those of the server are told by our side alone."""

    ms: float
    body: str = ""
    server_ms: float = 0
    sql_ms: float = 0
    statements: int = 0
    has_given_up: bool = False  # a page that its time limit ended, with advice


class NoAnswerError(Exception):
    """The other side said nothing in time, or that its database did not."""


class WrongAnswerError(Exception):
    """The other side refused: nothing that could be measured."""


class Site:
    def __init__(self, port: int, cookie: str) -> None:
        self.port, self.headers = port, {"Cookie": cookie}
        self._connect()

    def _connect(self) -> None:
        self.connection = HTTPConnection(HOST, self.port, timeout=PATIENCE + 5)

    def ask(self, path: str) -> Answer:
        try:
            return self._ask(path)
        except (RemoteDisconnected, BrokenPipeError):  # it had been idle for long
            self._connect()
            return self._ask(path)

    def _ask(self, path: str) -> Answer:
        begun = time.perf_counter()
        try:
            self.connection.request("GET", path, headers=self.headers)
            response = self.connection.getresponse()
            body = response.read()
        except TimeoutError:
            self.connection.close()
            self._connect()
            raise NoAnswerError from None
        ms = (time.perf_counter() - begun) * 1000
        if response.status == 500 and ms >= PATIENCE * 1000:
            raise NoAnswerError
        if response.status not in (200, 503):
            raise WrongAnswerError(f"{path} answers with status {response.status}")
        told = {
            name: float(value) for name, value in _TOLD.findall(response.headers.get("Server-Timing", ""))
        }
        return Answer(
            ms,
            body.decode(),
            told.get("total", 0),
            told.get("sql", 0),
            int(told.get("statements", 0)),
            has_given_up=response.status == 503,
        )


_TOLD = re.compile(r"(\w+);dur=([\d.]+)")


class Raw:
    """Prepared statements, on a connection such as pages have."""

    def __init__(self) -> None:
        url = localpg.ensure(DATA_DIR / "postgres", "workspace")
        options = "-c max_parallel_workers_per_gather=0 -c jit=off -c statement_timeout=60s"
        self.connection = psycopg.connect(url, autocommit=True, options=options)

    def ask(self, statements: Sequence[Statement]) -> Answer:
        begun = time.perf_counter()
        for sql, params in statements:
            self.connection.execute(sql, params, prepare=True).fetchall()
        return Answer((time.perf_counter() - begun) * 1000)

    def rows(self, statement: Statement) -> list[tuple]:
        return self.connection.execute(statement.sql, statement.params).fetchall()


def stop_stock(bare: psycopg.Connection) -> None:
    """What nobody waits for any more must not disturb what is measured next."""
    bare.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'stock'")
