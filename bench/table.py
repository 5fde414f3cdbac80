"""The table that pages are measured on: filled once, and used again as long as it is fresh."""

import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate, pairwise

import psycopg
from django.core.management import call_command
from django.db import connection
from django.db.models import Index, Model, UniqueConstraint

from assets import known_settings, rollups
from assets.models import Job, Refresh, Rollup, WorkspaceAsset
from assets.models.known_settings import KnownSettings, SettingKey, SettingValue
from assets.models.upstream import ASSET_LIFETIME
from bench.ground import Progress, actor, connect
from bench.rows import ASSET_COLUMNS, JOB_COLUMNS, Batch, rows_of, user_ids

# ruff: noqa: S608  (numbers and names of ours)

BATCH = 10_000  # assets
REVIEWED, DEPARTED = 100, 50  # one asset in so many
STALE = timedelta(hours=24)  # what "expires in 24 hours" finds is another share of the table by then
LOOK_SECONDS = 3_600  # at most; all that a worker would have looked at within the day
FILLED = ("workspace_assets", "jobs", "profiles", "assets_review", "assets_disposition")
LOOKED_UP = tuple(
    model._meta.db_table for model in (Rollup, Refresh, KnownSettings, SettingKey, SettingValue)
)


def build(rows: int) -> datetime:
    """Makes the table unless it is there and fresh, with what is counted of it; returns when it was made."""
    call_command("migrate", verbosity=0)
    bare = connect()
    made_at = _build(bare, rows)
    _say("Doing what the worker does in the background: counting the table, looking at its settings …")
    rollups.refresh(anew=True)
    known_settings.look(seconds=LOOK_SECONDS)
    for table in LOOKED_UP:
        bare.execute(f"VACUUM (ANALYZE) {table}")
    return made_at


def _build(bare: psycopg.Connection, rows: int) -> datetime:
    bare.execute("CREATE TABLE IF NOT EXISTS bench_table (rows bigint, made_at timestamptz)")
    made = bare.execute("SELECT made_at FROM bench_table WHERE rows = %s", [rows]).fetchone()
    if made and datetime.now(UTC) - made[0] < STALE:
        _say(f"The table of {rows:,} rows is there, made {made[0]:%d %B %H:%M} UTC.")
        _make_missing_indexes(bare)
        return made[0]
    if made:
        _say(f"The table of {rows:,} rows is older than {STALE.days * 24} hours, so it is made anew.")
    return _rebuild(bare, rows)


def _rebuild(bare: psycopg.Connection, rows: int) -> datetime:
    made_at = datetime.now(UTC)
    bare.execute(f"TRUNCATE bench_table, {', '.join((*FILLED, *LOOKED_UP))} CASCADE")
    for setting in ("max_wal_size = '16GB'", "checkpoint_timeout = '30min'"):
        bare.execute(f"ALTER SYSTEM SET {setting}")
    bare.execute("SELECT pg_reload_conf()")
    _drop_indexes(bare)
    _copy(bare, "profiles", "id, username", [f"{pk}\tuser-{n:05}\n" for n, pk in enumerate(user_ids())])
    _fill(batches(rows, made_at))
    _make_missing_indexes(bare)
    _fill_beside(bare)
    for table in FILLED:
        bare.execute(f"VACUUM (ANALYZE) {table}")
    bare.execute("INSERT INTO bench_table VALUES (%s, %s)", [rows, made_at])
    bare.execute("CHECKPOINT")
    return made_at


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


# --- Rows ----------------------------------------------------------------------


def batches(rows: int, end: datetime) -> list[Batch]:
    """The seven days before an instant, divided so that each batch has about as many assets."""
    number = max(1, round(rows / BATCH))
    length = ASSET_LIFETIME / number
    edges = pairwise(rows * edge // number for edge in range(number + 1))
    return [
        Batch(index, last - first, end - length * (number - index), length)
        for index, (first, last) in enumerate(edges)
    ]


def _fill(wanted: list[Batch]) -> None:
    progress = Progress("rows", sum(batch.assets for batch in wanted))
    with ProcessPoolExecutor(os.cpu_count() or 1) as processes:
        for done in accumulate(processes.map(_fill_batch, wanted)):
            progress.show(done)


def _fill_batch(batch: Batch) -> int:
    jobs, assets = rows_of(batch)
    bare = _connection_of_process()
    with bare.transaction():
        _copy(bare, "jobs", JOB_COLUMNS, jobs)
        _copy(bare, "workspace_assets", ASSET_COLUMNS, assets)
    return len(assets)


@lru_cache
def _connection_of_process() -> psycopg.Connection:
    bare = connect()
    bare.execute("SET session_replication_role = replica")  # checks no foreign keys, of which all are right
    bare.execute("SET synchronous_commit = off")
    return bare


def _copy(bare: psycopg.Connection, table: str, columns: str, lines: Iterable[str]) -> None:
    with bare.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        copy.write("".join(lines))


def _fill_beside(bare: psycopg.Connection) -> None:
    """Reviews of assets that are here, and what the ledger has of a week."""
    bare.execute(f"""
        INSERT INTO assets_review (asset_id, verdict, note, reviewer_id, reviewed_at)
        SELECT id, CASE WHEN generation_seed % 5 = 0 THEN 'flagged' ELSE 'approved' END, '',
               {actor().pk}, created_at
        FROM workspace_assets WHERE generation_seed % {REVIEWED} = 0
    """)
    bare.execute(f"""
        INSERT INTO assets_disposition (asset_id, user_id, action, row, disposed_at, purged_at)
        SELECT gen_random_uuid(), user_id,
               (ARRAY['expired', 'deleted', 'promoted'])[1 + generation_seed % 3],
               jsonb_build_object('asset_type', asset_type, 'file_size_bytes', file_size_bytes), created_at,
               now()
        FROM workspace_assets WHERE generation_seed % {DEPARTED} = 1
    """)


# --- Indexes -------------------------------------------------------------------


def _indexes() -> Iterator[tuple[type[Model], Index | UniqueConstraint]]:
    for model in (Job, WorkspaceAsset):
        unique = [each for each in model._meta.constraints if isinstance(each, UniqueConstraint)]
        for each in (*model._meta.indexes, *unique):
            yield model, each


def _drop_indexes(bare: psycopg.Connection) -> None:
    """Filling a table is quicker without."""
    for model, each in _indexes():
        if isinstance(each, UniqueConstraint):
            bare.execute(f"ALTER TABLE {model._meta.db_table} DROP CONSTRAINT IF EXISTS {each.name}")
        else:
            bare.execute(f"DROP INDEX IF EXISTS {each.name}")


def _make_missing_indexes(bare: psycopg.Connection) -> None:
    missing = [
        (model, each)
        for model, each in _indexes()
        if bare.execute("SELECT to_regclass(%s)", [each.name]).fetchone() == (None,)
    ]
    if not missing:
        return
    bare.execute("SET maintenance_work_mem = '1GB'")
    progress = Progress("indexes", len(missing))
    with connection.schema_editor(collect_sql=True) as editor:
        for done, (model, each) in enumerate(missing, 1):
            bare.execute(str(each.create_sql(model, editor)))
            progress.show(done)
    bare.execute("ANALYZE workspace_assets, jobs")
