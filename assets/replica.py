"""Which database a list is read from: a streaming replica, where there is one that has what it must show.

What the replica does not answer, the primary does. Whoever has changed something carries the position of
the change in the primary's log, and reads from the primary until the replica has come so far.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import wraps
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from psycopg.errors import QueryCanceled

logger = logging.getLogger(__name__)

REPLICA = "replica"  # of DATABASES
READS = ("GET", "HEAD")
MOST_LAG = timedelta(seconds=15)
CHECK_EVERY, REST = 2.0, 10.0  # seconds; the longer one after it has failed
LOG_EVERY = 60.0
COOKIE = "written"
COOKIE_AGE = 60  # seconds: by then the replica has it, or lags so much that nobody reads from it

View = Callable[..., Any]

_alias: ContextVar[str] = ContextVar("alias", default=DEFAULT_DB_ALIAS)


def is_configured() -> bool:
    return REPLICA in connections.settings


def alias() -> str:
    """Where to read from, now and here."""
    return _alias.get()


# --- For views ---------------------------------------------------------------


def reads_from_replica(view: View) -> View:
    """What it shows may be some seconds old, but for what the person who asks has done."""

    @wraps(view)
    def read(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not _is_good_for(request):
            return view(request, *args, **kwargs)
        try:
            with _reading_there():
                return _streamed_from_there(view(request, *args, **kwargs))
        except (Error, Http404) as error:  # it may be that something has not arrived there yet
            if isinstance(error.__cause__, QueryCanceled):
                raise  # would take as long on the primary
            fault = error
        response = view(request, *args, **kwargs)  # raises what is not the replica's fault
        if isinstance(fault, Error):
            health.failed(fault)
        return response

    return read


def shows_writes(view: View) -> View:
    """Of others, such as the worker: lists that are read next have them as well."""

    @wraps(view)
    def show(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return remember_writes(view(request, *args, **kwargs))

    return show


def remember_writes(response: HttpResponseBase) -> HttpResponseBase:
    """All that is written by now."""
    if is_configured():
        with suppress(Error):  # since what was asked for is done
            position, _ = _ask(DEFAULT_DB_ALIAS, "pg_current_wal_insert_lsn() - '0/0', now()")
            options = {"httponly": True, "samesite": "Lax", "secure": settings.SESSION_COOKIE_SECURE}
            response.set_signed_cookie(COOKIE, str(position), max_age=COOKIE_AGE, **options)
    return response


@contextmanager
def _reading_there() -> Iterator[None]:
    token = _alias.set(REPLICA)
    try:
        yield
    finally:
        _alias.reset(token)


def _streamed_from_there(response: HttpResponseBase) -> HttpResponseBase:
    if response.streaming:
        response.streaming_content = _parts_from_there(response.streaming_content)
    return response


def _parts_from_there(parts: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with _reading_there():
            part = next(parts, None)
        if part is None:
            return
        yield part


def _is_good_for(request: HttpRequest) -> bool:
    if not is_configured() or request.method not in READS or not health.is_good():
        return False
    written = request.get_signed_cookie(COOKIE, default=None, max_age=COOKIE_AGE)
    return written is None or health.has_replayed(int(written))


# --- The replica -------------------------------------------------------------


class Health:
    """Whether the replica answers and keeps up, as this process last found."""

    def __init__(self) -> None:
        self.trouble = ""
        self._is_good = False
        self._replayed = 0
        self._next_check = self._next_log = 0.0
        self._lock = Lock()

    def is_good(self) -> bool:
        with self._lock:
            now = time.monotonic()
            is_due = now >= self._next_check
            if is_due:
                self._next_check = now + REST  # one finds out; the others go by what is known
        if is_due:
            self._check()
        return self._is_good

    def has_replayed(self, position: int) -> bool:
        if self._replayed < position:
            try:
                self._look()
            except Error as error:
                self.failed(error)
        return self._is_good and self._replayed >= position

    def failed(self, error: Error) -> None:
        given_up = connections[REPLICA]
        if given_up.connection is not None:
            given_up.connection.close()  # so that the pool makes another, without this request's time limit
        given_up.close()
        self._found("the replica does not answer", REST, error)

    def _check(self) -> None:
        try:
            written, now = _ask(DEFAULT_DB_ALIAS, "pg_current_wal_flush_lsn() - '0/0', now()")
            last = self._look()
        except Error as error:
            self.failed(error)
            return
        if not self._replayed:
            self._found("READ_REPLICA_URL names no replica", REST)
        elif self._replayed < written and (last is None or now - last > MOST_LAG):
            self._found(f"the replica is more than {MOST_LAG.seconds} s behind", CHECK_EVERY)
        else:
            self._found("", CHECK_EVERY)

    def _look(self) -> Any:
        """When the last transaction that it has was committed, by the primary's clock."""
        replayed = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() - '0/0' END"
        position, last = _ask(REPLICA, f"{replayed}, pg_last_xact_replay_timestamp()")
        self._replayed = position or 0  # none of a server that follows no other
        return last

    def _found(self, trouble: str, then: float, error: Error | None = None) -> None:
        now = time.monotonic()
        self._is_good = not trouble
        self.trouble = f"Lists are read from the primary: {trouble}" if trouble else ""
        self._next_check = now + then
        if trouble and now >= self._next_log:
            self._next_log = now + LOG_EVERY
            logger.warning("%s%s", self.trouble, f" ({error})".rstrip() if error else "")


def _ask(using: str, what: str) -> tuple[Any, Any]:
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {what}")
        return cursor.fetchone()


health = Health()
