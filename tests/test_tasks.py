"""Background tasks, run by a real worker on the real queue."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from assets import tasks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_queue(transactional_db):
    # Django does not empty these tables between tests, since it does not manage them.
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")


@pytest.fixture
def run_worker():
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


def test_a_job_that_kills_every_worker_is_given_up(run_worker):
    left = tasks.trim_previews.defer(timestamp=0)
    leave_behind(left, attempts=tasks.MOST_ATTEMPTS)
    tasks.rescue_stalled_jobs.defer(timestamp=0)
    run_worker()
    run_worker()
    assert status_of(left) == "failed"


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
