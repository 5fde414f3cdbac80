"""The way to the database, and what its server is."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from assets.attachment.verdicts import (
    Check,
    Verdict,
    counted,
    note,
    obstacle,
    ok,
    problem,
    role,
    said,
    value,
    warning,
)

OLDEST, NEWEST = 14, 18  # versions of PostgreSQL: the oldest that can be, the newest that was tried
PATIENCE = "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'"
# Where policies would hide rows, a query fails: no table is taken for an empty one.
ALL_ROWS = "SET LOCAL row_security = off"
CONNECT_TIMEOUT = 10  # seconds
LOCAL = ("", "localhost", "127.0.0.1", "::1")
CONNECTIONS = 24  # that one host takes: a pool of 16, and a worker's
SHORTEST_TIMEOUT = 120  # seconds that the worker's longest statements may take
TOLERATED, TOO_FAR = 2, 300  # seconds between two clocks

# What the driver or a server says of a connection that does not come about, and what to do then.
_ADVICE = (
    (
        ("unsupported startup parameter",),
        "A pooler refuses the search path: use the server's own address or a pooler in session mode.",
    ),
    (
        ("password authentication", "no password supplied", "tenant or user"),
        "Check user and password in DATABASE_URL; special characters are written as %XX.",
    ),
    (
        ("permission denied for database",),
        "The owner of the database runs: GRANT CONNECT ON DATABASE … TO this role.",
    ),
    (("does not exist",), "Check the names of database and user at the end and the start of DATABASE_URL."),
    (
        ("ssl", "certificate", "no encryption", "pg_hba"),
        "Check TLS: add ?sslmode=require to DATABASE_URL, or verify-full with sslrootcert=FILE.",
    ),
    (
        ("too many", "remaining connection slots", "max clients"),
        "The server has no connection left: end some, or raise max_connections.",
    ),
    (
        ("resolve", "translate host", "name or service", "name resolution", "getaddrinfo"),
        "Check the host in DATABASE_URL.",
    ),
    (
        ("refused", "timeout", "timed out", "unreachable", "no route", "no such file"),
        "Check host and port in DATABASE_URL, that no firewall stands between, and whether the host has an"
        " IPv6 address alone and this machine none.",
    ),
)


def connect() -> Verdict | None:
    """What stands in the way of a connection, if anything does."""
    connection.settings_dict["OPTIONS"].setdefault("connect_timeout", CONNECT_TIMEOUT)
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return problem(f"The database cannot be reached: {said(error)}.", advice(str(error).lower()))
    return None


def advice(message: str) -> str:
    if f"postgresql {OLDEST}" in message:
        return f"Upgrade the server: PostgreSQL {OLDEST} is the oldest that the dashboard works on."
    return next(
        (advice for clues, advice in _ADVICE if any(clue in message for clue in clues)), "Check DATABASE_URL."
    )


@contextmanager
def read_only() -> Iterator[None]:
    """A transaction that cannot change anything, waits for nobody and asks nothing that takes long."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION READ ONLY; {PATIENCE}; {ALL_ROWS}")
        yield


def place() -> str:
    """Where the database is, without its password."""
    database = settings.DATABASES["default"]
    host = database["HOST"] or "this machine"
    port = f":{database['PORT']}" if database["PORT"] else ""
    return f"{database['USER'] or '?'}@{host}{port}/{database['NAME']}"


# --- Checks ------------------------------------------------------------------


def version() -> Iterator[Verdict]:
    number = connection.pg_version // 10_000
    so = f"PostgreSQL {value('SHOW server_version')}."
    if number > NEWEST:
        yield note(so, f"The dashboard was tried on PostgreSQL {OLDEST} to {NEWEST}.")
    else:
        yield ok(so)


def encryption() -> Iterator[Verdict]:
    host = settings.DATABASES["default"]["HOST"] or ""
    link = connection.connection.pgconn
    if host in LOCAL or host.startswith("/"):
        yield ok("The server is on this machine.")
    elif not link.ssl_in_use:
        yield warning("The connection is not encrypted.", "Add ?sslmode=verify-full to DATABASE_URL.")
    elif "verify-full" not in str(connection.settings_dict["OPTIONS"].get("sslmode")):
        do = "Add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL, with the provider's certificate."
        yield note(
            "The connection is encrypted, but whether the server is the right one is not verified.", do
        )
    else:
        yield ok("The connection is encrypted, and the server's certificate is verified.")


def encoding() -> Iterator[Verdict]:
    found = value("SHOW server_encoding")
    if found == "UTF8":
        yield ok("The database is in UTF8.")
    else:
        yield problem(
            f"The database is in {found}: prompts in other scripts cannot be written.",
            "Use a database in UTF8.",
        )


