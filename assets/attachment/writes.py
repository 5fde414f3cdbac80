"""What a row meets that the dashboard writes or removes: constraints, keys, triggers and rules of others."""

from collections.abc import Iterator

from django.db.models import Model

from assets.attachment.tables import ENTERED, SOMETIMES_ENTERED, Column, columns
from assets.attachment.verdicts import (
    Check,
    Verdict,
    counted,
    listed,
    note,
    obstacle,
    ok,
    quoted,
    rows,
    value,
    warning,
)
from assets.indexes import MODELS
from assets.models import Job, LibraryAsset, Profile, WorkspaceAsset

# --- What must be given ------------------------------------------------------


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


def alike() -> Iterator[Verdict]:
    """What the library has once only, beside ids and paths: of alike assets, it would take the first."""
    query = """
        SELECT relname::text, substring(pg_get_indexdef(indexrelid) FROM 'USING (.*)')
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = to_regclass(%s) AND (indisunique OR indisexclusion) AND NOT EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = indrelid AND attname IN ('id', 'storage_path')
            AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])
        ) ORDER BY 1
    """
    for name, definition in rows(query, LibraryAsset._meta.db_table):
        so = f"Of assets that are alike, user_library takes one alone: {name}, {definition[:120]}."
        do = "Siblings of a job may be so; the operation says which were not saved. Their owner decides."
        yield warning(so, do)


def references() -> Iterator[Verdict]:
    """Foreign keys of other tables: what happens there when an asset leaves, or comes out of the library."""
    for other, action in _referring(WorkspaceAsset):
        if action == "c":
            so = f"Rows of {other} go with the asset that they name, when it is saved, deleted or expires."
            yield warning(so, "They do not come back with it. Ask the product's owner whether that is meant.")
        else:
            so = f"An asset that {other} names cannot leave the workspace: saving and deleting it fail."
            yield warning(so, "The owner of that table lets it go with ON DELETE SET NULL, or CASCADE.")
    for other, action in _referring(LibraryAsset):
        if action == "c":
            so = f"Rows of {other} go with the saved asset that they name, when it is brought back."
            yield warning(so, "They are lost then. Ask the product's owner whether that is meant.")
        else:
            yield note(f"A saved asset that {other} names cannot be brought back to the workspace.")
    kept = (
        "SELECT count(*) FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'f'"
        " AND confrelid = to_regclass(%s)"
    )
    if value(kept, LibraryAsset._meta.db_table, Profile._meta.db_table):
        yield note("An asset whose user is gone cannot be saved: user_library refers to profiles.")


def _referring(model: type[Model]) -> list[tuple[str, str]]:
    """Tables, each with c where its rows go as well, and another letter where they do not let a row go."""
    query = (
        "SELECT conrelid::regclass::text, confdeltype::text FROM pg_constraint"
        " WHERE confrelid = to_regclass(%s) AND contype = 'f' AND conparentid = 0"
        " AND confdeltype IN ('c', 'a', 'r') ORDER BY 1"
    )
    return rows(query, model._meta.db_table)


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


def rules() -> Iterator[Verdict]:
    """Beside them, the database takes none of the statements by which rows leave, come back and are saved."""
    query = (
        "SELECT rulename FROM pg_rewrite WHERE ev_class = to_regclass(%s)"
        " AND ev_type IN ('2', '3', '4') AND ev_enabled IN ('O', 'A') ORDER BY 1"
    )
    for model in (WorkspaceAsset, LibraryAsset):
        for (name,) in rows(query, model._meta.db_table):
            so = f"{model._meta.db_table} has a rule, {name}: saving, deleting or extending fails beside it."
            yield obstacle(so, "The owner of the table makes it a trigger.")


CHECKS: tuple[Check, ...] = (
    keys,
    saving,
    ingesting,
    conditions,
    alike,
    references,
    triggers,
    rules,
)
