"""A worker killed at any moment of a bulk save or delete: nothing is lost, nothing is done twice."""

import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection, connections
from procrastinate.contrib.django.models import ProcrastinateJob

from assets import bulk, tasks
from assets.models import Disposition, LibraryAsset, Operation, WorkspaceAsset
from assets.reconcile import reconcile
from tests.cleaning import empty_queue
from tests.factories import make_assets, make_job

pytestmark = pytest.mark.django_db(transaction=True)

MANAGE = Path(__file__).parent.parent / "manage.py"
PATIENCE = 60  # seconds for a worker to take a job
ASSETS = 500
MISSING, TAKEN = 7, 5  # assets without a file, and those that another program removes meanwhile
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def data(store_folders):
    """The data folder of the test and of its workers."""
    return store_folders


# --- Killing -------------------------------------------------------------------


def kill_worker(operation, data, within):
    """A worker of its own, killed at some moment after it has taken the operation."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | {"DATABASE_URL": url.geturl(), "DATA_DIR": str(data)}
    with (data / "worker.log").open("a") as log:
        command = [sys.executable, MANAGE, "procrastinate", "worker"]
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        taken = ProcrastinateJob.objects.filter(status="doing", task_name="assets.tasks.advance_operation")
        deadline = time.monotonic() + PATIENCE
        while not taken.exists():
            assert worker.poll() is None, (data / "worker.log").read_text()
            assert time.monotonic() < deadline, (data / "worker.log").read_text()
            time.sleep(0.002)
        time.sleep(random.uniform(0, within))
    finally:
        worker.kill()
        worker.wait()
    take_up_again()


def take_up_again():
    """What the next worker does by the clock once the heart of the killed one is long still."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    async_to_sync(tasks.rescue_stalled_jobs.func)(timestamp=0)
    tasks.resume_operations(timestamp=0)


def kill_child(operation, data, within):
    """As a worker without its queue, which takes long to start."""
    connections.close_all()  # or the child would share them
    child = multiprocessing.get_context("fork").Process(target=bulk.advance, args=[operation.pk])
    child.start()
    time.sleep(random.uniform(0, within))
    child.kill()
    child.join()


# --- What there is ---------------------------------------------------------------


def make_files(data, assets):
    """A file of its own for each asset, with a thumbnail for every tenth; returns the bytes."""
    contents = {}
    for number, asset in enumerate(assets):
        path = data / "workspace" / asset.temp_storage_path
        path.parent.mkdir(parents=True, exist_ok=True)
        contents[asset.id] = PNG + f"{asset.id} ".encode() * random.randint(1, 500)
        path.write_bytes(contents[asset.id])
        if number % 10 == 0:
            path.with_suffix(".thumb.webp").write_bytes(b"thumbnail")
    return contents


def make_varied_assets():
    job = make_job()
    assets = make_assets(ASSETS, job.user, job)
    for number, asset in enumerate(assets):
        asset.temp_storage_path = f"{job.user_id}/{job.id}/{number}.png"
        asset.generation_settings = [{"steps": number}, {}, None, ["not", "an object"], "text"][number % 5]
        asset.expires_at = None if number % 7 == 0 else asset.expires_at
        asset.duration_seconds = "12.345" if number % 3 == 0 else None
        asset.width, asset.height = (512, 768) if number % 2 else (None, None)
    changed = "temp_storage_path generation_settings expires_at duration_seconds width height"
    WorkspaceAsset.objects.bulk_update(assets, changed.split())
    return assets


def in_the_ledger(asset_ids):
    """Every column of each asset that has left, and how it left."""
    entries = Disposition.objects.filter(asset_id__in=asset_ids)
    actions = list(entries.values_list("asset_id", "action"))
    rows = WorkspaceAsset.objects.raw(
        "SELECT (jsonb_populate_record(NULL::workspace_assets, row)).* FROM assets_disposition"
        " WHERE asset_id = ANY(%s)",
        [asset_ids],
    )
    return actions, {row.pk: columns_of(row) for row in rows}


def columns_of(asset):
    columns = {field.attname: getattr(asset, field.attname) for field in WorkspaceAsset._meta.concrete_fields}
    assert len(columns) == 18
    return columns


