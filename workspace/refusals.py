"""What somebody or the dashboard itself may not or cannot do, in words for people."""

import logging
import sys

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views import defaults
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


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's, but of a database that cannot be reached: soon it may be."""
    if not unreachable(sys.exception()):
        return defaults.server_error(request)
    return HttpResponse(loader.get_template("503.html").render(), status=503, headers={"Retry-After": "10"})


class OnOneLine(logging.Filter):
    """Logs that a request was refused without the way there, which is no fault and tells nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], (PermissionDenied, SuspiciousOperation)):
            record.exc_info = None
        return True
