"""Any sequence of what happens to assets, cut off anywhere, against the promises of the design.

Hypothesis chooses what is done, to which assets, and after how many steps the process dies. What must
always hold is asked of the real database and the real stores after each of them.
"""

import contextlib
import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from unittest import mock
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from assets import dispositions
from assets.departure_trigger import RECORDED
from assets.models import WorkspaceAsset
from assets.outcomes import State
from assets.purge import purge
from assets.reconcile import reconcile
from assets.storage import LIBRARY, WORKSPACE, PathFault, key_of, thumbnail_beside
from assets.stores import folders
from tests import stores
from tests.factories import make_job, make_user

# --- The end of a process ------------------------------------------------------


class Crash(BaseException):
    """The process is dead: no handler of errors is to mend anything."""


class Fuse:
    """Lets so many steps pass, and none after that: what would tidy up is dead as well."""

    def __init__(self, steps):
        self.steps = steps
        self.lock = threading.Lock()  # files are copied by several threads

    def burn(self):
        with self.lock:
            if self.steps == 0:
                raise Crash
            self.steps -= 1

    def guard(self, function):
        def guarded(*args, **kwargs):
            self.burn()
            result = function(*args, **kwargs)
            self.burn()
            return result

        return guarded


@contextlib.contextmanager
def crash_after(steps):
    """Ends what is done inside after so many steps: statements, commits, and changes to files."""
    fuse = Fuse(steps)
    database = connections["default"]
    really_commit = database._commit

    def commit():
        try:
            fuse.burn()
        except Crash:
            database.connection.rollback()  # as the server does when its client is gone
            raise
        really_commit()
        fuse.burn()

    def execute(execute, sql, params, many, context):
        try:
            return fuse.guard(execute)(sql, params, many, context)
        except Crash:
            # Django closes a server's cursor after errors only, and one left open warns when it is collected.
            context["cursor"].close()
            raise

    with contextlib.ExitStack() as stack:
        stack.enter_context(stores.changes_by(fuse.guard))
        for owner, name in ((os, "replace"), (os, "remove"), (os, "unlink"), (folders, "_write")):
            stack.enter_context(mock.patch.object(owner, name, fuse.guard(getattr(owner, name))))
        stack.enter_context(mock.patch.object(database, "_commit", commit))
        stack.enter_context(database.execute_wrapper(execute))
        yield


# --- Rows ------------------------------------------------------------------------

COLUMNS = [column.column for column in WorkspaceAsset._meta.concrete_fields]
WITHOUT_EXPIRY = [name for name in COLUMNS if name != "expires_at"]
LIVE = f"SELECT {', '.join(f'{name}::text' for name in COLUMNS)} FROM workspace_assets"
# A null of JSON in the settings is told from one of SQL by being there.
IN_LEDGER = ", ".join(
    "(row -> 'generation_settings')::text" if name == "generation_settings" else f"((asset).{name})::text"
    for name in COLUMNS
)
LEDGER = f"""
    SELECT entry.id, asset_id, action, restored_at IS NOT NULL, purged_at IS NOT NULL,
           coalesce(purge_after > statement_timestamp(), true), saved, {IN_LEDGER}
    FROM (
        SELECT *, jsonb_populate_record(NULL::workspace_assets, row) AS asset FROM assets_disposition
    ) AS entry ORDER BY entry.id
"""

HEADS = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpg": b"\xff\xd8\xff\xe0",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm",
    "bin": b"bytes of no known format ",
}
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def sql(statement, *params):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def spell_plainly(key):
    return key


def spell_with_bucket(key):
    return f"workspace-temp/{key}"


def spell_as_address(key):
    return f"https://storage.example/storage/v1/object/sign/workspace-temp/{quote(key)}?token=a.b/c"


SPELLINGS = st.sampled_from([spell_plainly, spell_with_bucket, spell_as_address])


def key_or_none(path):
    try:
        return key_of(path, WORKSPACE.bucket)
    except PathFault:
        return None


