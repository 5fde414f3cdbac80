"""What benchmarks stand on: a bare connection, rows, progress, time."""

import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from uuid import UUID, uuid4

import psycopg
from django.contrib.auth.models import User
from django.core.management import call_command
from psycopg_pool import ConnectionPool

from assets.departure_trigger import RECORDED
from bench import DATA_DIR
from workspace import localpg

FILL_BATCH = 5_000
FILL_AT_ONCE = 4
WORKSPACE_FILES, LIBRARY_FILES = DATA_DIR / "workspace", DATA_DIR / "library"


def connect() -> psycopg.Connection:
    """A connection that owes nothing to Django, and whose deletes the trigger leaves alone."""
    url = localpg.ensure(DATA_DIR / "postgres", "workspace")
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
    connection.execute(f"SET {RECORDED} = 'on'")
    return connection


def reset(bare: psycopg.Connection) -> None:
    """Nothing is left: no row, no file."""
    call_command("migrate", verbosity=0)
    bare.execute(
        "TRUNCATE workspace_assets, user_library, jobs, profiles, assets_disposition, assets_extension,"
        " assets_operationitem, assets_operation RESTART IDENTITY"
    )
    for folder in (WORKSPACE_FILES, LIBRARY_FILES, DATA_DIR / "previews"):
        shutil.rmtree(folder, ignore_errors=True)


def actor() -> User:
    return User.objects.get_or_create(username="bench")[0]


# --- Rows ----------------------------------------------------------------------

_JOBS = """
    INSERT INTO jobs (id, user_id)
    SELECT md5(%(user)s::text || job)::uuid, %(user)s::uuid
    FROM generate_series(%(first)s / 4, (%(last)s - 1) / 4) AS job
"""
_ASSETS = """
    INSERT INTO workspace_assets (
        user_id, asset_type, temp_storage_path, file_size_bytes, mime_type, job_id, asset_index,
        generation_seed, original_prompt, model_used, generation_settings, created_at, expires_at,
        thumbnail_path, width, height
    )
    SELECT %(user)s::uuid, 'image', %(folder)s || '/' || n || '.png', 200000 + n %% 2800000, 'image/png',
           md5(%(user)s::text || n / 4)::uuid, n %% 4, hashint8(n)::bigint + 2147483648,
           concat_ws(' ', 'a', w[1 + n %% 16], w[1 + n / 16 %% 16], 'by the', w[1 + n / 256 %% 16],
                     'in', w[1 + n / 7 %% 16], 'light,', w[1 + n / 11 %% 16], w[1 + n / 13 %% 16]),
           'model-' || n %% 12,
           jsonb_build_object('steps', 20 + n %% 30, 'guidance_scale', n %% 20 / 2.0, 'scene_id', n / 50),
           now() - n * interval '100 ms', now() + %(expires_in)s::interval - n * interval '1 ms',
           CASE WHEN %(thumbnails)s THEN %(folder)s || '/' || n || '.thumb.webp' END, 1024, 1024
    FROM generate_series(%(first)s, %(last)s - 1) AS n, (SELECT %(words)s::text[] AS w) AS words
"""
_WORDS = (
    *("harbour", "lighthouse", "forest", "mountain", "river", "garden", "street", "market"),
    *("golden", "misty", "quiet", "crowded", "winter", "summer", "portrait", "landscape"),
)


def fill(
    bare: psycopg.Connection,
    rows: int,
    *,
    expired: bool = False,
    folder: str = "",
    thumbnails: bool = True,
    label: str = "",
) -> UUID:
    """So many assets of a new user, four to a job; returns the user."""
    user = uuid4()
    bare.execute("INSERT INTO profiles (id, username) VALUES (%s, %s)", [user, f"bench-{user}"])
    params = {
        "user": str(user),
        "folder": folder or str(user),
        "expires_in": "-1 hour" if expired else "6 days",
        "thumbnails": thumbnails,
        "words": list(_WORDS),
    }
    progress = Progress(label, rows) if label else None

    def enter(first: int) -> int:
        batch = params | {"first": first, "last": min(first + FILL_BATCH, rows)}
        with pool.connection() as connection, connection.transaction():
            connection.execute(_JOBS, batch)
            connection.execute(_ASSETS, batch)
        return batch["last"] - batch["first"]

    with (
        ConnectionPool(bare.info.dsn, min_size=1, max_size=FILL_AT_ONCE) as pool,
        ThreadPoolExecutor(FILL_AT_ONCE) as threads,
    ):
        for done in accumulate(threads.map(enter, range(0, rows, FILL_BATCH))):
            if progress:
                progress.show(done)
    return user


def ids_of(bare: psycopg.Connection, user: UUID) -> list[UUID]:
    found = bare.execute("SELECT id FROM workspace_assets WHERE user_id = %s ORDER BY id", [user])
    return [pk for (pk,) in found]


def count(bare: psycopg.Connection, sql: str, *params: object) -> int:
    return bare.execute(sql, params).fetchone()[0]


# --- Progress and time ------------------------------------------------------------


class Progress:
    """A line that fills on a terminal; elsewhere one line when it begins."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.on_terminal = label, max(total, 1), sys.stderr.isatty()
        if not self.on_terminal:
            sys.stderr.write(f"{label} …\n")
        self.show(0)

    def show(self, done: int) -> None:
        if not self.on_terminal:
            return
        filled = "█" * (24 * done // self.total)
        end = "\n" if done >= self.total else ""
        sys.stderr.write(f"\r  {filled.ljust(24, '░')} {done:,} of {self.total:,}  {self.label}{end}")
        sys.stderr.flush()


class Stopwatch:
    """The seconds that a with block took."""

    seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self._begun = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._begun
