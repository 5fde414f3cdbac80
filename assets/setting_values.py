"""Which settings really occur: the keys and their most frequent values among the newest of a selection.

Only the newest are looked at, so that a page costs the same on any table, and only settings of a usual
size; counts are of those, and every page says so.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

from assets.filters import DEFAULT_SORT, SORTS, AssetFilterSet
from assets.models import WorkspaceAsset
from assets.pagination import is_rare
from assets.setting_conditions import MAX_LENGTH, path_text, text_of
from assets.windows import first_rows, rows_passing

NEWEST = 2_000  # assets of the selection that are looked at
TRIED = 30_000  # of a list that no index finds: so many of its newest rows
ENOUGH = 100  # of those that pass; where there are fewer, those that pass are looked up
MOST_KEYS = 100
_MOST_BYTES = 65_536  # of the settings of one asset
_MOST_IN_ALL = 1_000_000  # bytes of settings: of a usual size, those of all that are looked at
_MOST_TEXT = 600  # characters of a value; a condition has fewer


@dataclass(frozen=True, slots=True)
class Value:
    text: str
    condition: str  # that a setting has this value; empty where none can be written
    number: int  # of assets


@dataclass(frozen=True, slots=True)
class Key:
    path: tuple[str, ...]
    number: int  # of assets that have it
    different: int  # values
    values: list[Value] = field(default_factory=list)  # the most frequent, lists and objects left out

    @property
    def text(self) -> str:
        return path_text(self.path)

    @property
    def condition(self) -> str:
        """That it is there; empty where none can be written."""
        return _written(self.text)


@dataclass(frozen=True, slots=True)
class Occurring:
    looked_at: int
    keys: list[Key]
    is_part: bool = False  # whether there are more assets than were looked at


_OCCURRING = """
    WITH stored AS MATERIALIZED (
        SELECT settings, sum(coalesce(pg_column_size(settings), 0)) OVER (ROWS UNBOUNDED PRECEDING) AS bytes
        FROM ({newest}) AS newest (settings)
    ),
    written AS MATERIALIZED (
        SELECT settings,
            sum(coalesce(octet_length(settings::text), 0)) OVER (ROWS UNBOUNDED PRECEDING) AS bytes
        FROM (
            SELECT CASE WHEN pg_column_size(settings) <= {bytes} AND octet_length(settings::text) <= {bytes}
                   AND jsonb_typeof(settings) = 'object' THEN settings END AS settings
            FROM stored WHERE bytes <= {in_all}
        ) AS small
    ),
    newest AS MATERIALIZED (SELECT settings FROM written WHERE bytes <= {in_all}),
    first AS (
        SELECT ARRAY[key] AS path, value FROM newest, jsonb_each(settings)
        WHERE %s::text[] IS NULL OR key = (%s::text[])[1]
    ),
    second AS (SELECT path || key AS path, inner_.value FROM first, {inside} AS inner_),
    third AS (SELECT path || key AS path, inner_.value FROM second, {inside} AS inner_),
    every AS (SELECT * FROM first UNION ALL SELECT * FROM second UNION ALL SELECT * FROM third),
    counted AS (
        SELECT path, count(*) AS number, sum(count(*)) OVER of_path AS of_key,
               count(*) OVER of_path AS different,
               CASE WHEN jsonb_typeof(value) NOT IN ('object', 'array')
               THEN left(value::text, {text} + 1) END AS text
        FROM every WHERE %s::text[] IS NULL OR path = %s::text[]
        GROUP BY path, value WINDOW of_path AS (PARTITION BY path)
    ),
    ranked AS (
        SELECT *, dense_rank() OVER (ORDER BY of_key DESC, path) AS key_rank,
               row_number() OVER (PARTITION BY path ORDER BY text IS NULL, number DESC, text) AS value_rank
        FROM counted
    )
    SELECT key_rank, value_rank, path, of_key::bigint, different, number, text FROM ranked
    WHERE key_rank <= {keys} AND value_rank <= %s
    UNION ALL SELECT 0, 0, NULL, NULL, (SELECT count(*) FROM stored), count(*), NULL FROM newest
    ORDER BY key_rank, value_rank
"""
_INSIDE = "jsonb_each(CASE WHEN jsonb_typeof(value) = 'object' THEN value END)"


def occurring(
    selected: QuerySet[WorkspaceAsset] | AssetFilterSet, *, values: int, path: Sequence[str] | None = None
) -> Occurring:
    """The keys of a selection, or the one at a path, most frequent first, each with so many values."""
    newest, is_part = _newest(selected) if isinstance(selected, AssetFilterSet) else (selected, False)
    rows = newest.order_by(*_NEWEST_FIRST).values("generation_settings")[:NEWEST]
    try:
        sql, params = rows.query.get_compiler(using=rows.db).as_sql()
    except EmptyResultSet:
        return Occurring(0, [])
    sizes = {"bytes": _MOST_BYTES, "in_all": _MOST_IN_ALL, "text": _MOST_TEXT, "keys": MOST_KEYS}
    statement = _OCCURRING.format(newest=sql, inside=_INSIDE, **sizes)
    wanted = list(path) if path else None
    with connections[rows.db].cursor() as cursor:
        cursor.execute(statement, [*params, *[wanted] * 4, values])
        [(*_, number, looked_at, _), *found] = cursor.fetchall()
    return Occurring(looked_at, _keys(found), is_part=is_part or looked_at < number or number == NEWEST)


_NEWEST_FIRST = ("-created_at", "-id")


def _newest(filterset: AssetFilterSet) -> tuple[QuerySet[WorkspaceAsset], bool]:
    """Rows to take the newest of, found in two steps as lists are; and whether there may be others.

    In one, the database would walk the table for what is old or rare.
    """
    ordered, sieve = filterset.selection(order=SORTS[DEFAULT_SORT][1])
    ordered = ordered.order_by(*_NEWEST_FIRST)
    if not sieve:
        return ordered, False
    is_looked_up = is_rare(ordered, sieve)
    if not is_looked_up:
        near = first_rows(ordered, TRIED).filter(sieve.cheap)
        if near.values_list("pk")[ENOUGH - 1 : ENOUGH]:
            return near, bool(ordered.values_list("pk")[TRIED : TRIED + 1])
    passing = rows_passing(ordered, sieve.indexed, alone=is_looked_up).order_by(*_NEWEST_FIRST)
    return ordered.filter(pk__in=passing.values("pk")[:NEWEST]), False


def _keys(rows: list[tuple]) -> list[Key]:
    keys: dict[tuple[str, ...], Key] = {}
    for _, _, path, of_key, different, number, text in rows:
        key = keys.setdefault(tuple(path), Key(tuple(path), of_key, different))
        if text is not None:
            key.values.append(_value(key.path, text, number))
    return list(keys.values())


def _value(path: tuple[str, ...], text: str, number: int) -> Value:
    if len(text) > _MOST_TEXT:
        return Value(f"{text[:_MOST_TEXT]}…", "", number)
    value: Any = json.loads(text, parse_float=Decimal)
    condition = _written(f"{path_text(path)}=null") if value is None else text_of(path, value)
    return Value(value if isinstance(value, str) else text, condition, number)


def _written(condition: str) -> str:
    return condition if len(condition) <= MAX_LENGTH else ""
