"""Statements of which the server keeps the plans, since to make one takes longer than what it is for.

Their text is the same each time, and one plan is good for all values, which it does not know.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import NotSupportedError, connections
from django.db.models import Manager, QuerySet


def rows(queryset: QuerySet) -> list[Any]:
    """What a queryset finds."""
    return _asked(queryset.db, lambda: list(queryset.all()))


def instances(of: Manager | QuerySet, sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """As `raw`: the columns of a model in its order, and further ones as attributes.

    It must name them all: no kept plan of `*` is good any more when the table has another.
    """
    return _asked(of.db, lambda: list(_instances(of, sql, params)))


def _instances(of: Manager | QuerySet, sql: str, params: Sequence[Any] | Mapping[str, Any]) -> Iterator[Any]:
    number = len(of.model._meta.concrete_fields)
    with connections[of.db].cursor() as cursor:
        cursor.execute(sql, params)
        names = [column.name for column in cursor.description]
        for row in cursor.fetchall():
            instance = of.model.from_db(of.db, names[:number], row[:number])
            vars(instance).update(zip(names[number:], row[number:], strict=True))
            yield instance


def _asked(using: str, ask: Callable[[], list[Any]]) -> list[Any]:
    try:
        with _plans_kept(using):
            return ask()
    except NotSupportedError:  # a column has another type by now, which the kept plan has not
        return ask()


@contextmanager
def _plans_kept(using: str) -> Iterator[None]:
    """By cursors of the driver: Django's write the values into the text, which is only good for a log."""
    connections[using].ensure_connection()
    driver = connections[using].connection
    factory = driver.cursor_factory
    if not connections[using].queries_logged:
        driver.cursor_factory = psycopg.Cursor
    try:
        yield
    finally:
        driver.cursor_factory = factory