@dataclass
class Entry:
    """One row of the ledger."""

    id: int
    asset_id: UUID
    action: str
    restored: bool
    purged: bool
    in_time: bool
    saved: dict | None
    row: dict = field(repr=False)

    @property
    def is_restorable(self):
        return self.in_time and not self.purged and not self.restored


def ledger():
    found = sql(LEDGER)
    return [
        Entry(*values[:6], values[6] and json.loads(values[6]), dict(zip(COLUMNS, values[7:], strict=True)))
        for values in found
    ]


def live_rows():
    rows = (dict(zip(COLUMNS, values, strict=True)) for values in sql(LIVE))
    return {UUID(row["id"]): row for row in rows}


def file_keys_of(row):
    """The keys that a row of the workspace names: its file, its thumbnail, and the one beside the file."""
    key = key_or_none(row["temp_storage_path"])
    thumbnail = key_or_none(row["thumbnail_path"] or "")
    return [each for each in (key, thumbnail, key and thumbnail_beside(key)) if each]


# --- The machine -------------------------------------------------------------------

PICKS = st.lists(st.integers(0, 30), min_size=1, max_size=4)
CRASHES = st.none() | st.integers(0, 9) | st.integers(10, 40)
SETTINGS = st.sampled_from(
    [None, "null", "{}", '{"steps": 30, "guidance_scale": 7.50}', '[1, "a"]', '"text"']
)


