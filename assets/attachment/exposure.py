"""Who else could read the dashboard's own tables: prompts, names and what left are in them."""

from collections.abc import Iterator

from django.conf import settings
from django.db import connection

from assets.attachment.verdicts import (
    Check,
    Level,
    Verdict,
    counted,
    listed,
    note,
    ok,
    problem,
    quoted,
    role,
    rows,
    value,
    warning,
)
from assets.own_schema import Outsider, deputies, outsiders, revocations


def _schema() -> str:
    return quoted(settings.DASHBOARD_SCHEMA)


def _is_there() -> bool:
    return bool(value("SELECT to_regnamespace(%s) IS NOT NULL", _schema()))


# --- Checks ------------------------------------------------------------------


def readers() -> Iterator[Verdict]:
    """Roles that may do anything with a table of the dashboard's, by themselves or as part of PUBLIC."""
    if not _is_there():
        return
    found = outsiders(connection, _schema())
    yield from map(_reader, found)
    if not found and not deputies(connection):
        yield ok(f"No other role may read the dashboard's tables in the schema {settings.DASHBOARD_SCHEMA}.")


def _reader(outsider: Outsider) -> Verdict:
    name, grantee, is_of_an_api, may_use_schema, tables = outsider
    who = f"{name}, a role of an API," if is_of_an_api else f"The role {name}"
    if grantee == "PUBLIC":
        who = name
    what = f"{counted(len(tables), 'table')}, {listed(tables, 3)}"
    revoke = revocations(_schema(), grantee)
    if not may_use_schema:
        so = f"{who} has rights on {what}, and lacks only the use of the schema."
        return warning(so, "Revoke them, or one more grant opens the tables.", *revoke)
    level = Level.PROBLEM if is_of_an_api else Level.WARNING
    so = f"{who} may read or change the dashboard's tables: {what}."
    return Verdict(level, so, "Revoke that, as the owner of the schema.", revoke)


def acting() -> Iterator[Verdict]:
    """Roles of an API that need no right of their own, since they are part of one that has all."""
    for deputy in deputies(connection):
        so = (
            f"{deputy.name}, by which an API may act, is part of {deputy.office}, which may read all of that."
        )
        yield problem(so, "Whoever granted that revokes it.", deputy.revocation)


def default_privileges() -> Iterator[Verdict]:
    """Grants that every table which this role makes would have from the start."""
    query = """
        SELECT defaclnamespace <> 0, array_agg(DISTINCT coalesce(rolname, 'PUBLIC'))
        FROM pg_default_acl CROSS JOIN aclexplode(defaclacl) AS granted
        LEFT JOIN pg_roles ON pg_roles.oid = granted.grantee
        WHERE defaclobjtype IN ('r', 'n')
        AND defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
        AND (defaclnamespace = 0 OR defaclnamespace = to_regnamespace(%s)) AND granted.grantee <> defaclrole
        GROUP BY 1
    """
    found = rows(query, _schema())
    for is_in_schema, names in found:
        where = f" IN SCHEMA {_schema()}" if is_in_schema else ""
        grantees = ", ".join(name if name == "PUBLIC" else quoted(name) for name in names)
        alter = f"ALTER DEFAULT PRIVILEGES FOR ROLE {role()}{where} REVOKE ALL ON"
        on = ("TABLES",) if is_in_schema else ("TABLES", "SCHEMAS")
        yield problem(
            f"What this role makes is granted to {listed(names)} at once, the dashboard's tables as well.",
            "Take that back before manage.py migrate, as this role.",
            *(f"{alter} {kind} FROM {grantees};" for kind in on),
        )
    if not found:
        yield ok("Tables that this role makes are granted to nobody by default.")


def published_schemas() -> Iterator[Verdict]:
    """The list of schemas that an API publishes; it may be kept here, and mostly is kept elsewhere."""
    schema = settings.DASHBOARD_SCHEMA
    query = (
        "SELECT coalesce(rolname, 'all roles'), setting FROM pg_db_role_setting"
        " LEFT JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS setting"
        " WHERE setting LIKE 'pgrst.db_schemas=%%' OR setting LIKE 'pgrst.db_extra_search_path=%%'"
    )
    for who, setting in rows(query):
        name, _, schemas = setting.partition("=")
        if schema in (each.strip(' "') for each in schemas.split(",")):
            do = f"Take {schema} out of {name} of {who}."
            yield problem(f"The API is told to publish the schema {schema}.", do)
            return
    if settings.UPSTREAM_TABLES == "existing":
        yield note(
            f"Whether an API publishes the schema {schema} cannot be seen from here.",
            f"Look at the API's list of exposed schemas: {schema} must not be in it.",
        )


def publications() -> Iterator[Verdict]:
    names = [name for (name,) in rows("SELECT pubname FROM pg_publication WHERE puballtables ORDER BY 1")]
    if names:
        so = f"The publication {listed(names)} sends every table to its subscribers, the dashboard's as well."
        yield warning(
            so, "Have it name the product's tables, if those who listen must not see the dashboard's."
        )


CHECKS: tuple[Check, ...] = (readers, acting, default_privileges, published_schemas, publications)
