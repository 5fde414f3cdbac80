"""Compares the database with what the models need (`manage.py check --database default`)."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections

from assets import departure_trigger
from assets.indexes import needs
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
    for need in needs(alias, (WorkspaceAsset, LibraryAsset)):
        if need.is_missing and any(isinstance(part, StoreKey) for part in need.index.expressions):
            yield CheckWarning(
                f"The table {need.model._meta.db_table} lacks the index {need.index.name}:"
                " each removal of files reads the whole table.",
                hint=f"Its owner runs: {'; '.join(need.remedy)};",
                obj=need.model,
                id="assets.W002",
            )


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
