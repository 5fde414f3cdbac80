"""Counts the whole table and the newest of the ledger, for the overview.

Counting takes no lock on a table. What has changed is written in one short transaction at the end, so that
a page sees one state or the next, and a refresh that dies leaves the last standing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from assets.models import Disposition, Refresh, Rollup

HOUR = timedelta(hours=1)
# Around the day it is: pages look a week back and a week ahead, from a refresh that may be a day old.
DAYS_BACK, DAYS_AHEAD = 8, 9

MOST_TYPES = 8
MOST_MODELS = 100
MOST_USERS = 1_000
TOP_USERS = 20
LONGEST_NAME = 200  # of a type or a model: longer ones are among the others

RETRY_AFTER = timedelta(minutes=15)  # one that did not come to its end
MARGIN = timedelta(hours=1)  # for which a departure may take to be committed

_LOCK = 7_305_810_418_331_020_546  # any number that nobody else locks


class Refreshed(NamedTuple):
    rows: int
    written: int
    removed: int
    seconds: float


# --- When ----------------------------------------------------------------------


def refresh_if_due() -> Refreshed | None:
    return refresh() if is_due(timezone.now()) else None


def is_due(now: datetime) -> bool:
    """Not while the last is young for what it cost, so that a large table does not load a small machine."""
    last = Refresh.objects.first()
    if last is None:
        return True
    if last.started_at != last.as_of:
        return now >= last.started_at + RETRY_AFTER
    return now >= last.due_at


def refresh(*, anew: bool = False) -> Refreshed | None:
    """Counts the assets, and departures since the last time or all `anew`; None where another is at it."""
    with _alone() as is_alone:
        return _refresh(timezone.now(), anew) if is_alone else None


@contextmanager
def _alone() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        [is_alone] = cursor.fetchone()
    try:
        yield is_alone
    finally:
        if is_alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _refresh(now: datetime, anew: bool) -> Refreshed:
    window = Window(now)
    last, _ = Refresh.objects.update_or_create(pk=1, defaults={"started_at": now})
    since = window.start if anew or last.as_of is None else _since(window, last.as_of)
    found = [*_count_assets(window), *_count_departures(window, since)]
    took = timezone.now() - now
    with transaction.atomic():
        written, removed = _write(found, window, since)
        Refresh.objects.update(as_of=now, took=took)
    return Refreshed(len(found), written, removed, round(took.total_seconds(), 3))


def _since(window: "Window", as_of: datetime) -> datetime:
    """Of which hour on departures are counted again: of all where hours began otherwise, in another zone."""
    starts = Rollup.objects.filter(kind=Rollup.Kind.LEFT).values_list("hour", flat=True)
    if any((start - window.origin) % window.step for start in starts):
        return window.start
    return max(window.start, window.hour_of(as_of - MARGIN))


# --- Times -----------------------------------------------------------------------


def midnight_of(instant: datetime) -> datetime:
    """When its day begins in the dashboard's time zone."""
    return _midnight(timezone.localdate(instant))


def days_after(midnight: datetime, days: int) -> datetime:
    """Another midnight; days that clocks are changed on have 23 or 25 hours."""
    return _midnight(timezone.localdate(midnight) + timedelta(days=days))


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min)).astimezone(UTC)


# --- Counting --------------------------------------------------------------------


class Window:
    """The days whose hours are counted. Hours begin where those of the dashboard's time zone do."""

    def __init__(self, now: datetime) -> None:
        self.origin = midnight_of(now)
        self.start, self.end = days_after(self.origin, -DAYS_BACK), days_after(self.origin, DAYS_AHEAD)
        # Where clocks are changed by half an hour, hours of one day begin amid those of another.
        self.step = HOUR if not ((self.end - self.start) % HOUR) else HOUR / 2

    def hour_of(self, instant: datetime) -> datetime:
        return instant - (instant - self.origin) % HOUR


