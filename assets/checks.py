"""Compares the database with what the models need (`manage.py check --database default`)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections

from assets import departure_trigger, grants, own_schema
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
    problems = [problem for alias in databases or () for problem in _errors(alias)]
    if databases and not problems:
        problems = [warning for alias in databases for warning in _warnings(alias)]
        if not departure_trigger.is_installed():
            problems.append(_NO_TRIGGER)
    return problems


def _errors(alias: str) -> Iterator[CheckMessage]:
    yield from _compare(alias)
    yield from _not_readable(alias)


def _warnings(alias: str) -> Iterator[CheckMessage]:
    yield from _missing_indexes(alias)
    yield from _not_writable(alias)
    yield from _read_by_others(alias)


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


def _not_readable(alias: str) -> Iterator[CheckMessage]:
    role = grants.role(alias)
    if lacking := grants.missing(grants.TO_LOOK, alias):
        yield Error(
            f"The role {role} lacks {', '.join(map(str, lacking))}: no page can be shown.",
            hint=f"Their owner runs: {' '.join(grants.in_statements(lacking, role))}",
            obj=lacking[0].table,
            id="assets.E003",
        )
    if tables := grants.filtered(alias):
        yield Error(
            f"Row-level security hides rows of {', '.join(tables)} from the role {role}.",
            hint=f"Whoever may: ALTER ROLE {role} BYPASSRLS;",
            obj=tables[0],
            id="assets.E004",
        )


def _not_writable(alias: str) -> Iterator[CheckMessage]:
    role = grants.role(alias)
    for purpose, needed in () if settings.READ_ONLY else grants.PURPOSES.items():
        if lacking := grants.missing(needed, alias):
            yield CheckWarning(
                f"{purpose}: the role {role} lacks {', '.join(map(str, lacking))}.",
                hint=f"The owner runs: {' '.join(grants.in_statements(lacking, role))} Or set READ_ONLY=1.",
                obj=lacking[0].table,
                id="assets.W003",
            )


def _read_by_others(alias: str) -> Iterator[CheckMessage]:
    schema = settings.DASHBOARD_SCHEMA
    found = [each for each in own_schema.outsiders(connections[alias], schema) if each.may_use_schema]
    deputies = own_schema.deputies(connections[alias])
    revoke = [deputy.revocation for deputy in deputies]
    if found:
        quoted = connections[alias].ops.quote_name(schema)
        revoke += own_schema.revocations(quoted, ", ".join(each.grantee for each in found))
    if names := ", ".join(dict.fromkeys(each.name for each in (*found, *deputies))):
        yield CheckWarning(
            f"Others may read or change the dashboard's own tables in the schema {schema}: {names}.",
            hint=f"Their owner runs: {' '.join(revoke)}",
            obj=schema,
            id="assets.W004",
        )


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
    hint = (
        "Point DATABASE_URL at the product's database, with a role that may use the schema of its tables,"
        " or set UPSTREAM_TABLES=own to create the tables."
    )
    return Error(message, hint=hint, obj=model, id=check_id)
