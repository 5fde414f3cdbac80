"""Keeps the values that settings are known to have up to date, and answers which of them a condition means.

The newest assets are looked through every minute, and all of them once a day, a chunk at a time. What the
worker has not seen yet is looked for among the assets created since; assets that were written with an older
date, or changed, are known after the next day's pass.
"""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Count, F, Func, Subquery, TextField
from django.db.models.functions import Cast
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from assets.models.known_settings import KnownSettings, SettingKey, SettingValue
from assets.setting_conditions import SettingCondition

MOST_KEYS = 1_000
MOST_VALUES = 10_000  # of one key
MOST_BYTES = 200  # of a key or a value
MOST_NAMED = 1_000  # values by which one condition is looked up
STALE = timedelta(hours=1)  # what has come since is too much to be looked through by a page
LATE = timedelta(minutes=10)  # for which a transaction may be open before its rows are seen
PASS_EVERY = timedelta(days=1)
SECONDS = 20  # for which one run goes on with the pass
FEW_OF = 50  # where one in so many values of a key is meant, few assets are expected to have it
_CHUNK = 20_000  # assets

# --- Answering ---------------------------------------------------------------


class Named(NamedTuple):
    """The values that a condition means, as far as they are known."""

    values: list[str]  # as JSON, each as settings that have nothing else
    since: datetime  # when assets were created that may have others
    are_few: bool  # of those that the key has


def named_by(condition: SettingCondition) -> Named | None:
    """None where they are not all known, or too many to look each of them up."""
    keys = SettingKey.objects.filter(key=condition.keys[0])
    every = SettingValue.objects.filter(key=condition.keys[0])
    fitting = every.filter(condition.as_q("settings"))
    values = fitting.values_list(Cast("settings", TextField()), flat=True)[: MOST_NAMED + 1]
    number = every.values("key").annotate(number=Count("key")).values("number")
    known = (
        KnownSettings.objects.filter(complete_at__isnull=False, until__gt=timezone.now() - STALE)
        .annotate(is_listed=Subquery(keys.values("is_listed")), named=ArraySubquery(values))
        .annotate(number=Subquery(number))
        .first()
    )
    if known is None or len(known.named) > MOST_NAMED:
        return None
    is_answered = not known.has_other_keys if known.is_listed is None else known.is_listed
    are_few = len(known.named) * FEW_OF <= (known.number or 0)
    return Named(known.named, known.until - LATE, are_few) if is_answered else None


class MayHave(Func):
    """What an index answers of a condition on settings: all that it selects, and perhaps more.

    It is looked up when it is asked for, since most pages are filled without it.
    """

    output_field = BooleanField()

    def __init__(self, condition: SettingCondition) -> None:
        super().__init__(F("generation_settings"), F("created_at"))
        self.condition = condition
        self.looked_up: list[Named | None] = []  # once, by all copies

    @property
    def named(self) -> Named | None:
        if not self.looked_up:
            self.looked_up.append(named_by(self.condition))
        return self.looked_up[0]

    def are_few(self) -> bool:
        """Whether so few values are meant that few assets are to be expected."""
        return self.named is not None and self.named.are_few

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple]:
        if (named := self.named) is None:
            return "TRUE", ()
        (column, _), (created_at, _) = map(compiler.compile, self.source_expressions)
        return f"({created_at} > %s OR {column} @> ANY (%s::jsonb[]))", (named.since, named.values)


# --- Looking -----------------------------------------------------------------


def look(seconds: float = SECONDS) -> None:
    """Looks through what is new, and goes on with the pass over all."""
    known, _ = KnownSettings.objects.get_or_create(id=KnownSettings.ONLY)
    _catch_up(known)
    if known.complete_at == known.pass_started_at and known.complete_at < timezone.now() - PASS_EVERY:
        known.pass_started_at, known.pass_at = timezone.now(), None
    ends = time.monotonic() + seconds
    while known.complete_at != known.pass_started_at and time.monotonic() < ends:
        _go_on(known)


def _catch_up(known: KnownSettings) -> None:
    now, start = timezone.now(), known.until - LATE
    while end := _end_of_chunk(start):
        _look_through(known, "created_at > %(start)s AND created_at <= %(end)s", start=start, end=end)
        start = end
    _look_through(known, "created_at > %(start)s", start=start)
    known.until = now
    known.save()


@transaction.atomic
def _go_on(known: KnownSettings) -> None:
    """One more chunk of the pass; the last has also what has no date."""
    start = known.pass_at
    end = _end_of_chunk(start)
    if start is None:
        _look_through(known, "created_at IS NULL")
    spans = ["created_at > %(start)s"] * (start is not None) + ["created_at <= %(end)s"] * (end is not None)
    _look_through(known, " AND ".join(spans) or "created_at IS NOT NULL", start=start, end=end)
    known.pass_at = end
    if end is None:
        SettingValue.objects.filter(seen_at__lt=known.pass_started_at - _restorable_for() - LATE).delete()
        known.complete_at = known.pass_started_at
    known.save()