class Lifecycle(RuleBasedStateMachine):
    def __init__(self, home, actor):
        super().__init__()
        self.home, self.actor = home, actor
        self.rows = {}  # every asset ever inserted, as it must come back
        self.written = {}  # every file ever written to the workspace, by key
        self.thumbnails = {}  # of every asset that was to be saved, as it was then
        self.crashed = False
        empty_tables()
        stores.empty(home)
        self.user = make_user()
        self.job = make_job(self.user)
        (home / "outside.png").write_bytes(b"no business of the dashboard")

    # What others do

    @initialize()
    def begin_with_an_asset(self):
        self.insert(SPELLED, "beside", "{}", "png", None, False, False)

    @rule(
        place=st.one_of(
            st.tuples(st.just("own"), SPELLINGS),
            st.tuples(st.just("shared"), SPELLINGS),
            st.sampled_from([("missing", spell_plainly), ("", None), ("../outside.png", None)]),
        ),
        thumbnail=st.sampled_from(["given", "beside", "both", "missing", "outside", None]),
        settings=SETTINGS,
        kind=st.sampled_from(sorted(HEADS)),
        duration=st.sampled_from([None, "NaN", "4.125"]),
        never_expires=st.booleans(),
        orphaned=st.booleans(),
    )
    def insert(self, place, thumbnail, settings, kind, duration, never_expires, orphaned):
        pk, number = uuid4(), len(self.rows)
        key, path = self.place_for(place, number)
        if key and place[0] != "missing":
            self.write(key, HEADS[kind] + str(number).encode())
        row = {
            "id": pk,
            "user_id": uuid4() if orphaned else self.user.pk,
            "asset_type": "image",
            "temp_storage_path": path,
            "file_size_bytes": 0,
            "mime_type": "image/png",
            "duration_seconds": duration,
            "job_id": uuid4() if orphaned else self.job.pk,
            "asset_index": number,
            "generation_seed": number * 2**40,
            "original_prompt": f'Žluťoučký kůň {number} \\ " \t',
            "model_used": "fal-ai/wan-i2v",
            "generation_settings": settings,
            "created_at": None if never_expires else EPOCH,
            "expires_at": None if never_expires else datetime.now(UTC) + timedelta(days=3),
            "thumbnail_path": self.thumbnail_for(thumbnail, key, number),
            "width": None if number % 2 else 640,
            "height": None,
        }
        values = ", ".join(["%s"] * len(COLUMNS))
        sql(f"INSERT INTO workspace_assets ({', '.join(COLUMNS)}) VALUES ({values})", *row.values())
        self.rows[pk] = live_rows()[pk]
        for named in file_keys_of(self.rows[pk]):
            if named in self.written:  # whoever inserts a row sees to its files
                self.write(named, self.written[named])

    def place_for(self, place, number):
        how, spell = place
        if spell is None:
            return None, how
        shared = [key for key in self.written if not key.endswith(".thumb.webp")]
        key = f"user {number % 3}/job/{number}.png"
        if how == "shared" and shared:
            key = shared[number % len(shared)]
        return key, spell(key)

    def thumbnail_for(self, thumbnail, key, number):
        if key and thumbnail in ("beside", "both"):
            self.write(thumbnail_beside(key), b"a thumbnail beside " + str(number).encode())
        if thumbnail in ("given", "both"):
            given = f"thumbs/{number} given.webp"
            self.write(given, b"a thumbnail given " + str(number).encode())
            return spell_as_address(given) if number % 2 else given
        return {"missing": "thumbs/missing.webp", "outside": "../outside.png"}.get(thumbnail)

    def write(self, key, content):
        path = self.home / "workspace" / key
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.written.setdefault(key, content))

    @rule(picks=PICKS)
    def delete_by_other_hands(self, picks):
        sql("DELETE FROM workspace_assets WHERE id = ANY(%s)", list(self.some(picks)))

    @rule(picks=PICKS)
    def let_time_pass_for_assets(self, picks):
        ids = self.some(picks)
        sql(
            "UPDATE workspace_assets SET expires_at = expires_at - interval '8 days' WHERE id = ANY(%s)",
            list(ids),
        )
        live = live_rows()
        for pk in ids & live.keys():
            self.rows[pk]["expires_at"] = live[pk]["expires_at"]

    @rule(all_of_them=st.booleans(), picks=PICKS)
    def let_the_grace_run_out(self, all_of_them, picks):
        columns = ("disposed_at", "purge_after", "retry_at")
        passed = ", ".join(f"{name} = {name} - interval '2 days'" for name in columns)
        ids = list(self.rows)
        if not all_of_them:
            ids = [ids[pick % len(ids)] for pick in picks]
        sql(f"UPDATE assets_disposition SET {passed} WHERE asset_id = ANY(%s)", ids)

    # What the dashboard does

    @rule(picks=PICKS, steps=CRASHES)
    def promote(self, picks, steps):
        live = live_rows()
        expected = {}
        for pk in self.some(picks):
            if pk in live:
                _, *thumbnails = file_keys_of(self.rows[pk]) or [None]
                self.thumbnails[pk] = next(filter(None, map(self.written.get, thumbnails)), None)
            has_file = key_or_none(self.rows[pk]["temp_storage_path"]) in self.written
            expected[pk] = (State.DONE if has_file else State.FAILED) if pk in live else State.GONE
        self.act(dispositions.promote, expected, steps)

    @rule(picks=PICKS, steps=CRASHES)
    def delete(self, picks, steps):
        live = live_rows()
        expected = {pk: State.DONE if pk in live else State.GONE for pk in self.some(picks)}
        self.act(dispositions.delete, expected, steps)

    @rule(picks=PICKS, steps=CRASHES)
    def extend(self, picks, steps):
        live = live_rows()
        expected = {pk: State.DONE if pk in live else State.GONE for pk in self.some(picks)}
        self.act(dispositions.extend, expected, steps)
        self.accept_seven_days(expected)

    @rule(picks=PICKS, steps=CRASHES)
    def restore(self, picks, steps):
        entries = ledger()
        if not entries:
            return
        chosen = {entry.asset_id: entry for entry in (entries[pick % len(entries)] for pick in sorted(picks))}
        latest = {pk: max((e for e in entries if e.asset_id == pk), key=lambda e: e.id) for pk in chosen}
        expected = {pk: State.DONE if e.is_restorable else State.FAILED for pk, e in latest.items()}
        self.act(
            lambda _, **kwargs: dispositions.restore([e.id for e in latest.values()], **kwargs),
            expected,
            steps,
        )
        late = {pk for pk in expected if (self.rows[pk]["expires_at"] or "9") <= str(datetime.now(UTC))}
        self.accept_seven_days(late)

    @rule(steps=CRASHES, batch=st.sampled_from([1, 2, 1000]))
    def expire(self, steps, batch):
        before = live_rows()
        expired = {
            pk for (pk,) in sql("SELECT id FROM workspace_assets WHERE expires_at <= statement_timestamp()")
        }
        done = self.unless_it_crashes(lambda: dispositions.expire(batch=batch), steps)
        left = before.keys() - live_rows().keys()
        assert left <= expired
        if done:
            assert (left, done) == (expired, (len(expired), 0))

    @rule(steps=CRASHES, batch=st.sampled_from([1, 2, 200]), late=st.booleans())
    def purge(self, steps, batch, late):
        if late:
            self.let_the_grace_run_out(True, [])
        purged = self.unless_it_crashes(lambda: purge(batch=batch), steps)
        if purged:
            assert purged.failed == 0
            pending = sql(
                "SELECT count(*) FROM assets_disposition WHERE purged_at IS NULL"
                " AND (restored_at IS NULL OR action = 'promoted')"
                " AND coalesce(retry_at, purge_after, '-infinity') <= statement_timestamp()"
            )
            assert pending == [(0,)]

    def act(self, verb, expected, steps):
        """Has a verb act, and holds what it says, and what it has recorded, against what was to be."""
        recorded = {}
        outcomes = self.unless_it_crashes(
            lambda: verb(list(expected), actor=self.actor, record=recorded.update), steps
        )
        if outcomes is not None:
            assert {pk: outcome.state for pk, outcome in outcomes.items()} == expected
            assert recorded == outcomes
            assert all(outcome.reason for outcome in outcomes.values() if outcome.state == State.FAILED)

    def unless_it_crashes(self, action, steps):
        if steps is None:
            return action()
        try:
            with crash_after(steps):
                return action()
        except Crash:
            self.crashed = True
            assert not connection.in_atomic_block
            assert sql("SELECT 1") == [(1,)]
            return None

    def accept_seven_days(self, ids):
        """A new expiry that was to be expected, though a crash may have come before it."""
        live = live_rows()
        for pk in set(ids) & live.keys():
            if live[pk]["expires_at"] != self.rows[pk]["expires_at"]:
                until = datetime.fromisoformat(live[pk]["expires_at"]) - datetime.now(UTC)
                assert abs(until - timedelta(days=7)) < timedelta(minutes=1)
                self.rows[pk]["expires_at"] = live[pk]["expires_at"]

    def some(self, picks):
        """Assets to act on: most of them those that are there."""
        everything = list(self.rows)
        live = live_rows()
        there = [pk for pk in everything if pk in live] or everything
        chosen = (there if pick < 24 else everything for pick in picks)
        return {ids[pick % len(ids)] for ids, pick in zip(chosen, picks, strict=True)}

    # What must always hold

    @invariant()
    def each_asset_is_in_one_place_with_all_that_it_had(self):
        live, entries = live_rows(), ledger()
        library = dict(sql("SELECT id, storage_path FROM user_library"))
        left = Counter(e.asset_id for e in entries if not e.restored and e.action != "promoted")
        saved = Counter(e.asset_id for e in entries if not e.restored and e.action == "promoted")
        for pk, row in self.rows.items():
            places = (pk in live, left[pk], saved[pk])
            assert sum(places) == 1, (pk, places)
            assert (pk in library) == bool(saved[pk])
            if pk in live:
                assert live[pk] == row
        for entry in entries:
            expected = self.rows[entry.asset_id]
            assert {name: entry.row[name] for name in WITHOUT_EXPIRY} == {
                name: expected[name] for name in WITHOUT_EXPIRY
            }
            if not entry.restored:
                assert entry.row["expires_at"] == expected["expires_at"]
        assert live.keys() | library.keys() <= self.rows.keys()

    @invariant()
    def no_file_is_removed_that_is_still_meant(self):
        meant = list(live_rows().values()) + [entry.row for entry in ledger() if entry.is_restorable]
        for row in meant:
            for key in file_keys_of(row):
                if key in self.written:
                    assert (self.home / "workspace" / key).read_bytes() == self.written[key], row
        assert (self.home / "outside.png").exists()

    @invariant()
    def what_is_saved_has_its_bytes_once(self):
        copies = Counter(
            path.name.partition(".")[0]
            for path in (self.home / "library").rglob("[!.]*.*")
            if not path.name.endswith(".thumb.webp")
        )
        assert not [name for name, number in copies.items() if number > 1]
        for pk, path, thumbnail, size in sql(
            "SELECT id, storage_path, thumbnail_path, file_size_bytes FROM user_library"
        ):
            content = (self.home / "library" / path).read_bytes()
            assert (content, size) == (self.written[file_keys_of(self.rows[pk])[0]], len(content))
            copied = thumbnail and (self.home / "library" / thumbnail).read_bytes()
            assert copied == self.thumbnails[pk]

    @invariant()
    def every_file_is_named_or_reported(self):
        workspace, library = set(), set()
        for row in live_rows().values():
            workspace.update(file_keys_of(row))
        for entry in ledger():
            if not entry.purged and not entry.restored:
                workspace.update(file_keys_of(entry.row))
            if not entry.purged and entry.restored and entry.action == "promoted":
                copies = (entry.saved["file"], entry.saved["thumbnail"])
                library.update(copied["key"] for copied in copies if copied)
        for paths in sql("SELECT storage_path, thumbnail_path FROM user_library"):
            library.update(filter(None, paths))
        unnamed = {("workspace", file.key) for file in WORKSPACE.walk() if file.key not in workspace}
        unnamed |= {("library", file.key) for file in LIBRARY.walk() if file.key not in library}
        assert self.crashed or not unnamed
        report = reconcile(remove=False, limit=0)
        assert {(orphan.store, orphan.key) for orphan in report.some_orphans} == unnamed

    def teardown(self):
        """In the end nothing is left that a living row does not name, other than what crashes left."""
        self.purge(None, 200, True)
        self.each_asset_is_in_one_place_with_all_that_it_had()
        self.no_file_is_removed_that_is_still_meant()
        self.what_is_saved_has_its_bytes_once()
        self.every_file_is_named_or_reported()


SPELLED = ("own", spell_with_bucket)


def empty_tables():
    with transaction.atomic():
        sql("SELECT set_config(%s, 'on', true)", RECORDED)
        for table in ("workspace_assets", "user_library", "assets_disposition", "assets_extension"):
            sql(f"DELETE FROM {table}")


@pytest.fixture
def _unenforced_keys(transactional_db):
    """Without foreign keys for the test, and with them again after it: nothing here is rolled back."""
    find = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE"
        " conrelid IN ('workspace_assets'::regclass, 'user_library'::regclass) AND contype = 'f' ORDER BY 2"
    )
    constraints = sql(find)
    for table, name, _ in constraints:
        sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    yield
    empty_tables()
    for table, name, definition in constraints:
        sql(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    assert sql(find) == constraints


@pytest.mark.usefixtures("_unenforced_keys")
@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_whatever_is_done_and_wherever_it_is_cut_off(store_folders):
    actor = User.objects.create(username="admin")
    run_state_machine_as_test(
        lambda: Lifecycle(store_folders, actor),
        settings=hypothesis_settings(
            max_examples=12 if stores.ON_S3 else 40,  # every file is a request there
            stateful_step_count=25,
            deadline=None,
            derandomize=False,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
