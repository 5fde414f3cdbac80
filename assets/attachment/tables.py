"""The product's tables against what the dashboard reads and writes there."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, connections
from django.db.models import Field, Model

from assets.attachment.verdicts import (
    Check,
    Verdict,
    counted,
    listed,
    note,
    obstacle,
    ok,
    problem,
    quoted,
    role,
    rows,
    value,
    warning,
)
from assets.indexes import MODELS
from assets.models import Job, LibraryAsset, Profile, WorkspaceAsset

# What the dashboard enters into the library for every asset, and what only where the asset has it.
ENTERED = {
    "id", "user_id", "asset_type", "storage_path", "file_size_bytes", "mime_type", "original_prompt",
    "model_used", "generation_seed", "tags",
}  # fmt: skip
SOMETIMES_ENTERED = {
    "duration_seconds", "collection_id", "custom_title", "thumbnail_path", "width", "height",
}  # fmt: skip
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
    if model is WorkspaceAsset:
        return problem(f"{so}: the gallery and its counts fail.", do)
    if model is LibraryAsset and column.name in ENTERED | SOMETIMES_ENTERED:
        return obstacle(f"{so}: saving fails.", do)
    return note(f"{so}: a filter by a value that it does not know finds nothing, or fails.")


def nulls() -> Iterator[Verdict]:
    for _, field, column in _pairs():
        if not field.null and not column.is_required:
            so = f"{column.table}.{column.name} may be null here: of such a row, pages may show nothing."
            yield note(so)


# --- What an insert may meet -------------------------------------------------


def saving() -> Iterator[Verdict]:
    """Whether a row of the library can be made of an asset."""
    there = columns().get(LibraryAsset._meta.db_table, {}).values()
    refused = [column for column in there if column.is_required and not _is_given(column)]
    for column in refused:
        yield obstacle(
            f"{column.table}.{column.name} must have a value, and the dashboard gives it none: saving fails.",
            "The owner of the table gives it a default, or lets it be null.",
            f"ALTER TABLE public.{column.table} ALTER COLUMN {quoted(column.name)} DROP NOT NULL;",
        )
    if there and not refused:
        yield ok("A row of the library can be made of an asset: no column needs more than that.")


def _is_given(column: Column) -> bool:
    # A default does not help where a null is what is given.
    return column.name in ENTERED or (column.has_default and column.name not in SOMETIMES_ENTERED)


def ingesting() -> Iterator[Verdict]:
    """Of tables that only `ingest` adds to: what it gives, the models know."""
    found = columns()
    for model in (Job, WorkspaceAsset):
        ours = {field.column for field in model._meta.concrete_fields}
        for column in found.get(model._meta.db_table, {}).values():
            if column.is_required and not column.has_default and column.name not in ours:
                so = f"{column.table}.{column.name} must have a value: manage.py ingest cannot add rows."
                yield note(so, "Everything else works; generated files come in by the product itself.")


def keys() -> Iterator[Verdict]:
    """By which an asset is there once, and is saved once."""
    for model in MODELS:
        table = model._meta.db_table
        if table in columns() and not _is_unique(table, ["id"]):
            so = f"Nothing keeps {table}.id unique"
            if model in (WorkspaceAsset, LibraryAsset):
                do = "The owner of the table makes that sure."
                name = f"{table}_id_key"
                sql = f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON public.{table} (id);"
                yield obstacle(f"{so}: an asset could be saved or come back twice.", do, sql)
            else:
                yield note(f"{so}: names and jobs are looked up more slowly.")
    table = WorkspaceAsset._meta.db_table
    if table in columns() and not _is_unique(table, ["job_id", "asset_index"]):
        yield note("Two assets may have the same index in a job: such are shown in no order.")


def _is_unique(table: str, names: list[str]) -> bool:
    return bool(
        value(
            """
            SELECT true FROM pg_index WHERE indrelid = to_regclass(%s) AND indisunique AND indisvalid
            AND indpred IS NULL AND indexprs IS NULL AND (
                SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
                WHERE attrelid = indrelid AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])
            ) = (SELECT array_agg(name ORDER BY name) FROM unnest(%s::text[]) AS name)
            LIMIT 1
            """,
            table,
            names,
        )
    )


_KNOWN_CONDITIONS = ("'image'", "'video'"), ("'private'", "'unlisted'", "'public'")


def conditions() -> Iterator[Verdict]:
    """CHECK constraints that a saved asset could break."""
    query = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = to_regclass(%s) AND contype = 'c' ORDER BY conname"
    )
    for name, definition in rows(query, LibraryAsset._meta.db_table):
        if not any(all(word in definition for word in words) for words in _KNOWN_CONDITIONS):
            so = f"user_library has a condition of its own, {name}: {definition[:120]}."
            yield note(so, "An asset that breaks it cannot be saved; the operation says so.")


def references() -> Iterator[Verdict]:
    """Foreign keys of other tables on assets: what happens there when an asset leaves."""
    table = WorkspaceAsset._meta.db_table
    query = (
        "SELECT conrelid::regclass::text, confdeltype::text FROM pg_constraint"
        " WHERE confrelid = to_regclass(%s) AND contype = 'f' AND conparentid = 0 ORDER BY 1"
    )
    for other, action in rows(query, table):
        if action == "c":
            so = f"Rows of {other} go with the asset that they name, when it is saved, deleted or expires."
            yield warning(so, "They do not come back with it. Ask the product's owner whether that is meant.")
        elif action in ("a", "r"):
            so = f"An asset that {other} names cannot leave the workspace: saving and deleting it fail."
            yield warning(so, "The owner of that table lets it go with ON DELETE SET NULL, or CASCADE.")
    kept = (
        "SELECT count(*) FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'f'"
        " AND confrelid = to_regclass(%s)"
    )
    if value(kept, LibraryAsset._meta.db_table, Profile._meta.db_table):
        yield note("An asset whose user is gone cannot be saved: user_library refers to profiles.")


def triggers() -> Iterator[Verdict]:
    """Those of others that run before the dashboard writes; what they do, only their owner knows."""
    query = (
        "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal"
        " AND tgenabled IN ('O', 'A') AND tgname NOT IN ('record_departures', 'record_truncation')"
        " AND (tgtype & 2) <> 0 ORDER BY tgname"
    )
    for model in (WorkspaceAsset, LibraryAsset):
        names = [name for (name,) in rows(query, model._meta.db_table)]
        if names:
            many = counted(len(names), "trigger")
            so = f"{model._meta.db_table} has {many} that can change or refuse rows: {listed(names)}."
            yield note(so, "Ask the product's owner what they do with rows that others insert or delete.")


CHECKS: tuple[Check, ...] = (
    whose_tables,
    tables_and_columns,
    kinds_of_tables,
    column_types,
    nulls,
    keys,
    saving,
    ingesting,
    conditions,
    references,
    triggers,
)