def _restorable_for() -> timedelta:
    """For which an asset that has left may come back, as old as it was."""
    return timedelta(hours=settings.PURGE_GRACE_HOURS)


def _end_of_chunk(start: datetime | None) -> datetime | None:
    """The time up to which a chunk of assets follows; None if fewer are left."""
    beyond = "created_at > %(start)s AND" if start else ""
    with connection.cursor() as cursor:
        cursor.execute(
            # Of the times that a calendar of Python's has.
            f"SELECT greatest(created_at, '1900-01-01') FROM workspace_assets"  # noqa: S608 (ours)
            f" WHERE {beyond} created_at <= now() ORDER BY created_at OFFSET {_CHUNK} LIMIT 1",
            {"start": start},
        )
        found = cursor.fetchone()
    return found[0] if found else None


_LOOK = """
    WITH outer_ AS (
        SELECT DISTINCT key, value FROM (
            SELECT generation_settings FROM workspace_assets
            WHERE {span} AND jsonb_typeof(generation_settings) = 'object'
        ) AS assets, jsonb_each(generation_settings)
        WHERE key <> ALL (%(unlisted)s)
    ),
    every AS (
        SELECT key, NULL AS inner_key, value FROM outer_
        WHERE jsonb_typeof(value) <> 'object' OR value = '{{}}'
        UNION ALL
        SELECT outer_.key, inner_.key, inner_.value FROM outer_,
            jsonb_each(CASE WHEN jsonb_typeof(outer_.value) = 'object' THEN outer_.value END) AS inner_
    ),
    found AS (
        SELECT DISTINCT key,
            CASE WHEN jsonb_typeof(value) IN ('object', 'array')
                      OR octet_length(concat(inner_key, value)) > %(bytes)s THEN NULL
                 WHEN inner_key IS NULL THEN jsonb_build_object(key, value)
                 ELSE jsonb_build_object(key, jsonb_build_object(inner_key, value)) END AS settings
        FROM every
    )
    SELECT key, count(settings) = count(*) AND count(*) <= %(values)s,
        (array_agg(settings::text))[:%(values)s]
    FROM found WHERE octet_length(key) <= %(bytes)s GROUP BY key
    UNION ALL SELECT NULL, NULL, NULL WHERE EXISTS (SELECT FROM found WHERE octet_length(key) > %(bytes)s)
"""
_KEEP = """
    INSERT INTO assets_settingvalue (key, settings) SELECT * FROM unnest(%s::text[], %s::jsonb[])
    ON CONFLICT (settings) DO UPDATE SET seen_at = statement_timestamp()
"""


@transaction.atomic
def _look_through(known: KnownSettings, span: str, **bounds: datetime | None) -> None:
    keys = dict(SettingKey.objects.values_list("key", "is_listed"))
    limits = {"bytes": MOST_BYTES, "values": MOST_VALUES}
    unlisted = [key for key, is_listed in keys.items() if not is_listed]
    with connection.cursor() as cursor:
        cursor.execute(_LOOK.format(span=span), {"unlisted": unlisted, **limits, **bounds})
        found = cursor.fetchall()
        kept = [row for row in found if row[0] in keys]
        new = [row for row in found if row[0] not in keys and row[0] is not None]
        kept += new[: MOST_KEYS - len(keys)]
        known.has_other_keys |= len(kept) < len(found)
        _keep_keys(kept)
        named = [(key, value) for key, is_listed, values in kept if is_listed for value in values]
        if named:
            cursor.execute(_KEEP, [list(column) for column in zip(*named, strict=True)])
    _unlist_the_many(key for key, _, _ in kept)


def _keep_keys(found: list[tuple]) -> None:
    SettingKey.objects.bulk_create(
        [SettingKey(key=key, is_listed=is_listed) for key, is_listed, _ in found], ignore_conflicts=True
    )
    unlisted = [key for key, is_listed, _ in found if not is_listed]
    SettingKey.objects.filter(key__in=unlisted).update(is_listed=False)
    SettingValue.objects.filter(key__in=unlisted).delete()


def _unlist_the_many(keys: Iterable[str]) -> None:
    """Those of which too many values are known by now."""
    values = SettingValue.objects.filter(key__in=list(keys)).values("key")
    for many in values.annotate(number=Count("settings")).filter(number__gt=MOST_VALUES):
        _keep_keys([(many["key"], False, [])])
