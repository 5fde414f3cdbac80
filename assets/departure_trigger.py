"""The trigger that records assets which other hands remove: psql, a cascade, the product's own clean-up."""

from django.conf import settings
from django.db import connection
from django.db.models import Model

from assets.models import Disposition, WorkspaceAsset

# What this says during a transaction is that the dashboard itself writes the ledger.
RECORDED = "workspace_assets.departures_are_recorded"

# The function acts as whoever makes it. Without these rights it could not be made, or would record nothing.
_GRANTS = """
GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner};
GRANT INSERT ON {ledger} TO {owner};
"""

_SQL = """
DO $check$
BEGIN
    -- One after the other: who may not use the schema may not even ask about the table.
    IF NOT has_schema_privilege({schema_text}, 'USAGE') OR NOT has_schema_privilege({schema_text}, 'CREATE')
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%s may not use and create in the schema %s', current_user, {schema_text}),
            HINT = format('First: GRANT USAGE, CREATE ON SCHEMA %I TO %I', {schema_text}, current_user);
    ELSIF NOT has_table_privilege({ledger_text}, 'INSERT') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%s may not write into the ledger %s', current_user, {ledger_text}),
            HINT = format('First: GRANT INSERT ON %s TO %I', {ledger_text}, current_user);
    END IF;
END
$check$;

CREATE OR REPLACE FUNCTION {schema}.record_departures() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $function$
BEGIN
    -- A null of SQL is left out of the row: a null there is one of JSON.
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {ledger} (asset_id, user_id, action, row)
        SELECT id, user_id, 'external', {row} FROM {assets} AS asset;
    ELSE
        INSERT INTO {ledger} (asset_id, user_id, action, row)
        SELECT id, user_id, 'external', {row} FROM departed AS asset;
    END IF;
    RETURN NULL;
EXCEPTION WHEN undefined_table OR invalid_schema_name OR insufficient_privilege THEN
    -- The dashboard, or the right to write there or to see every row that is truncated, has been taken
    -- away; the product goes on.
    RAISE WARNING 'The departure of workspace assets was not recorded: %', SQLERRM;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE TRIGGER record_departures AFTER DELETE ON {assets}
REFERENCING OLD TABLE AS departed FOR EACH STATEMENT
WHEN (current_setting('{recorded}', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION {schema}.record_departures();

CREATE OR REPLACE TRIGGER record_truncation BEFORE TRUNCATE ON {assets}
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.record_departures();
"""

REMOVAL = """
DROP TRIGGER IF EXISTS record_departures ON {assets};
DROP TRIGGER IF EXISTS record_truncation ON {assets};
DROP FUNCTION IF EXISTS {schema}.record_departures();
"""

# The whole row as JSON, from which every column comes back as it was.
ROW_AS_JSON = (
    "to_jsonb(asset) - CASE WHEN asset.generation_settings IS NULL THEN 'generation_settings' ELSE '' END"
)


def creation(assets_schema: str) -> str:
    """Statements for the owner of the assets' table, in one transaction; again, they do no harm."""
    return _fill(_SQL, assets_schema)


def removal(assets_schema: str) -> str:
    return _fill(REMOVAL, assets_schema)


def grants(owner: str) -> str:
    """Statements for the owner of the ledger, to be run before those of the creation."""
    return _fill(_GRANTS, owner=owner)


def _fill(sql: str, assets_schema: str = "", owner: str = "") -> str:
    quote = connection.ops.quote_name
    schema = quote(settings.DASHBOARD_SCHEMA)
    ledger = f"{schema}.{quote(Disposition._meta.db_table)}"
    return sql.format(
        schema=schema,
        schema_text=_literal(settings.DASHBOARD_SCHEMA),
        ledger=ledger,
        ledger_text=_literal(ledger),
        assets=f"{quote(assets_schema)}.{quote(WorkspaceAsset._meta.db_table)}",
        owner=quote(owner),
        recorded=RECORDED,
        row=ROW_AS_JSON,
    ).strip()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def owner_of(model: type[Model]) -> str | None:
    """The role that owns a table on the search path; none where there is no such table."""
    with connection.cursor() as cursor:
        query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%s)"
        cursor.execute(query, [model._meta.db_table])
        found = cursor.fetchone()
    return found and found[0]


def assets_schema() -> str:
    """The schema in which the search path finds the assets; "public" where they are not yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass(%s)",
            [WorkspaceAsset._meta.db_table],
        )
        found = cursor.fetchone()
    return found[0].strip('"') if found else "public"


def is_installed() -> bool:
    """Whether both triggers are there, and whoever made them may still write what they record."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) = 2 FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
            WHERE tgrelid = to_regclass(%s) AND tgenabled <> 'D'
            AND tgname IN ('record_departures', 'record_truncation')
            AND has_schema_privilege(proowner, to_regnamespace(%s), 'USAGE')
            AND has_table_privilege(proowner, to_regclass(%s), 'INSERT')
            """,
            [
                WorkspaceAsset._meta.db_table,
                connection.ops.quote_name(settings.DASHBOARD_SCHEMA),
                Disposition._meta.db_table,
            ],
        )
        return cursor.fetchone()[0]
