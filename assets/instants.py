"""Times that the database has and Python's calendar has not: infinity, before year 1, after year 9999."""

from datetime import UTC, datetime

from django.db.backends.postgresql.psycopg_any import BaseTzLoader, get_adapters_template
from psycopg import DataError

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class InstantLoader(BaseTzLoader):
    """Reads them as the first and the last instant that there is, since a page must not fail for a row."""

    timezone = UTC

    def load(self, data: bytes) -> datetime:
        try:
            return super().load(data)
        except (DataError, OverflowError):
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST


def register() -> None:
    """For every connection of Django's that is made from now on."""
    get_adapters_template(True, UTC).register_loader("timestamptz", InstantLoader)
