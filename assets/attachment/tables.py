"""The product's tables against what the dashboard reads and writes there."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, connections
from django.db.models import Field, Model

from assets.attachment.verdicts import (
    Check,
    Verdict,
    note,
    obstacle,
    ok,
    problem,
    quoted,
    role,
    rows,
    value,
)
from assets.indexes import MODELS
from assets.models import LibraryAsset, WorkspaceAsset

# What the dashboard enters into the library for every asset, and what only where the asset has it.
ENTERED = {
    "id", "user_id", "asset_type", "storage_path", "file_size_bytes", "mime_type", "original_prompt",
    "model_used", "generation_seed", "tags",
}  # fmt: skip
SOMETIMES_ENTERED = {
    "duration_seconds", "collection_id", "custom_title", "thumbnail_path", "width", "height",
}  # fmt: skip
CHOSEN_FROM = {"asset_type", "model_used"}  # whose values the gallery offers, by one query
# Types that do as well as the one that is wanted, and those that do but for what is said.
_AS_GOOD = {
    "text": {"character varying", "citext", "character"},
    "integer": {"smallint", "bigint"},
    "numeric": {"numeric"},
    "text[]": {"character varying[]"},
    "timestamp with time zone": {"timestamp with time zone"},
}
_NEARLY = {
    "bigint": {"integer": "a number beyond two thousand million does not fit", "numeric": "sums are slower"},
    "numeric": {"double precision": "digits are rounded", "real": "digits are rounded"},
}


@dataclass(frozen=True)
class Lack:
    """A table or column of the product's that the dashboard needs and the search path does not find."""

    model: type[Model]
    field: Field | None = None
    column_type: str = ""

    def __str__(self) -> str:
        table = self.model._meta.db_table
        if self.field is None:
            return f"The table {table} is missing."
        return f"The table {table} has no column {self.field.column} ({self.column_type})."


@dataclass(frozen=True)
class Column:
    table: str
    name: str
    type: str  # without length or digits
    is_enum: bool
    is_required: bool
    has_default: bool  # or is computed


def columns(alias: str = "default") -> dict[str, dict[str, Column]]:
    """Of each of the product's tables, of those that the search path finds."""
    found: dict[str, dict[str, Column]] = {}
    with connections[alias].cursor() as cursor:
        cursor.execute(_COLUMNS, [[model._meta.db_table for model in MODELS]])
        for row in cursor.fetchall():
            column = Column(*row)
            found.setdefault(column.table, {})[column.name] = column
    return found


_COLUMNS = """
    SELECT wanted.name, attname, format_type(coalesce(nullif(typbasetype, 0), atttypid), NULL), typtype = 'e',
        attnotnull OR (typtype = 'd' AND typnotnull),
        atthasdef OR attidentity <> '' OR attgenerated <> '' OR typdefault IS NOT NULL
    FROM unnest(%s::text[]) AS wanted (name)
    JOIN pg_attribute ON attrelid = to_regclass(wanted.name)
    JOIN pg_type ON pg_type.oid = atttypid
    WHERE attnum > 0 AND NOT attisdropped
    ORDER BY attrelid, attnum
"""


def lacks(alias: str = "default") -> Iterator[Lack]:
    found = columns(alias)
    for model in MODELS:
        there = found.get(model._meta.db_table)
        if there is None:
            yield Lack(model)
            continue
        for field in model._meta.concrete_fields:
            if field.column not in there:
                yield Lack(model, field, str(field.db_type(connections[alias])))


# --- Checks ------------------------------------------------------------------


def whose_tables() -> Iterator[Verdict]:
    is_ours = value("SELECT to_regclass(%s) IS NOT NULL", f"{settings.DASHBOARD_SCHEMA}.assets_disposition")
    if settings.UPSTREAM_TABLES == "existing":
        yield from _shadowing()
    elif not is_ours and columns():
        yield problem(
            "The product's tables are here, and UPSTREAM_TABLES is own: the dashboard would make its own.",
            "Set UPSTREAM_TABLES=existing.",
        )
    elif not is_ours:
        yield note("There are no tables yet: manage.py migrate makes all of them.")


def _shadowing() -> Iterator[Verdict]:
    schema = settings.DASHBOARD_SCHEMA
    for model in MODELS:
        table = model._meta.db_table
        if value("SELECT to_regclass(%s)", f"{schema}.{table}"):
            so = f"The schema {schema} has a table {table} of its own, which hides the product's."
            yield problem(so, "Set DASHBOARD_SCHEMA to another name.")


