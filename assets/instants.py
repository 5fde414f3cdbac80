"""Times that the database has and Python's calendar has not: infinity, before year 1, after year 9999."""

from datetime import MAXYEAR, MINYEAR, UTC, datetime, tzinfo
from typing import Any

from django.db.backends.postgresql.psycopg_any import BaseTzLoader, get_adapters_template
from psycopg import DataError


class EdgeInstant(datetime):
    """One of the first or the last year, which stays as it is where another zone's calendar has ended."""

    def astimezone(self, tz: tzinfo | None = None) -> datetime:
        try:
            return super().astimezone(tz)
        except OverflowError:
            return self


def _edge(instant: datetime) -> EdgeInstant:
    return EdgeInstant.combine(instant.date(), instant.timetz())


EARLIEST, LATEST = _edge(datetime.min.replace(tzinfo=UTC)), _edge(datetime.max.replace(tzinfo=UTC))


class InstantLoader(BaseTzLoader):
    """Reads them as the first and the last instant that there is, since a page must not fail for a row."""

    timezone = UTC

    def load(self, data: Any) -> datetime:
        try:
            instant = datetime.fromisoformat(str(data, "ascii"))  # in a tenth of the time that psycopg takes
        except ValueError:
            return self._beyond(data)
        return instant if MINYEAR < instant.year < MAXYEAR else _edge(instant)

    def _beyond(self, data: Any) -> datetime:
        try:
            return super().load(data)
        except (DataError, OverflowError):
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST


def register() -> None:
    """For every connection of Django's that is made from now on."""
    get_adapters_template(True, UTC).register_loader("timestamptz", InstantLoader)
