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
from assets.models import Disposition, WorkspaceAsset

# Roles that an API takes on for its callers: by the names that products give them, or because a role
# that logs in takes them on one at a time.
_IS_OF_AN_API = """
    (who.rolname IN ('anon', 'authenticated', 'authenticator', 'service_role', 'web_anon', 'web_user')
        OR EXISTS (
            SELECT FROM pg_auth_members JOIN pg_roles AS login ON login.oid = member
            WHERE roleid = who.oid AND login.rolcanlogin AND NOT login.rolinherit
        ))
"""
# The owner of the assets enters departures into the ledger, by the trigger.
_READERS = f"""
    WITH own AS (
        SELECT pg_class.oid, relname FROM pg_class
        WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'p', 'v', 'm')
        AND relname = ANY (%(tables)s)
    )
    SELECT who.rolname, {_IS_OF_AN_API} AS is_of_an_api, has_schema_privilege(who.oid, %(schema)s, 'USAGE'),
        array_agg(own.relname ORDER BY own.relname)
    FROM pg_roles AS who JOIN own ON has_table_privilege(who.oid, own.oid, 'SELECT, UPDATE, DELETE, TRUNCATE')
        OR has_any_column_privilege(who.oid, own.oid, 'SELECT, UPDATE')
        OR (has_table_privilege(who.oid, own.oid, 'INSERT') AND NOT (
            own.relname = %(ledger)s AND who.oid = (
                SELECT relowner FROM pg_class WHERE oid = to_regclass(%(assets)s))))
    WHERE NOT who.rolsuper AND who.rolname <> current_user AND who.rolname !~ '^pg_'
        AND NOT pg_has_role(who.oid, (SELECT oid FROM pg_roles WHERE rolname = current_user), 'USAGE')
        AND NOT pg_has_role(who.oid, 'pg_read_all_data', 'USAGE')
    GROUP BY 1, 2, 3 ORDER BY 2 DESC, 1
"""  # noqa: S608 (of constants)


def _schema() -> str:
    return quoted(settings.DASHBOARD_SCHEMA)


def _is_there() -> bool:
    return bool(value("SELECT to_regnamespace(%s) IS NOT NULL", _schema()))


# --- Checks ------------------------------------------------------------------


def readers() -> Iterator[Verdict]:
    """Roles that may do anything with a table of the dashboard's, by themselves or as part of PUBLIC."""
    if not _is_there():
        return
    public = _granted_to_public()
    found = [row for row in _readers() if not public]
    if public:
        yield _revocation("Everybody", "PUBLIC", public)
    for name, is_of_an_api, may_use, tables in found:
        yield _reader(name, is_of_an_api, may_use, tables)
    if not public and not found:
        yield ok(f"No other role may read the dashboard's tables in the schema {settings.DASHBOARD_SCHEMA}.")


def _readers() -> list[tuple]:
    parameters = {
        "schema": _schema(),
        "tables": _own_tables(),
        "ledger": Disposition._meta.db_table,
        "assets": WorkspaceAsset._meta.db_table,
    }
    with connection.cursor() as cursor:
        cursor.execute(_READERS, parameters)
        return cursor.fetchall()


def _own_tables() -> list[str]:
    """In a schema that the product has a part in, those of the models; else all that are there."""
    there = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
    names = {name for (name,) in rows(there, _schema())}
    if settings.DASHBOARD_SCHEMA != "public":
        return sorted(names)
    return sorted(names & set(connection.introspection.django_table_names()))


def _granted_to_public() -> list[str]:
    query = (
        "SELECT DISTINCT relname FROM pg_class, aclexplode(relacl) AS granted"
        " WHERE relnamespace = to_regnamespace(%s) AND relname = ANY (%s) AND granted.grantee = 0 ORDER BY 1"
    )
    return [name for (name,) in rows(query, _schema(), _own_tables())]


def _reader(name: str, is_of_an_api: bool, may_use: bool, tables: list[str]) -> Verdict:
    who = f"{name}, a role of an API," if is_of_an_api else f"The role {name}"
    if may_use:
        return _revocation(who, quoted(name), tables, Level.PROBLEM if is_of_an_api else Level.WARNING)
    so = f"{who} has rights on {_named(tables)}, and lacks only the use of the schema."
    return warning(so, "Revoke them, or one more grant opens the tables.", *_revoke(quoted(name)))


def _revocation(who: str, grantee: str, tables: list[str], level: Level = Level.PROBLEM) -> Verdict:
    so = f"{who} may read or change the dashboard's tables: {_named(tables)}."
    return Verdict(level, so, "Revoke that, as the owner of the schema.", _revoke(grantee))


def _named(tables: list[str]) -> str:
    return f"{counted(len(tables), 'table')}, {listed(tables, 3)}"


def _revoke(grantee: str) -> tuple[str, ...]:
    kinds = ("TABLES", "SEQUENCES", "ROUTINES")
    statements = [f"REVOKE ALL ON ALL {kind} IN SCHEMA {_schema()} FROM {grantee};" for kind in kinds]
    if settings.DASHBOARD_SCHEMA != "public":
        statements.append(f"REVOKE ALL ON SCHEMA {_schema()} FROM {grantee};")
    return tuple(statements)


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


CHECKS: tuple[Check, ...] = (readers, default_privileges, published_schemas, publications)
