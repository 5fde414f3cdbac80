"""The trigger that records assets which other hands remove: psql, a cascade, the product's own clean-up."""

from django.conf import settings
from django.db import connection

from assets.models import Disposition, WorkspaceAsset

# What this says during a transaction is that the dashboard itself writes the ledger.
RECORDED = "workspace_assets.departures_are_recorded"

_SQL = """
CREATE OR REPLACE FUNCTION {schema}.record_departures() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
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
EXCEPTION WHEN undefined_table OR invalid_schema_name THEN
    -- The dashboard has been taken away; the product goes on.
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
    """Statements for the owner of the assets' table; running them again does no harm."""
    return _fill(_SQL, assets_schema)


def removal(assets_schema: str) -> str:
    return _fill(REMOVAL, assets_schema)


def _fill(sql: str, assets_schema: str) -> str:
    quote = connection.ops.quote_name
    schema = quote(settings.DASHBOARD_SCHEMA)
    return sql.format(
        schema=schema,
        ledger=f"{schema}.{quote(Disposition._meta.db_table)}",
        assets=f"{quote(assets_schema)}.{quote(WorkspaceAsset._meta.db_table)}",
        recorded=RECORDED,
        row=ROW_AS_JSON,
    ).strip()


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
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) = 2 FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgenabled <> 'D'"
            " AND tgname IN ('record_departures', 'record_truncation')",
            [WorkspaceAsset._meta.db_table],
        )
        return cursor.fetchone()[0]