# Three scans, each of which an index alone can answer, and which sort nothing: of one scan with grouping
# sets the planner sorts all rows, since it cannot know how few the hours are.
_ASSETS = """
WITH owned AS MATERIALIZED (
    SELECT user_id, asset_type, model_used, count(*) AS count, sum(file_size_bytes) AS bytes
    FROM workspace_assets GROUP BY user_id, asset_type, model_used
),
known_types AS MATERIALIZED (
    SELECT asset_type AS known FROM owned WHERE length(asset_type) <= %(longest)s
    GROUP BY asset_type ORDER BY sum(count) DESC, asset_type LIMIT %(types)s
),
known_models AS MATERIALIZED (
    SELECT model_used AS known FROM owned WHERE length(model_used) <= %(longest)s
    GROUP BY model_used ORDER BY sum(count) DESC, model_used LIMIT %(models)s
),
known_users AS MATERIALIZED (
    SELECT user_id AS known, row_number() OVER (ORDER BY sum(count) DESC, user_id) AS place
    FROM owned GROUP BY user_id ORDER BY place LIMIT %(users)s
),
arrived AS (
    SELECT date_bin(%(step)s, created_at, %(origin)s) AS hour, asset_type,
           count(*) AS count, sum(file_size_bytes) AS bytes
    FROM workspace_assets WHERE created_at >= %(start)s AND created_at < %(end)s
    GROUP BY hour, asset_type
),
expires AS (
    SELECT CASE WHEN expires_at IS NULL THEN 'expires_never' WHEN expires_at < %(start)s THEN 'expired_before'
                WHEN expires_at >= %(end)s THEN 'expires_after' ELSE 'expires' END AS kind,
           CASE WHEN expires_at >= %(start)s AND expires_at < %(end)s
                THEN date_bin(%(step)s, expires_at, %(origin)s) END AS hour,
           asset_type, count(*) AS count, sum(file_size_bytes) AS bytes
    FROM workspace_assets GROUP BY 1, 2, asset_type
),
counted AS (
    SELECT 'arrived' AS kind, hour, asset_type, NULL AS model_used, NULL::uuid AS user_id, count, bytes
    FROM arrived
    UNION ALL SELECT kind, hour, asset_type, NULL, NULL, count, bytes FROM expires
    UNION ALL SELECT 'model', NULL, asset_type, known_models.known, NULL, count, bytes
    FROM owned LEFT JOIN known_models ON model_used = known_models.known
    UNION ALL SELECT 'top_user', NULL, asset_type, NULL, known_users.known, count, bytes
    FROM owned LEFT JOIN known_users ON user_id = known_users.known AND place <= %(top)s
    UNION ALL SELECT 'user', NULL, asset_type, NULL, known_users.known, count, bytes
    FROM owned JOIN known_users ON user_id = known_users.known
)
SELECT kind, hour, known_types.known, model_used, user_id, NULL, sum(count)::bigint, sum(bytes)
FROM counted LEFT JOIN known_types ON asset_type = known_types.known
GROUP BY kind, hour, known_types.known, model_used, user_id
UNION ALL SELECT 'users', NULL, NULL, NULL, NULL, NULL, count(DISTINCT user_id), 0 FROM owned
UNION ALL SELECT 'models', NULL, NULL, NULL, NULL, NULL, count(DISTINCT model_used), 0 FROM owned
"""

# Action by action, since the index on both answers that alone.
_DEPARTURES = """
SELECT 'left', date_bin(%(step)s, disposed_at, %(origin)s) AS hour, NULL, NULL, NULL::uuid, action,
       count(*), 0
FROM unnest(%(actions)s::text[]) AS known (action), LATERAL (
    SELECT disposed_at FROM {ledger} AS ledger
    WHERE ledger.action = known.action AND disposed_at >= %(since)s AND disposed_at < %(end)s
) AS departed
GROUP BY hour, action
UNION ALL
SELECT 'came_back', date_bin(%(step)s, disposed_at, %(origin)s) AS hour, NULL, NULL, NULL, NULL, count(*), 0
FROM {ledger} WHERE restored_at IS NOT NULL AND disposed_at >= %(start)s AND disposed_at < %(end)s
GROUP BY hour
"""


def _count_assets(window: Window) -> list[Rollup]:
    limits = {"types": MOST_TYPES, "models": MOST_MODELS, "users": MOST_USERS, "top": TOP_USERS}
    return _rows(_ASSETS, window, longest=LONGEST_NAME, **limits)


def _count_departures(window: Window, since: datetime) -> list[Rollup]:
    """Those that came back of all days, since they may do so long after they left; they are few."""
    sql = _DEPARTURES.format(ledger=Disposition._meta.db_table)
    return _rows(sql, window, since=since, actions=Disposition.Action.values)


_COLUMNS = ("kind", "hour", "asset_type", "model_used", "user_id", "action", "count", "bytes")


def _rows(sql: str, window: Window, **params: Any) -> list[Rollup]:
    with transaction.atomic(), connection.cursor() as cursor:
        # One core is enough; pages need the others.
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute(sql, {**vars(window), **params})
        return [Rollup(**dict(zip(_COLUMNS, row, strict=True))) for row in cursor.fetchall()]


# --- Writing ---------------------------------------------------------------------


def _write(found: Iterable[Rollup], window: Window, since: datetime) -> tuple[int, int]:
    """Replaces what has changed; older departures were counted before."""
    kept = Rollup.objects.filter(kind=Rollup.Kind.LEFT, hour__gte=window.start, hour__lt=since)
    standing = {_key(row): row for row in Rollup.objects.exclude(id__in=kept.values("id"))}
    changed = []
    for row in found:
        before = standing.pop(_key(row), None)
        if before is None or (before.count, before.bytes) != (row.count, row.bytes):
            row.pk = before and before.pk
            changed.append(row)
    Rollup.objects.filter(id__in=[row.pk for row in standing.values()]).delete()
    Rollup.objects.bulk_create([row for row in changed if row.pk is None], batch_size=2_000)
    _update(row for row in changed if row.pk is not None)
    return len(changed), len(standing)


def _update(rows: Iterable[Rollup]) -> None:
    Rollup.objects.bulk_create(
        rows, batch_size=2_000, update_conflicts=True, unique_fields=["id"], update_fields=["count", "bytes"]
    )


def _key(row: Rollup) -> tuple[Any, ...]:
    return row.kind, row.hour, row.asset_type, row.model_used, row.user_id, row.action
