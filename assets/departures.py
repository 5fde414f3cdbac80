"""The one statement by which rows leave the workspace: removed, and written into the ledger."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from psycopg.types.json import Jsonb

from assets.departure_trigger import RECORDED, ROW_AS_JSON
from assets.models import Disposition, Operation

# The locks are taken in the order of ids, so that two departures wait for each other in turn.
THESE = "id = ANY(%(ids)s) ORDER BY id FOR UPDATE"
# Those that somebody has confirmed to save or to extend wait for that, though their time passes meanwhile.
_SPOKEN_FOR = """
    EXISTS (
        SELECT FROM assets_operationitem AS item
        JOIN assets_operation AS operation ON operation.id = item.operation_id
        WHERE item.asset_id = workspace_assets.id AND item.state = 'pending'
        AND item.verb IN ('promote', 'extend') AND operation.state = 'running'
    )
"""
IS_EXPIRED = f"expires_at <= statement_timestamp() AND NOT {_SPOKEN_FOR}"
EXPIRED = (
    f"{IS_EXPIRED} AND (expires_at, id) > (%(after)s::timestamptz, %(after_id)s)"
    " ORDER BY expires_at, id LIMIT %(limit)s"
)
# Every worker takes others; each row is judged again under its lock.
THESE_IF_EXPIRED = f"id = ANY(%(ids)s) AND {IS_EXPIRED} FOR UPDATE SKIP LOCKED"

_DEPART = """
    WITH leaving AS MATERIALIZED (SELECT id FROM workspace_assets WHERE {which}),
    left_now AS (
        DELETE FROM workspace_assets AS asset USING leaving WHERE asset.id = leaving.id
        RETURNING asset.id, asset.user_id, {row} AS row
    )
    INSERT INTO {ledger} (asset_id, user_id, action, row, actor_id, operation_id, purge_after, saved)
    SELECT id, user_id, %(action)s, row, %(actor)s, %(operation)s,
           statement_timestamp() + make_interval(hours => %(grace)s), %(saved)s::jsonb -> id::text
    FROM left_now
    RETURNING asset_id
"""


def depart(
    which: str,
    action: Disposition.Action,
    *,
    actor: User | None = None,
    operation: Operation | None = None,
    saved: dict[str, Any] | None = None,
    **params: Any,
) -> set[UUID]:
    """Removes rows and writes the ledger; returns which have left."""
    sql = _DEPART.format(which=which, row=ROW_AS_JSON, ledger=Disposition._meta.db_table)
    params |= {
        "action": action,
        "actor": actor and actor.pk,
        "operation": operation and operation.pk,
        "grace": settings.PURGE_GRACE_HOURS,
        "saved": Jsonb(saved or {}),
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'on', true)", [RECORDED])
        cursor.execute(sql, params)
        left = {pk for (pk,) in cursor.fetchall()}
        cursor.execute("SELECT set_config(%s, 'off', true)", [RECORDED])
    return left
