"""Statements whose text never changes, of which the server keeps the plans: to make them takes longest."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Manager, QuerySet


def instances(of: Manager | QuerySet, sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """As `raw`: the columns of a model in its order, and further ones as attributes.

    It must name them all: a kept plan of `*` fails as soon as the table has one more. And one plan must be
    good for all values, which it does not know.
    """
    number = len(of.model._meta.concrete_fields)
    names, rows = _found(of.db, sql, params)
    found = []
    for row in rows:
        instance = of.model.from_db(of.db, names[:number], row[:number])
        vars(instance).update(zip(names[number:], row[number:], strict=True))
        found.append(instance)
    return found


def _found(using: str, sql: str, params: Sequence[Any] | Mapping[str, Any]) -> tuple[list[str], list[tuple]]:
    with _cursor(connections[using]) as cursor:
        cursor.execute(sql, params)
        return [column.name for column in cursor.description], cursor.fetchall()


def _cursor(connection: BaseDatabaseWrapper) -> CursorWrapper:
    """Django's own write the values into the text, which then is another: that is only good for a log."""
    if connection.queries_logged:
        return connection.cursor()
    connection.ensure_connection()
    return connection.make_cursor(psycopg.Cursor(connection.connection))
