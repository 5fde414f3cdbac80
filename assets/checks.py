"""Compares the database with what the models need (`manage.py check --database default`)."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning

from assets import departure_trigger
from assets.attachment.tables import lacks
from assets.indexes import needs
from assets.models import LibraryAsset, WorkspaceAsset
from assets.models.upstream import StoreKey


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
    return [
        _problem(str(lack), lack.model, "assets.E001" if lack.field is None else "assets.E002")
        for lack in lacks(alias)
    ]


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


def _problem(message: str, model: type, check_id: str) -> Error:
    hint = "Point DATABASE_URL at the product's database, or set UPSTREAM_TABLES=own to create the tables."
    return Error(message, hint=hint, obj=model, id=check_id)