class Undertaking:
    """One operation over fresh assets, some of which cannot be done, and all that must hold of it."""

    def __init__(self, action, data, actor):
        self.action, self.data = action, data
        assets = make_varied_assets()
        self.contents = make_files(data, assets)
        self.columns = {
            asset.pk: columns_of(asset) for asset in WorkspaceAsset.objects.filter(job=assets[0].job_id)
        }
        ids = list(self.columns)
        random.shuffle(ids)
        self.operation = bulk.freeze_filter(f"job={assets[0].job_id}", action=action, actor=actor)
        assert self.operation.total == ASSETS
        self.taken, self.missing = set(ids[:TAKEN]), set(ids[TAKEN : TAKEN + MISSING])
        with connection.cursor() as cursor:  # by another program, which the trigger records
            cursor.execute("DELETE FROM workspace_assets WHERE id = ANY(%s)", [list(self.taken)])
        for pk in self.missing:
            (data / "workspace" / self.columns[pk]["temp_storage_path"]).unlink()
        bulk.start(self.operation, actor=actor, confirmed=ASSETS, options={"tags": ["kept"]})
        tasks.enqueue(self.operation)

    @property
    def goes_on(self):
        self.operation.refresh_from_db()
        return self.operation.state == Operation.State.RUNNING

    def check(self):
        self.check_counters()
        actions, columns = in_the_ledger(list(self.columns))
        assert len(actions) == len(columns), "an asset has left twice"
        assert columns == {pk: self.columns[pk] for pk in columns}
        live = set(WorkspaceAsset.objects.filter(id__in=self.columns).values_list("id", flat=True))
        assert live.isdisjoint(columns)
        assert live | set(columns) == set(self.columns)
        saved = dict(LibraryAsset.objects.filter(id__in=self.columns).values_list("id", "storage_path"))
        assert set(saved) == {pk for pk, action in actions if action == "promoted"}
        assert {pk for pk, action in actions if action == "external"} == self.taken
        assert live == (self.missing if self.action == "promote" else set())
        for pk, path in saved.items():
            assert (self.data / "library" / path).read_bytes() == self.contents[pk]
        for pk in set(self.columns) - self.missing:  # kept for a return
            original = self.data / "workspace" / self.columns[pk]["temp_storage_path"]
            assert original.read_bytes() == self.contents[pk]

    def check_counters(self):
        self.operation.refresh_from_db()
        assert self.operation.state == Operation.State.FINISHED
        states = Counter(self.operation.items.values_list("state", flat=True))
        failed = MISSING if self.action == "promote" else 0
        assert states == Counter(done=ASSETS - TAKEN - failed, gone=TAKEN, failed=failed)
        for state in ("done", "gone", "failed"):
            assert getattr(self.operation, state) == states[state]
        assert self.operation.dispositions.count() == self.operation.done


def check_stray_files(data):
    """Every file that no row and no entry names is one that the report tells of."""
    report = reconcile(remove=False, limit=0)
    told = {(orphan.store, orphan.key) for orphan in report.some_orphans}
    named = {("library", path) for path in LibraryAsset.objects.values_list("storage_path", flat=True)}
    live = list(WorkspaceAsset.objects.values_list("temp_storage_path", flat=True))
    left = [row["temp_storage_path"] for row in Disposition.objects.values_list("row", flat=True)]
    named |= {("workspace", path) for path in [*live, *left]}
    named |= {(store, str(Path(path).with_suffix(".thumb.webp"))) for store, path in named}
    files = {
        (store, str(path.relative_to(data / store)))
        for store in ("workspace", "library")
        for path in (data / store).rglob("*")
        if path.is_file()
    }
    assert files - named == told
    assert report.orphans == len(told)


@pytest.mark.parametrize(
    ("action", "worker_within", "child_within"), [("promote", 0.8, 0.5), ("delete", 0.06, 0.15)]
)
def test_an_operation_whose_worker_is_killed_again_and_again_ends_as_if_it_was_not(
    action, worker_within, child_within, data, monkeypatch
):
    actor = User.objects.create_user("admin")
    chunks = bulk.CHUNK | {"promote": 50, "delete": 25}  # of the children: more moments to be killed at
    undertakings = []
    for kill, kills, within in ((kill_worker, 3, worker_within), (kill_child, 19, child_within)):
        monkeypatch.setattr(bulk, "CHUNK", chunks if kill is kill_child else bulk.CHUNK)
        while kills:
            assert len(undertakings) < 100, "it is always over before anybody is killed"
            if not undertakings or not undertakings[-1].goes_on:
                empty_queue()  # the worker of the one before may have been killed when that was over
                undertakings.append(Undertaking(action, data, actor))
            kill(undertakings[-1].operation, data, within)
            kills -= undertakings[-1].goes_on  # only those that found it at work
    bulk.advance(undertakings[-1].operation.pk)
    for undertaking in undertakings:
        undertaking.check()
    check_stray_files(data)
