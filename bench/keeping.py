"""Saving, extending, undoing, purging."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from uuid import UUID

import psycopg

from assets import bulk, dispositions, purge
from assets.models import Operation
from bench.ground import LIBRARY_FILES, WORKSPACE_FILES, Progress, Stopwatch, actor, count, fill, ids_of
from bench.leaving import run_operation
from bench.report import Finding

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
SMALLEST, LARGEST = 200_000, 3_000_000  # bytes
SAVING_ROUNDS = 5
PURGE_ROUNDS = 2

# --- Saving ------------------------------------------------------------------

_ENTER_BY_HAND = """
    INSERT INTO user_library (
        id, user_id, asset_type, storage_path, file_size_bytes, mime_type, duration_seconds, original_prompt,
        model_used, generation_seed, width, height
    )
    SELECT id, user_id, asset_type, %(key)s, file_size_bytes, mime_type, duration_seconds, original_prompt,
           model_used, generation_seed, width, height
    FROM workspace_assets WHERE id = %(id)s
"""


def saving(bare: psycopg.Connection, assets: int) -> Iterator[Finding]:
    size = _draw_files(assets)
    progress = Progress("saving, against doing it by hand", 2 * SAVING_ROUNDS)
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * SAVING_ROUNDS):
        ours = number % 4 in (0, 3)
        user = fill(bare, assets, folder="saving", thumbnails=False)
        shutil.rmtree(LIBRARY_FILES, ignore_errors=True)
        os.sync()  # what an earlier round wrote holds up no later one
        with Stopwatch() as watch:
            if ours:
                run_operation(Operation.Action.PROMOTE, user)
            else:
                _save_by_hand(bare, user)
        times[ours].append(watch.seconds)
        _check_saved(bare, user, assets, size)
        progress.show(number + 1)
    ratio = median(our / their for our, their in zip(times[True], times[False], strict=True))
    name = f"saving {assets:,} assets, {size / 1e6:,.0f} MB"
    bar = ratio <= 1.5
    yield Finding(name, "s", median(times[True]), median(times[False]), "by hand", ratio, "at most 1.5", bar)


def _draw_files(number: int) -> int:
    folder, sizes = WORKSPACE_FILES / "saving", random.Random(7)  # noqa: S311 (sizes)
    folder.mkdir(parents=True)
    progress, total = Progress("files to save", number), 0
    for n in range(number):
        size = sizes.randint(SMALLEST, LARGEST)
        (folder / f"{n}.png").write_bytes(PNG_HEAD + os.urandom(size - len(PNG_HEAD)))
        total += size
        progress.show(n + 1)
    return total


def _save_by_hand(bare: psycopg.Connection, user: UUID) -> None:
    """What somebody in a hurry would write: no checksum, no ledger, no way back."""
    found = bare.execute("SELECT id, temp_storage_path FROM workspace_assets WHERE user_id = %s", [user])
    todo = found.fetchall()
    (LIBRARY_FILES / str(user)).mkdir(parents=True)
    for first in range(0, len(todo), 100):
        with bare.transaction():
            for pk, path in todo[first : first + 100]:
                key = f"{user}/{pk}.png"
                shutil.copyfile(WORKSPACE_FILES / path, LIBRARY_FILES / key)
                bare.execute(_ENTER_BY_HAND, {"id": pk, "key": key})
                bare.execute("DELETE FROM workspace_assets WHERE id = %s", [pk])


def _check_saved(bare: psycopg.Connection, user: UUID, assets: int, size: int) -> None:
    left = count(bare, "SELECT count(*) FROM workspace_assets WHERE user_id = %s", user)
    saved = count(bare, "SELECT count(*) FROM user_library WHERE user_id = %s", user)
    copied = sum(path.stat().st_size for path in (LIBRARY_FILES / str(user)).iterdir())
    if (left, saved, copied) != (0, assets, size):
        raise AssertionError(f"{left} left, {saved} of {assets} saved, {copied} of {size} bytes")


# --- Extending and undoing -----------------------------------------------------


def extending_and_undoing(bare: psycopg.Connection, rows: int) -> Iterator[Finding]:
    user = fill(bare, rows, label=f"{rows:,} rows to extend, delete and bring back")
    progress = Progress("extending, deleting, undoing", 3)
    with Stopwatch() as extending:
        run_operation(Operation.Action.EXTEND, user)
    progress.show(1)
    operation = run_operation(Operation.Action.DELETE, user)
    progress.show(2)
    with Stopwatch() as undoing:
        bulk.undo(operation, actor=actor())
        bulk.advance(operation.pk)
    progress.show(3)
    back = count(bare, "SELECT count(*) FROM workspace_assets WHERE user_id = %s", user)
    if back != rows:
        raise AssertionError(f"{back} of {rows} assets came back")
    yield Finding(f"extend by an operation, {rows:,} rows", "rows/s", rows / extending.seconds)
    yield Finding(f"undo of a delete, {rows:,} rows", "rows/s", rows / undoing.seconds)


# --- Purging --------------------------------------------------------------------


def purging(bare: psycopg.Connection, entries: int) -> Iterator[Finding]:
    each = entries // PURGE_ROUNDS
    progress = Progress("purging, against unlinking", 2 * PURGE_ROUNDS)
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * PURGE_ROUNDS):
        ours = number % 2 == 0
        paths = _left_behind(bare, each)
        os.sync()
        with Stopwatch() as watch:
            if ours:
                purge.purge()
            else:
                for path in paths:
                    os.unlink(path)  # noqa: PTH108 (the bare call)
        speeds[ours].append(each / watch.seconds)
        if any(path.exists() for path in paths):
            raise AssertionError("A file is still there")
        progress.show(number + 1)
    ours, theirs = median(speeds[True]), median(speeds[False])
    yield Finding(f"purge, {entries:,} entries", "files/s", ours, theirs, "os.unlink", ours / theirs)


def _left_behind(bare: psycopg.Connection, number: int) -> list[Path]:
    """Files of assets that expired and whose time to come back is over."""
    user = fill(bare, number, expired=True, thumbnails=False)
    folder = WORKSPACE_FILES / str(user)
    folder.mkdir(parents=True)
    paths = [folder / f"{n}.png" for n in range(number)]
    for path in paths:
        path.write_bytes(PNG_HEAD)
    ids = ids_of(bare, user)
    dispositions.expire()
    bare.execute("UPDATE assets_disposition SET purge_after = now() WHERE asset_id = ANY(%s)", [ids])
    return paths
