"""Compares the database with what the models need (`manage.py check --database default`)."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections
from django.db.models import Model

from assets import departure_trigger
from assets.models import Job, LibraryAsset, Profile, WorkspaceAsset
from assets.models.upstream import StoreKey

UPSTREAM_MODELS = (Profile, Job, WorkspaceAsset, LibraryAsset)


@register(Tags.database)
def check_upstream_tables(
    app_configs: Sequence[AppConfig] | None, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Only of tables that others made: our own are what the migrations made them."""
    if settings.UPSTREAM_TABLES == "own":
        return []
    problems = [problem for alias in databases or () for problem in _compare(alias)]
    if databases and not problems:
        problems = [warning for alias in databases for warning in _missing_indexes(alias)]
        if not departure_trigger.is_installed():
            problems.append(_NO_TRIGGER)
    return problems


_NO_TRIGGER = CheckWarning(
    "Assets that other programs remove leave their files behind: nothing records that they leave.",
    hint="The owner of workspace_assets runs what manage.py departure_trigger --sql prints.",
    obj=WorkspaceAsset,
    id="assets.W001",
)


def _compare(alias: str) -> list[CheckMessage]:
    found = _columns(alias)
    problems: list[CheckMessage] = []
    for model in UPSTREAM_MODELS:
        table = model._meta.db_table
        if table not in found:
            problems.append(_problem(f"The table {table} is missing.", model, "assets.E001"))
            continue
        for field in model._meta.concrete_fields:
            if field.column not in found[table]:
                column = f"{field.column} ({field.db_type(connections[alias])})"
                problems.append(_problem(f"The table {table} has no column {column}.", model, "assets.E002"))
    return problems


def _missing_indexes(alias: str) -> Iterable[CheckMessage]:
    """Of those by which a clean-up finds the rows that name a file: without them it reads every row."""
    editor = connections[alias].schema_editor(collect_sql=True)
    for model in (WorkspaceAsset, LibraryAsset):
        found = _index_definitions(alias, model)
        there = {_gist(definition) for definition in found.values()}
        for index in model._meta.indexes:
            if not any(isinstance(part, StoreKey) for part in index.expressions):
                continue
            statement = str(index.create_sql(model, editor, concurrently=True))
            if _gist(statement) in there:
                continue
            # Of another version of the dashboard, or broken off while it was made.
            drop = f"DROP INDEX CONCURRENTLY {index.name}; " if index.name in found else ""
            yield CheckWarning(
                f"The table {model._meta.db_table} lacks the index {index.name}:"
                " each removal of files reads the whole table.",
                hint=f"Its owner runs: {drop}{statement};",
                obj=model,
                id="assets.W002",
            )


def _index_definitions(alias: str, model: type[Model]) -> dict[str, str]:
    """What each index of a table is on, by its name; nothing for one that is not in use."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            """
            SELECT relname, CASE WHEN indisvalid THEN pg_get_indexdef(indexrelid) ELSE '' END
            FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = to_regclass(%s)
            """,
            [model._meta.db_table],
        )
        return dict(cursor.fetchall())


def _gist(definition: str) -> str:
    """An index's method and expression, without what PostgreSQL writes differently from us."""
    return re.sub(r'::text(\[\])?|[\s()"]', "", definition.partition(" USING ")[2])


def _columns(alias: str) -> dict[str, set[str]]:
    """The columns of each of the product's tables, of those that the search path finds."""
    tables = [model._meta.db_table for model in UPSTREAM_MODELS]
    found: dict[str, set[str]] = {}
    with connections[alias].cursor() as cursor:
        cursor.execute(
            """
            SELECT wanted.name, attribute.attname
            FROM unnest(%s::text[]) AS wanted (name)
            JOIN pg_attribute AS attribute ON attribute.attrelid = to_regclass(wanted.name)
            WHERE attribute.attnum > 0 AND NOT attribute.attisdropped
            """,
            [tables],
        )
        for table, column in cursor.fetchall():
            found.setdefault(table, set()).add(column)
    return found


def _problem(message: str, model: type, check_id: str) -> Error:
    hint = "Point DATABASE_URL at the product's database, or set UPSTREAM_TABLES=own to create the tables."
    return Error(message, hint=hint, obj=model, id=check_id)
