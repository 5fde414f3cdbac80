"""The statements by which rows come back to the workspace, as the ledger has kept them."""

from collections import defaultdict
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection

from assets.models import Disposition
from assets.models.upstream import ASSET_LIFETIME
from assets.outcomes import rows

_RETURN = """
    INSERT INTO workspace_assets ({columns})
    OVERRIDING SYSTEM VALUE
    SELECT {values}
    FROM (
        SELECT entry.row, jsonb_populate_record(NULL::workspace_assets, entry.row) AS asset
        FROM {ledger} AS entry WHERE entry.id = ANY(%(ids)s)
    ) AS returning_now
    ON CONFLICT DO NOTHING
    RETURNING id
"""
# Not those that the database computes itself; what it numbers has the number that it had.
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass('workspace_assets') AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
_KEYS = "SELECT id, ARRAY(SELECT jsonb_object_keys(row)) FROM {ledger} WHERE id = ANY(%(ids)s) ORDER BY id"
_MARK_RESTORED = """
    UPDATE {ledger} SET restored_at = statement_timestamp(), restored_by_id = %(actor)s
    WHERE id = ANY(%(ids)s)
"""
_LEAVE_LIBRARY = """
    WITH returned AS (
        DELETE FROM user_library AS kept USING {ledger} AS entry
        WHERE kept.id = entry.asset_id AND entry.id = ANY(%(ids)s) AND entry.action = 'promoted'
        RETURNING entry.id, to_jsonb(kept) AS row
    )
    UPDATE {ledger} AS entry SET saved = entry.saved || jsonb_build_object('row', returned.row)
    FROM returned WHERE entry.id = returned.id
"""


def return_rows(ids: list[int]) -> set[UUID]:
    """By the columns that rows had when they left, so that a newer column has its default."""
    table = {name for (name,) in rows(_COLUMNS, {})}
    alike: dict[frozenset[str], list[int]] = defaultdict(list)
    for pk, names in rows(_KEYS.format(ledger=Disposition._meta.db_table), {"ids": ids}):
        alike[frozenset(table.intersection([*names, "generation_settings"]))].append(pk)
    return {pk for columns, group in alike.items() for pk in _return_alike(group, sorted(columns))}


def _return_alike(ids: list[int], columns: list[str]) -> set[UUID]:
    quote = connection.ops.quote_name
    values = {name: f"(asset).{quote(name)}" for name in columns}
    # The row of jsonb_populate_record cannot tell a null of JSON from one of SQL.
    values["generation_settings"] = "row -> 'generation_settings'"
    values["expires_at"] = (
        "CASE WHEN (asset).expires_at <= statement_timestamp()"
        " THEN statement_timestamp() + %(lifetime)s ELSE (asset).expires_at END"
    )
    sql = _RETURN.format(
        columns=", ".join(map(quote, columns)),
        values=", ".join(values.values()),
        ledger=Disposition._meta.db_table,
    )
    return {pk for (pk,) in rows(sql, {"ids": ids, "lifetime": ASSET_LIFETIME})}


def mark_returned(ids: list[int], actor: User) -> None:
    """In the ledger; what had been saved leaves the library."""
    with connection.cursor() as cursor:
        for sql in (_MARK_RESTORED, _LEAVE_LIBRARY):
            cursor.execute(sql.format(ledger=Disposition._meta.db_table), {"ids": ids, "actor": actor.pk})