def search_path() -> Iterator[Verdict]:
    found = str(value("SHOW search_path"))
    names = [name.strip(' "') for name in found.split(",")]
    if names[0] == settings.DASHBOARD_SCHEMA:
        yield ok(f"Tables are looked for in {found}.")
        return
    schemas = ", ".join(dict.fromkeys([settings.DASHBOARD_SCHEMA, "public"]))
    yield problem(
        f"The server looks for tables in {found}, not first in {settings.DASHBOARD_SCHEMA} as it was told:"
        " the dashboard's own would be made among the product's.",
        "A pooler drops what the connection asks for: use the server's own address, or set it for the role.",
        f"ALTER ROLE {role()} SET search_path = {schemas};",
    )


def pooler() -> Iterator[Verdict]:
    """Between sessions that are not the server's own, what one of them has set or locked gets lost."""
    announced, first, second = _sessions()
    do = "Use the server's own address, or the pooler's port for session mode."
    if first == second:
        so = "A pooler gives one session to several connections in turn: locks and time limits get lost."
        yield problem(so, do)
    elif announced and announced != first:
        yield note("A pooler stands between.", f"It must be in session mode. {do}")
    else:
        yield ok("The connection is the server's own, not one of a pooler's.")


def _sessions() -> tuple[int, int, int]:
    """Of one that is in no transaction: as announced and as it is; and of another meanwhile."""
    parameters = connection.get_connection_params()
    with (
        connection.wrap_database_errors,
        psycopg.connect(**parameters, autocommit=True) as idle,
        psycopg.connect(**parameters, autocommit=True) as other,
    ):
        first = idle.execute(_SESSION).fetchone()[0]
        with other.transaction():
            return idle.info.backend_pid, first, other.execute(_SESSION).fetchone()[0]


_SESSION = "SELECT pg_backend_pid()"


def writing() -> Iterator[Verdict]:
    """What applies to all that this role does, whatever it may."""
    if value("SELECT pg_is_in_recovery()"):
        yield problem(
            "The server is a replica, which cannot be written to.", "Point DATABASE_URL at the primary."
        )
        return
    if value("SHOW default_transaction_read_only") == "on":
        do = "A provider does this when the disk is full; else it is a setting of the role or the database."
        reset = f"ALTER ROLE {role()} SET default_transaction_read_only = off;"
        yield obstacle("What this role does is read-only by default.", do, reset)
        return
    yield ok("The server is a primary, and takes writes.")


def time_limit() -> Iterator[Verdict]:
    limit = int(str(value("SELECT reset_val FROM pg_settings WHERE name = 'statement_timeout'")))
    if not 0 < limit < SHORTEST_TIMEOUT * 1000:
        yield ok("The worker's statements have time enough.")
        return
    yield warning(
        f"Statements are cut off after {limit / 1000:g} s, of which counts and clean-ups may need more.",
        "Pages have a limit of their own: take away that of the role.",
        f"ALTER ROLE {role()} SET statement_timeout = 0;",
    )


_ROOM = """
    SELECT least(
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
        CASE WHEN rolconnlimit >= 0 THEN rolconnlimit
            - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user) END,
        CASE WHEN datconnlimit >= 0 THEN datconnlimit
            - (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) END
    )
    FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""


def room() -> Iterator[Verdict]:
    free = int(str(value(_ROOM)))
    if free < CONNECTIONS:
        so = f"There is room for {max(free, 0):,} connections more, and one host may take {CONNECTIONS}."
        yield warning(so, "Raise max_connections or the limit of the role, or run fewer web processes.")
    else:
        yield ok(f"There is room for {counted(free, 'connection')} more.")


def clock() -> Iterator[Verdict]:
    before = datetime.now(UTC)
    theirs = value("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    yield difference(theirs, before, after, "the database's")


def difference(theirs: datetime, before: datetime, after: datetime, whose: str) -> Verdict:
    """Between this machine's clock and one that was read between two moments."""
    seconds = max((theirs - after).total_seconds(), (before - theirs).total_seconds(), 0)
    if seconds <= TOLERATED:
        return ok(f"This machine's clock and {whose} agree.")
    so = f"This machine's clock and {whose} are {seconds:,.0f} s apart: times on pages are wrong by as much."
    return (problem if seconds > TOO_FAR else warning)(so, "Have both set by NTP.")


CHECKS: tuple[Check, ...] = (
    version,
    encryption,
    encoding,
    search_path,
    pooler,
    writing,
    time_limit,
    room,
    clock,
)
