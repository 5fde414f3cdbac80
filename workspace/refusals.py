"""What the database does not let the dashboard's role do, in words for people."""

from django.db import ProgrammingError
from psycopg.errors import InsufficientPrivilege

ADVICE = "manage.py check --database default names what the role lacks."


def in_words(error: Exception) -> str:
    """The whole message for people; empty of an error that is not meant for them."""
    return denied(error) if isinstance(error, ProgrammingError) else str(error)


def denied(error: Exception) -> str:
    if not isinstance(error.__cause__, InsufficientPrivilege):
        return ""
    return f"The database does not let the dashboard do this: {reason_of(error)}. {ADVICE}"


def reason_of(error: Exception) -> str:
    return str(error).partition("\n")[0]
