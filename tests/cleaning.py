"""Emptying what a test has left, though another connection may be in the way."""

from django.db import OperationalError, connection

# Whoever has a transaction open may hold a lock, and does no more good when a test is over.
END_OTHERS = """
    SELECT pg_terminate_backend(pid), state || ' since ' || state_change || ': ' || query
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid != pg_backend_pid() AND xact_start IS NOT NULL
"""


def clean(statement: str) -> None:
    """Who does not let go of what it needs is named, and ended, so that the next tests are not spoilt."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except OperationalError as error:  # a deadlock, or a lock that is not to be had in time
            cursor.execute(END_OTHERS)
            held_by = "\n".join(holder for _, holder in cursor.fetchall())
            cursor.execute(statement)
            raise AssertionError(f"{error}\nheld by a connection that is\n{held_by}") from None


def empty_queue() -> None:
    """Django does not empty these tables between tests, since it does not manage them."""
    clean("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")
