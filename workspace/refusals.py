"""What somebody or the dashboard itself may not do, in words for people."""

import logging

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, OperationalError
from psycopg.errors import InsufficientPrivilege

ADVICE = "manage.py check --database default names what the role lacks."


def in_words(error: Exception) -> str:
    """The whole message for people; empty of an error that is not meant for them."""
    return denied(error) or unreachable(error) if isinstance(error, DatabaseError) else str(error)


def unreachable(error: Exception) -> str:
    # What a server answers has a code; that none answers, or lets nobody in, has not.
    if not isinstance(error, OperationalError) or getattr(error.__cause__, "sqlstate", None):
        return ""
    return f"The database cannot be reached: {reason_of(error)}. manage.py attach says what to look at."


def denied(error: Exception) -> str:
    if not isinstance(error.__cause__, InsufficientPrivilege):
        return ""
    return f"The database does not let the dashboard do this: {reason_of(error)}. {ADVICE}"


def reason_of(error: Exception) -> str:
    return str(error).partition("\n")[0]


class OnOneLine(logging.Filter):
    """Logs that a request was refused without the way there, which is no fault and tells nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], (PermissionDenied, SuspiciousOperation)):
            record.exc_info = None
        return True