def tables_and_columns() -> Iterator[Verdict]:
    if settings.UPSTREAM_TABLES == "own" and not columns():
        return
    found = list(lacks())
    for lack in found:
        yield _whereabouts(lack) if lack.field is None else problem(str(lack), _WRONG_DATABASE)
    if not found:
        number = sum(len(model._meta.concrete_fields) for model in MODELS)
        yield ok(f"The {len(MODELS)} tables have the {number} columns that the dashboard reads.")


_WRONG_DATABASE = (
    "Is DATABASE_URL the product's database? The dashboard reads the columns that README.md names."
)


def _whereabouts(lack: Lack) -> Verdict:
    """A table that is not found may be in another schema, or in one that the role may not use."""
    table = lack.model._meta.db_table
    query = (
        "SELECT nspname, has_schema_privilege(pg_namespace.oid, 'USAGE') FROM pg_class JOIN pg_namespace"
        " ON pg_namespace.oid = relnamespace WHERE relname = %s AND relkind = ANY ('{r,p,v,m,f}') LIMIT 1"
    )
    for schema, may_use in rows(query, table):
        if not may_use:
            grant = f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {role()};"
            so = f"The table {table} is in the schema {schema}, which this role may not use."
            return problem(so, "The schema's owner grants that.", grant)
        where = f"The table {table} is in the schema {schema}, and is looked for in public."
        return problem(where, "The dashboard finds the product's tables in public alone.")
    return problem(str(lack), _WRONG_DATABASE)


def kinds_of_tables() -> Iterator[Verdict]:
    query = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)"
    for model in MODELS:
        table = model._meta.db_table
        kind = value(query, table)
        if kind == "p":
            yield note(
                f"The table {table} is partitioned.",
                "Make each index on its partitions one by one: CONCURRENTLY does not work on the whole.",
            )
        elif kind not in ("r", None):
            what = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}.get(
                str(kind), "no table"
            )
            do = "Point DATABASE_URL at the database that has the table itself."
            is_written = model in (WorkspaceAsset, LibraryAsset)
            so = f"{table} is {what}, not a table."
            yield problem(so, do) if is_written else note(so)


def column_types() -> Iterator[Verdict]:
    verdicts = [verdict for model, field, column in _pairs() for verdict in _type(model, field, column)]
    yield from verdicts
    if not verdicts and columns():
        yield ok("All columns have the type that is expected.")


def _pairs() -> Iterator[tuple[type[Model], Field, Column]]:
    found = columns()
    for model in MODELS:
        there = found.get(model._meta.db_table, {})
        for field in model._meta.concrete_fields:
            if field.column in there:
                yield model, field, there[field.column]


def _type(model: type[Model], field: Field, column: Column) -> Iterator[Verdict]:
    wanted = str(field.db_type(connection)).partition("(")[0]
    if column.type in {wanted, *_AS_GOOD.get(wanted, ())}:
        return
    so = f"{column.table}.{column.name} is {column.type}, not {wanted}"
    do = "Only the product's owner can decide on another type: changing it rewrites the table."
    if why := _NEARLY.get(wanted, {}).get(column.type):
        yield note(f"{so}: {why}.")
    elif wanted == "text" and column.is_enum:
        yield _of_enum(model, column, so)
    else:
        yield problem(f"{so}: pages that read it fail.", do)


def _of_enum(model: type[Model], column: Column, so: str) -> Verdict:
    """Read one by one, its values are as good as text; not beside other text, nor where text is written."""
    do = "The product's owner makes it text, with a condition in place of the type."
    if model is WorkspaceAsset and column.name in CHOSEN_FROM:
        return problem(f"{so}: the gallery and its counts fail.", do)
    if model is WorkspaceAsset or (model is LibraryAsset and column.name in ENTERED | SOMETIMES_ENTERED):
        return obstacle(f"{so}: saving fails.", do)
    return note(f"{so}: a filter by a value that it does not know finds nothing, or fails.")


def nulls() -> Iterator[Verdict]:
    for _, field, column in _pairs():
        if not field.null and not column.is_required:
            so = f"{column.table}.{column.name} may be null here: of such a row, pages may show nothing."
            yield note(so)


CHECKS: tuple[Check, ...] = (whose_tables, tables_and_columns, kinds_of_tables, column_types, nulls)
