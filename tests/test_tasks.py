"""Background tasks, run by a real worker on the real queue."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from assets import bulk, dispositions, lanes, tasks
from assets.models import CleanUp, Disposition, Operation, OperationItem, WorkspaceAsset
from tests.cleaning import empty_queue
from tests.factories import make_asset, make_assets, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_queue(transactional_db):
    empty_queue()


@pytest.fixture
def run_worker(monkeypatch):
    # Only what a test defers, whatever the clock says.
    monkeypatch.setattr(app.periodic_registry, "periodic_tasks", {})

    def run():
        with app.replace_connector(app.connector.get_worker_connector()):
            app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)

    return run


def status_of(job_id):
    return ProcrastinateJob.objects.get(id=job_id).status


def leave_behind(job_id, attempts):
    """As a worker that was killed leaves a job: taken, and its heart long still."""
    with connection.cursor() as cursor:
        still = "now() - interval '1 hour'"
        cursor.execute(f"INSERT INTO procrastinate_workers (last_heartbeat) VALUES ({still}) RETURNING id")
        worker = cursor.fetchone()[0]
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s, attempts = %s WHERE id = %s",
            [worker, attempts, job_id],
        )


def test_a_job_left_behind_is_taken_up_again(run_worker):
    left = tasks.trim_previews.defer(timestamp=0)
    leave_behind(left, attempts=1)
    tasks.rescue_stalled_jobs.defer(timestamp=0)
    run_worker()
    run_worker()
    assert status_of(left) == "succeeded"


def test_a_job_left_behind_is_taken_up_at_once_by_hosts_whose_clocks_differ(run_worker, monkeypatch):
    an_hour_ahead = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr("procrastinate.utils.utcnow", lambda: an_hour_ahead)
    left = tasks.trim_previews.defer(timestamp=0)
    leave_behind(left, attempts=1)
    tasks.rescue_stalled_jobs.defer(timestamp=0)
    run_worker()
    assert status_of(left) == "succeeded"


def test_a_job_that_kills_every_worker_is_given_up(run_worker):
    left = tasks.trim_previews.defer(timestamp=0)
    leave_behind(left, attempts=tasks.MOST_ATTEMPTS)
    tasks.rescue_stalled_jobs.defer(timestamp=0)
    run_worker()
    run_worker()
    assert status_of(left) == "failed"


def test_a_job_left_behind_while_another_waits_in_its_place_holds_nobody_up(run_worker):
    """As when an operation is cancelled and run once more just after its worker was killed."""
    left = tasks.trim_previews.configure(queueing_lock="trim", lock="trim").defer(timestamp=0)
    leave_behind(left, attempts=1)
    waiting = tasks.trim_previews.configure(queueing_lock="trim", lock="trim").defer(timestamp=0)
    other = tasks.clear_sessions.defer(timestamp=0)
    leave_behind(other, attempts=1)
    tasks.rescue_stalled_jobs.defer(timestamp=0)
    run_worker()
    run_worker()
    assert (status_of(left), status_of(waiting), status_of(other)) == ("aborted", "succeeded", "succeeded")


def test_sessions_that_have_ended_are_cleared(run_worker):
    from django.contrib.sessions.models import Session

    now = timezone.now()
    Session.objects.create(session_key="old", session_data="", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="new", session_data="", expire_date=now + timedelta(days=1))
    done = tasks.clear_sessions.defer(timestamp=0)
    run_worker()
    assert status_of(done) == "succeeded"
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]


def test_finished_jobs_are_removed_and_failed_ones_stay(run_worker):
    succeeded = tasks.trim_previews.defer(timestamp=0)
    run_worker()
    failed = tasks.clear_sessions.defer(timestamp=0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = %s", [failed])
        cursor.execute("UPDATE procrastinate_events SET at = now() - interval '2 days'")
    tasks.remove_finished_jobs.defer(timestamp=0)
    run_worker()
    left = set(ProcrastinateJob.objects.filter(id__in=[succeeded, failed]).values_list("id", flat=True))
    assert left == {failed}


# --- Operations ----------------------------------------------------------------


@pytest.fixture
def make_operation():
    """A frozen deletion of fresh assets, and so many of them."""
    person = User.objects.create_user("person")

    def make(number=3, started=True):
        ids = [asset.pk for asset in make_assets(number)]
        operation = bulk.freeze_ticked(ids, action="delete", actor=person)
        if started:
            bulk.start(operation, actor=person, confirmed=number, options={})
        return operation

    return make


def jobs_of(operation):
    lock = f"operation-{operation.pk}"
    return list(ProcrastinateJob.objects.filter(lock=lock).order_by("id").values_list("id", flat=True))


def test_an_operation_is_run_by_the_worker(make_operation, run_worker):
    operation = make_operation()
    tasks.enqueue(operation)
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("finished", 3)
    assert not WorkspaceAsset.objects.exists()
    assert [status_of(job) for job in jobs_of(operation)] == ["succeeded"]


def test_a_large_selection_is_prepared_by_the_worker(run_worker, monkeypatch):
    monkeypatch.setattr(bulk, "FREEZE_AT_ONCE", 2)
    make_assets(4)
    operation = bulk.freeze_filter("", action="delete", actor=User.objects.create_user("person"))
    tasks.enqueue(operation)
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.total) == ("ready", 4)
    assert WorkspaceAsset.objects.count() == 4


@pytest.fixture
def in_lanes(monkeypatch):
    """Operations over more than two assets are shared, two assets at a time."""
    monkeypatch.setattr(lanes, "SHARED_ABOVE", 2)
    monkeypatch.setattr(bulk, "CHUNK", bulk.CHUNK | {"delete": 2})


def test_a_large_operation_has_a_job_for_each_of_its_lanes(in_lanes, make_operation, run_worker):
    operation = make_operation(5 * lanes.LANES)
    tasks.enqueue(operation)
    locks = [f"operation-{operation.pk}"] + [f"operation-{operation.pk}-{n}" for n in range(1, lanes.LANES)]
    assert list(ProcrastinateJob.objects.order_by("id").values_list("lock", flat=True)) == locks
    leave_doing(ProcrastinateJob.objects.latest("id").pk)
    assert tasks.is_at_work(operation)
    assert not tasks.is_at_work(make_operation(started=False))
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("running", 5 * (lanes.LANES - 1))
    ProcrastinateJob.objects.filter(status="doing")._raw_delete("default")
    tasks.resume_operations.defer(timestamp=0)
    run_worker()
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("finished", 5 * lanes.LANES)
    done = ProcrastinateJob.objects.filter(task_name="assets.tasks.advance_operation")
    assert done.count() == lanes.LANES, "only the lane that was left behind was taken up again"


def test_a_lane_goes_on_when_it_is_its_turn_again(in_lanes, make_operation, run_worker, monkeypatch):
    monkeypatch.setattr(tasks, "TURN", 0)
    operation = make_operation(2, started=True)
    monkeypatch.setattr(bulk, "CHUNK", bulk.CHUNK | {"delete": 1})
    tasks.enqueue(operation)
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("finished", 2)
    assert [status_of(job) for job in jobs_of(operation)] == ["succeeded"] * 3


def test_an_operation_waits_in_the_queue_once(make_operation):
    operation, other = make_operation(), make_operation()
    for each in (operation, operation, other):
        tasks.enqueue(each)
    assert (len(jobs_of(operation)), len(jobs_of(other))) == (1, 1)


def test_what_changes_while_a_worker_is_at_it_waits_for_it(make_operation):
    operation = make_operation()
    tasks.enqueue(operation)
    leave_behind(jobs_of(operation)[0], attempts=1)
    tasks.enqueue(operation)
    tasks.enqueue(operation)
    assert [status_of(job) for job in jobs_of(operation)] == ["doing", "todo"]


def test_a_second_job_of_an_operation_spoils_no_transaction(make_operation):
    operation = make_operation()
    with transaction.atomic():
        tasks.enqueue(operation)
        tasks.enqueue(operation)
        make_user("fox")
    assert len(jobs_of(operation)) == 1


def test_a_start_that_is_rolled_back_leaves_no_job(make_operation):
    operation = make_operation()
    with transaction.atomic():
        tasks.enqueue(operation)
        transaction.set_rollback(True)
    assert jobs_of(operation) == []


def test_an_operation_that_fails_is_tried_again(make_operation, run_worker, monkeypatch):
    operation = make_operation()
    plainly = dispositions.delete

    def fail(*args, **options):
        raise RuntimeError("the network")

    monkeypatch.setattr(dispositions, "delete", fail)
    tasks.enqueue(operation)
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("running", 0)
    assert operation.error == "the network"
    monkeypatch.setattr(dispositions, "delete", plainly)
    tasks.resume_operations.defer(timestamp=0)
    run_worker()
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done, operation.error) == ("finished", 3, "")


def test_an_operation_that_fails_while_another_job_of_it_waits_is_tried_again_by_that(
    make_operation, run_worker, monkeypatch
):
    operation = make_operation()
    plainly, calls = dispositions.delete, []

    def fail_once(*args, **options):
        calls.append(args)
        if len(calls) > 1:
            return plainly(*args, **options)
        tasks.enqueue(operation)  # somebody cancels, and runs it once more
        raise RuntimeError("the network")

    monkeypatch.setattr(dispositions, "delete", fail_once)
    tasks.enqueue(operation)
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("finished", 3)
    assert [status_of(job) for job in jobs_of(operation)] == ["succeeded", "succeeded"]


@pytest.mark.parametrize("lost", ["never deferred", "deleted", "failed"])
def test_an_operation_whose_job_is_lost_is_taken_up_again(make_operation, run_worker, lost):
    operation = make_operation()
    if lost != "never deferred":
        tasks.enqueue(operation)
        change = "UPDATE procrastinate_jobs SET status = 'failed'"
        with connection.cursor() as cursor:
            cursor.execute(change if lost == "failed" else "DELETE FROM procrastinate_jobs")
    tasks.resume_operations.defer(timestamp=0)
    run_worker()
    run_worker()
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("finished", 3)


@pytest.mark.parametrize("status", ["todo", "doing"])
def test_an_operation_whose_job_lives_is_left_alone(make_operation, status):
    operation = make_operation()
    tasks.enqueue(operation)
    if status == "doing":
        leave_behind(jobs_of(operation)[0], attempts=1)
    tasks.resume_operations(timestamp=0)
    assert [status_of(job) for job in jobs_of(operation)] == [status]


def test_only_what_is_under_way_is_taken_up_again(make_operation):
    ready, cancelled, finished = make_operation(started=False), make_operation(), make_operation()
    bulk.cancel(cancelled)
    bulk.advance(finished.pk)
    tasks.resume_operations(timestamp=0)
    assert [jobs_of(each) for each in (ready, cancelled, finished)] == [[], [], []]


def test_selections_that_nobody_confirmed_are_removed(make_operation, run_worker):
    make_operation(started=False)
    put_away, new = make_operation(started=False), make_operation(started=False)
    running, cancelled = make_operation(), make_operation()
    bulk.cancel(put_away)
    bulk.cancel(cancelled)
    preparing = Operation.objects.create(action="delete", actor=new.actor)
    old = Operation.objects.exclude(pk=new.pk)
    old.update(created_at=timezone.now() - tasks.KEEP_UNCONFIRMED_FOR - timedelta(minutes=1))
    tasks.remove_unconfirmed_operations.defer(timestamp=0)
    run_worker()
    kept = {new.pk, running.pk, cancelled.pk, preparing.pk}
    assert set(Operation.objects.values_list("pk", flat=True)) == kept
    assert set(OperationItem.objects.values_list("operation_id", flat=True)) == kept - {preparing.pk}
    assert WorkspaceAsset.objects.count() == 15


def test_a_selection_that_is_confirmed_at_the_last_moment_is_kept(make_operation, monkeypatch):
    """Not emptied while it starts, or it would end as if it had been run."""
    operation = make_operation(started=False)
    Operation.objects.update(created_at=timezone.now() - timedelta(days=2))
    plainly, confirming = OperationItem.objects.filter, []

    def confirm():
        try:
            bulk.start(operation, actor=operation.actor, confirmed=3, options={})
        except bulk.Refused as refusal:
            confirming.append(str(refusal))
        connection.close()

    thread = threading.Thread(target=confirm)

    def filter_late(*args, **options):
        monkeypatch.undo()  # starting asks for items as well
        thread.start()
        thread.join(timeout=0.5)
        return plainly(*args, **options)

    monkeypatch.setattr(OperationItem.objects, "filter", filter_late)
    tasks.remove_unconfirmed_operations(timestamp=0)
    thread.join(timeout=60)
    started = Operation.objects.filter(pk=operation.pk, state="running").exists()
    assert started != bool(confirming)
    assert OperationItem.objects.count() == (3 if started else 0)


# --- The clean-ups ---------------------------------------------------------------


def test_what_has_expired_is_removed_and_the_last_run_noted(run_worker):
    make_assets(3, expires_in=-timedelta(hours=1))
    kept = make_asset()
    tasks.expire_assets.defer(timestamp=0)
    run_worker()
    assert WorkspaceAsset.objects.get() == kept
    note = CleanUp.objects.get()
    assert (note.kind, note.done, note.failed, note.busy_done) == ("expire", 3, 0, 3)
    assert note.started_at <= note.finished_at <= note.busy_at
    tasks.expire_assets.defer(timestamp=1)
    run_worker()
    again = CleanUp.objects.get()
    assert (again.done, again.busy_done, again.busy_at) == (0, 3, note.busy_at)
    assert again.finished_at > note.finished_at


def test_files_are_purged_and_the_last_run_noted(run_worker):
    person = User.objects.create_user("person")
    dispositions.delete([asset.pk for asset in make_assets(2)], actor=person)
    Disposition.objects.update(purge_after=timezone.now())
    poison = Disposition.objects.create(
        asset_id=uuid4(), action="deleted", row=[], purge_after=timezone.now()
    )
    tasks.purge_files.defer(timestamp=0)
    run_worker()
    assert list(Disposition.objects.filter(purged_at=None)) == [poison]
    note = CleanUp.objects.get()
    assert (note.kind, note.done, note.failed, note.busy_done) == ("purge", 2, 1, 2)


def test_a_run_that_breaks_off_is_noted_as_not_finished(run_worker, monkeypatch):
    make_asset(expires_in=-timedelta(hours=1))
    tasks.expire_assets.defer(timestamp=0)
    run_worker()

    def fail(**options):
        raise RuntimeError("the network")

    monkeypatch.setattr(dispositions, "expire", fail)
    job = tasks.expire_assets.defer(timestamp=1)
    run_worker()
    assert status_of(job) == "failed"
    note = CleanUp.objects.get()
    assert note.finished_at < note.started_at
    assert (note.done, note.busy_done) == (1, 1)


@pytest.mark.parametrize("name", ["purge_files", "expire_assets", "resume_operations"])
def test_a_clean_up_that_takes_long_keeps_one_place_of_the_worker_and_no_more(run_worker, name):
    task = getattr(tasks, name)
    running = task.defer(timestamp=0)
    leave_doing(running)
    waiting = task.defer(timestamp=1)
    run_worker()
    assert status_of(waiting) == "todo", "it waits for the one under way"
    other = tasks.clear_sessions.defer(timestamp=0)
    run_worker()
    assert status_of(other) == "succeeded"


def leave_doing(job_id):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        worker = cursor.fetchone()[0]
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE id = %s", [worker, job_id]
        )
