"""What the dashboard's role may do with the product's rows, and whether it sees all of them."""

from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.db.models import Model

from assets import grants
from assets.attachment.tables import MODELS
from assets.attachment.verdicts import (
    Check,
    Verdict,
    is_read_only,
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


def _there() -> Iterator[tuple[type[Model], str]]:
    """The tables that the search path finds, with the schema written before their names."""
    for model in MODELS:
        name = value("SELECT to_regclass(%s)::oid::regclass::text", model._meta.db_table)
        if name:
            schema = value("SELECT relnamespace::regnamespace FROM pg_class WHERE oid = %s::regclass", name)
            yield model, f"{schema}.{str(name).rpartition('.')[2]}"


# --- The role ----------------------------------------------------------------


def which_role() -> Iterator[Verdict]:
    name, is_super, bypasses = rows(
        "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )[0]
    owned = [table for _, table in _there() if value(_OWNS, table)]
    if is_super and not settings.EMBEDDED:
        do = "Give it a role of its own with no more than the rights below."
        yield warning(f"The dashboard connects as {name}, a superuser.", do)
    elif owned and settings.UPSTREAM_TABLES == "existing":
        so = f"The dashboard connects as {name}, which owns {listed(owned)}."
        yield note(so, "It works, but a role of its own could not alter the product's tables by mistake.")
    else:
        yield ok(f"The dashboard connects as {name}{', which has BYPASSRLS' if bypasses else ''}.")


_OWNS = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = %s::regclass"

# --- Row-level security ------------------------------------------------------


def row_security() -> Iterator[Verdict]:
    """A role that policies apply to would believe a full workspace to be empty."""
    tables = [table for _, table in _there()]
    secured = [table for table in tables if value(_IS_SECURED, table)]
    if hidden := grants.filtered():
        yield problem(
            f"Row-level security would hide rows of {listed(hidden)}, so that nothing is read there.",
            "A superuser, or at a hosted product its first role, lets this one see all rows."
            " Where nobody can, let the dashboard connect as the owner of the tables.",
            f"ALTER ROLE {role()} BYPASSRLS;",
        )
    elif tables:
        which = f", also of {listed(secured)}, which have row-level security" if secured else ""
        yield ok(f"This role sees every row{which}.")


_IS_SECURED = "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass"

# --- Grants ------------------------------------------------------------------


def reading() -> Iterator[Verdict]:
    if lacking := grants.missing(grants.TO_LOOK):
        tables = listed(grant.table for grant in lacking)
        do = "Their owner grants that; single columns are not enough."
        yield problem(f"This role may not read {tables}.", do, *grants.in_statements(lacking, role()))
    elif any(_there()):
        yield ok("This role may read the four tables.")


def changing() -> Iterator[Verdict]:
    purposes = {purpose: needed for purpose, needed in grants.PURPOSES.items() if needed != grants.TO_LOOK}
    lacks = {purpose: lacking for purpose, needed in purposes.items() if (lacking := grants.missing(needed))}
    if lacks and is_read_only():
        yield ok("This role lacks rights to write, which READ_ONLY=1 does without.")
        return
    for purpose, lacking in lacks.items():
        so = f"{purpose}: this role lacks {listed(map(str, lacking))}."
        if purpose == grants.INGEST:
            yield note(so, "Where files are to come in by it, the owner runs what manage.py grants prints.")
            continue
        do = "The tables' owner grants that, or set READ_ONLY=1 to browse alone."
        yield obstacle(so, do, *grants.in_statements(lacking, role()))
    if not lacks and any(_there()):
        yield ok("This role may do all that saving, deleting, extending, bringing back and ingest need.")


# --- A place for the dashboard's own -----------------------------------------


def own_schema() -> Iterator[Verdict]:
    """Whether the dashboard's tables can be made where they are to be."""
    schema = settings.DASHBOARD_SCHEMA
    found = rows("SELECT oid, pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = %s", schema)
    if not found:
        yield _to_be_made(schema)
        return
    missing = [verb for verb in ("USAGE", "CREATE") if not value(_MAY_IN_SCHEMA, schema, verb)]
    if missing:
        grant = f"GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO {role()};"
        so = f"This role lacks {' and '.join(missing)} in the schema {schema}."
        yield problem(so, "The schema's owner grants that.", grant)
    else:
        yield ok(f"This role may use the schema {schema} and make tables there.")
    if schema != "public":
        yield from _strangers(schema)


_MAY_IN_SCHEMA = "SELECT has_schema_privilege(%s, %s)"


def _to_be_made(schema: str) -> Verdict:
    if value("SELECT has_database_privilege(current_database(), 'CREATE')"):
        return ok(f"There is no schema {schema} yet, and this role may make it.")
    statements = (
        f"CREATE SCHEMA {quoted(schema)};",
        f"GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO {role()};",
    )
    so = f"There is no schema {schema}, and this role may not make one."
    return problem(so, "The database's owner makes it.", *statements)


def _strangers(schema: str) -> Iterator[Verdict]:
    ours = set(connection.introspection.django_table_names()) | {"django_migrations"}
    there = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p')"
    names = {name for (name,) in rows(there, quoted(schema)) if not name.startswith("procrastinate_")}
    if strangers := sorted(names - ours):
        so = f"The schema {schema} has tables that are not the dashboard's: {listed(strangers)}."
        yield warning(so, "Set DASHBOARD_SCHEMA to a name that nobody uses, unless you know them.")


CHECKS: tuple[Check, ...] = (which_role, row_security, reading, changing, own_schema)
