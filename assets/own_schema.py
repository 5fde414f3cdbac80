"""The schema of the dashboard's own tables, which nobody else is to read: what people wrote is in it."""

from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from assets.models import Disposition, WorkspaceAsset

# As REVOKE statements: whatever roles other than its owner may do to the schema, and to what is in it.
_REVOCATIONS = """
    WITH held AS (
        SELECT 'SCHEMA ' || quote_ident(nspname) AS thing, nspacl AS acl, nspowner AS owner
        FROM pg_namespace WHERE nspname = %(schema)s
        UNION ALL
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass, relacl, relowner
        FROM pg_class
        WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'p', 'v', 'm', 'S')
        UNION ALL
        SELECT 'ROUTINE ' || oid::regprocedure, proacl, proowner
        FROM pg_proc WHERE pronamespace = to_regnamespace(%(schema)s)
    )
    SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role,
        thing
    FROM held, aclexplode(acl) WHERE grantee <> owner AND pg_has_role(owner, 'USAGE')
    ORDER BY role, thing
"""
# Roles that an API takes on for its callers: by the names that products give them, or because a role
# that logs in takes them on one at a time.
_IS_OF_AN_API = """
    (who.rolname IN ('anon', 'authenticated', 'authenticator', 'service_role', 'web_anon', 'web_user')
        OR EXISTS (
            SELECT FROM pg_auth_members JOIN pg_roles AS login ON login.oid = member
            WHERE roleid = who.oid AND login.rolcanlogin AND NOT login.rolinherit
        ))
"""
# But for superusers, those who read every table by their office, and those who act as this role: of an API,
# these are found below. The owner of the assets enters departures into the ledger, by the trigger.
_OUTSIDERS = f"""
    WITH own AS (
        SELECT pg_class.oid, relname FROM pg_class
        WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'p', 'v', 'm')
        AND relname = ANY (%(tables)s)
    )
    SELECT who.rolname, quote_ident(who.rolname), {_IS_OF_AN_API},
        has_schema_privilege(who.oid, to_regnamespace(%(schema)s), 'USAGE'),
        array_agg(own.relname::text ORDER BY own.relname)
    FROM pg_roles AS who JOIN own ON has_table_privilege(who.oid, own.oid, 'SELECT, UPDATE, DELETE, TRUNCATE')
        OR has_any_column_privilege(who.oid, own.oid, 'SELECT, UPDATE')
        OR (has_table_privilege(who.oid, own.oid, 'INSERT') AND NOT (
            own.relname = %(ledger)s AND who.oid = (
                SELECT relowner FROM pg_class WHERE oid = to_regclass(%(assets)s))))
    WHERE NOT who.rolsuper AND who.rolname <> current_user AND who.rolname !~ '^pg_'
        AND NOT pg_has_role(who.oid, (SELECT oid FROM pg_roles WHERE rolname = current_user), 'USAGE')
        AND NOT pg_has_role(who.oid, 'pg_read_all_data', 'USAGE')
    GROUP BY who.oid, who.rolname ORDER BY 3 DESC, 1
"""  # noqa: S608 (of constants)
_OF_PUBLIC = """
    SELECT DISTINCT relname::text FROM pg_class, aclexplode(relacl) AS granted
    WHERE relnamespace = to_regnamespace(%(schema)s) AND relname = ANY (%(tables)s) AND granted.grantee = 0
    ORDER BY 1
"""


# Whoever was given this role itself, or the office to read or write every table, so that an API acts by it;
# not whoever made this role, who has it with the right to give it on.
_DEPUTIES = f"""
    SELECT DISTINCT direct.rolname, quote_ident(direct.rolname), office.rolname, quote_ident(office.rolname)
    FROM pg_auth_members AS held
    JOIN pg_roles AS office ON office.oid = held.roleid
    JOIN pg_roles AS direct ON direct.oid = held.member
    JOIN pg_roles AS who ON pg_has_role(who.oid, direct.oid, 'MEMBER')
    WHERE (office.rolname IN ('pg_read_all_data', 'pg_write_all_data') AND {_IS_OF_AN_API}
        OR office.rolname = current_user AND ({_IS_OF_AN_API}
            OR who.rolcanlogin AND NOT who.rolinherit AND NOT held.admin_option))
        AND NOT who.rolsuper AND NOT direct.rolsuper AND who.rolname <> current_user
        AND direct.rolname <> current_user
    ORDER BY 1, 3
"""  # noqa: S608 (of constants)


class Deputy(NamedTuple):
    """Who is part of a role that may read the dashboard's tables, and may be taken on by an API."""

    name: str
    grantee: str  # as SQL writes it, like the office
    office: str
    quoted_office: str

    @property
    def revocation(self) -> str:
        return f"REVOKE {self.quoted_office} FROM {self.grantee};"


class Outsider(NamedTuple):
    """Who may read or change tables of the dashboard's own."""

    name: str
    grantee: str  # as SQL writes it
    is_of_an_api: bool
    may_use_schema: bool
    tables: list[str]


def rights_of_others(connection: BaseDatabaseWrapper, schema: str) -> set[tuple[str, str]]:
    """(role, thing) of all that somebody other than its owner has a right to."""
    with connection.cursor() as cursor:
        cursor.execute(_REVOCATIONS, {"schema": schema})
        return set(cursor.fetchall())


def revoke(connection: BaseDatabaseWrapper, rights: set[tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        for role, thing in sorted(rights):
            cursor.execute(f"REVOKE ALL ON {thing} FROM {role}")


def outsiders(connection: BaseDatabaseWrapper, schema: str) -> list[Outsider]:
    """Everybody alone, where everybody may."""
    parameters = {
        "schema": schema,
        "tables": _tables(connection, schema),
        "ledger": Disposition._meta.db_table,
        "assets": WorkspaceAsset._meta.db_table,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OF_PUBLIC, parameters)
        if public := [name for (name,) in cursor.fetchall()]:
            return [Outsider("Everybody", "PUBLIC", True, True, public)]
        cursor.execute(_OUTSIDERS, parameters)
        return [Outsider(*row) for row in cursor.fetchall()]


def deputies(connection: BaseDatabaseWrapper) -> list[Deputy]:
    with connection.cursor() as cursor:
        cursor.execute(_DEPUTIES)
        return [Deputy(*row) for row in cursor.fetchall()]


def _tables(connection: BaseDatabaseWrapper, schema: str) -> list[str]:
    """In a schema that the product has a part in, those of the models; else all that are there."""
    with connection.cursor() as cursor:
        query = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
        cursor.execute(query, [schema])
        names = {name for (name,) in cursor.fetchall()}
    if schema != "public":
        return sorted(names)
    return sorted(names & set(connection.introspection.django_table_names()))


def revocations(schema: str, grantee: str) -> tuple[str, ...]:
    """What its owner runs; both as SQL writes them."""
    kinds = ("TABLES", "SEQUENCES", "ROUTINES")
    statements = [f"REVOKE ALL ON ALL {kind} IN SCHEMA {schema} FROM {grantee};" for kind in kinds]
    if schema != "public":
        statements.append(f"REVOKE ALL ON SCHEMA {schema} FROM {grantee};")
    return tuple(statements)
