"""What a check finds out about a place that the dashboard is to work on, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError, connection, transaction


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Verdict:
    level: Level
    so: str  # what is so, in a sentence
    do: str = ""  # what to do about it
    sql: tuple[str, ...] = ()  # the statements that do it, for whoever owns what they change


@dataclass(frozen=True)
class Finding:
    """A verdict, and which check came to it."""

    section: str
    check: str
    verdict: Verdict


Check = Callable[[], Iterable[Verdict]]


def ok(so: str) -> Verdict:
    return Verdict(Level.OK, so)


def note(so: str, do: str = "", *sql: str) -> Verdict:
    return Verdict(Level.NOTE, so, do, sql)


def warning(so: str, do: str, *sql: str) -> Verdict:
    return Verdict(Level.WARNING, so, do, sql)


def problem(so: str, do: str, *sql: str) -> Verdict:
    return Verdict(Level.PROBLEM, so, do, sql)


def obstacle(so: str, do: str, *sql: str) -> Verdict:
    """A problem for whoever saves, deletes or extends, which nobody can with READ_ONLY."""
    return (note if is_read_only() else problem)(so, do, *sql)


def is_read_only() -> bool:
    return getattr(settings, "READ_ONLY", False)


def unknown(so: str, do: str = "") -> Verdict:
    return Verdict(Level.UNKNOWN, so, do)


# --- Asking the database -----------------------------------------------------


def findings(section: str, checks: Iterable[Check]) -> Iterator[Finding]:
    """Of checks inside a transaction; one that fails leaves the others as they are."""
    for check in checks:
        for verdict in _verdicts(check):
            yield Finding(section, check.__name__, verdict)


def _verdicts(check: Check) -> list[Verdict]:
    try:
        with transaction.atomic():
            return list(check())
    except DatabaseError as error:
        if connection.connection is None or connection.connection.closed:
            raise  # nothing can be asked any more
        what = check.__name__.replace("_", " ")
        return [unknown(f"{what.capitalize()}: the database gave no answer ({said(error)}).")]


def said(error: Exception) -> str:
    """The first line of what a server or a driver says, without a password that it may repeat."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    for password in filter(None, (database.get("PASSWORD") for database in settings.DATABASES.values())):
        line = line.replace(password, "•••")
    return line


def rows(sql: str, *params: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def role() -> str:
    """The one that the dashboard connects as, as SQL writes it."""
    return quoted(str(value("SELECT current_user")))


def value(sql: str, *params: object) -> object:
    """The first column of the first row; none where there is no row."""
    found = rows(sql, *params)
    return found[0][0] if found else None


def quoted(name: str) -> str:
    return str(value("SELECT quote_ident(%s)", name))


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def listed(names: Iterable[str], at_most: int = 6) -> str:
    """Names in a row, not endlessly."""
    names = list(names)
    more = f" and {len(names) - at_most:,} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
