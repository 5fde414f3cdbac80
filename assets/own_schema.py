"""The schema of the dashboard's own tables, which nobody else is to read: what people wrote is in it."""

from django.db.backends.base.base import BaseDatabaseWrapper

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
        SELECT 'FUNCTION ' || oid::regprocedure, proacl, proowner
        FROM pg_proc WHERE pronamespace = to_regnamespace(%(schema)s)
    )
    SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role,
        thing
    FROM held, aclexplode(acl) WHERE grantee <> owner AND pg_has_role(owner, 'USAGE')
    ORDER BY role, thing
"""
# But for superusers, those who read every table by their office, and those who act as the owner.
_READERS = """
    SELECT rolname FROM pg_roles AS role
    WHERE NOT rolsuper AND rolname <> 'pg_read_all_data'
    AND NOT pg_has_role(role.oid, 'pg_read_all_data', 'USAGE')
    AND has_schema_privilege(role.oid, to_regnamespace(%(schema)s), 'USAGE')
    AND EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'p', 'v', 'm')
        AND NOT pg_has_role(role.oid, relowner, 'MEMBER')
        AND has_any_column_privilege(role.oid, pg_class.oid, 'SELECT')
    )
    ORDER BY rolname
"""


def rights_of_others(connection: BaseDatabaseWrapper, schema: str) -> set[tuple[str, str]]:
    """(role, thing) of all that somebody other than its owner has a right to."""
    with connection.cursor() as cursor:
        cursor.execute(_REVOCATIONS, {"schema": schema})
        return set(cursor.fetchall())


def revoke(connection: BaseDatabaseWrapper, rights: set[tuple[str, str]]) -> None:
    with connection.cursor() as cursor:
        for role, thing in sorted(rights):
            cursor.execute(f"REVOKE ALL ON {thing} FROM {role}")


def readers(connection: BaseDatabaseWrapper, schema: str) -> list[str]:
    """The roles that may read a table of the dashboard's own."""
    with connection.cursor() as cursor:
        cursor.execute(_READERS, {"schema": schema})
        return [name for (name,) in cursor.fetchall()]
