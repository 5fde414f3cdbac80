"""Background tasks: operations, and what runs by the clock. Each may run twice without harm."""

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, transaction
from django.db.models.functions import Now
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Job, Status

from assets import bulk, clean_up, known_settings, previews, rollups
from assets.lanes import LANES, lanes_of
from assets.models import Operation, OperationItem

logger = logging.getLogger(__name__)

KEEP_PREVIEWS_FOR = timedelta(days=8)  # a day longer than assets live
KEEP_JOBS_FOR = 24  # hours
KEEP_UNCONFIRMED_FOR = timedelta(days=1)
MOST_ATTEMPTS = 5
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)  # by the database's clock, from which this host's may differ
TURN = 5.0  # seconds
SOON = "* * * * * */15"  # every 15 seconds

# --- Operations ----------------------------------------------------------------


@app.task
def advance_operation(operation_id: int, lane: int | None = None) -> None:
    """One turn of a lane: others that wait, and a worker that is told to stop, need not wait long for it."""
    if settings.READ_ONLY:
        return
    try:
        is_over = bulk.advance(operation_id, lane, seconds=TURN)
    # Neither is tried again by the queue, where another job may wait in its place: see resume_operations.
    except OperationalError as error:
        logger.warning("Operation %s was interrupted: %s", operation_id, error)
    except Exception:
        logger.exception("Operation %s was interrupted", operation_id)
    else:
        if not is_over:
            _enqueue_lane(operation_id, lane or 0)


def enqueue(operation: Operation) -> None:
    """Has workers bring the operation to the end of what it is at: when this transaction commits, if any."""
    for lane in lanes_of(operation):
        _enqueue_lane(operation.pk, lane.number)


def _enqueue_lane(operation_id: int, lane: int) -> None:
    """One worker at a time; one more waiting is enough for whatever has changed."""
    name = _lock_of(operation_id, lane)
    job = advance_operation.configure(lock=name, queueing_lock=name)
    try:
        with transaction.atomic():
            job.defer(operation_id=operation_id, lane=lane)
    except AlreadyEnqueued:
        pass


def _lock_of(operation_id: int, lane: int) -> str:
    return f"operation-{operation_id}-{lane}" if lane else f"operation-{operation_id}"


def is_at_work(operation: Operation) -> bool:
    """Whether a worker is at it still: the chunks under way are finished even after a cancel."""
    locks = [_lock_of(operation.pk, lane) for lane in range(LANES)]
    return ProcrastinateJob.objects.filter(lock__in=locks, status=Status.DOING.value).exists()


@app.periodic(cron=SOON)
@app.task(queueing_lock="resume_operations", lock="resume_operations")
def resume_operations(timestamp: int) -> None:
    """Takes up operations that were interrupted, or whose job was given up or lost with the queue."""
    if settings.READ_ONLY:
        return
    live = ProcrastinateJob.objects.filter(status__in=[Status.TODO.value, Status.DOING.value])
    for operation in Operation.objects.filter(state__in=Operation.UNDER_WAY):
        for lane in bulk.open_lanes(operation):
            if not live.filter(lock=_lock_of(operation.pk, lane.number)).exists():
                logger.warning("Operation %s was left behind: it is taken up again", operation.pk)
                _enqueue_lane(operation.pk, lane.number)


@app.periodic(cron="47 * * * *")
@app.task(queueing_lock="remove_unconfirmed_operations")
def remove_unconfirmed_operations(timestamp: int) -> None:
    """Selections that nobody confirmed; what ran is kept."""
    never_run = Operation.objects.filter(started_at=None, created_at__lt=Now() - KEEP_UNCONFIRMED_FOR)
    never_run = never_run.exclude(state=Operation.State.PREPARING)
    with transaction.atomic():
        # Locked, so that none is confirmed while its assets are forgotten.
        ids = list(never_run.select_for_update(skip_locked=True).values_list("id", flat=True))
        OperationItem.objects.filter(operation_id__in=ids).delete()
        Operation.objects.filter(id__in=ids).delete()


# --- The clean-ups ---------------------------------------------------------------

# One of a kind at a time, or those that wait for one another would take up all that a worker can do at once.


@app.periodic(cron="*/5 * * * *")
@app.task(queueing_lock="expire_assets", lock="expire_assets")
def expire_assets(timestamp: int) -> None:
    if settings.READ_ONLY:
        return
    expired = clean_up.expire()
    if any(expired):
        logger.info("%s assets expired, %s could not be removed", *expired)


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="purge_files", lock="purge_files")
def purge_files(timestamp: int) -> None:
    if settings.READ_ONLY:
        return
    purged = clean_up.purge()
    if any(purged):
        logger.info("The files of %s assets were removed, of %s could not be", *purged)


# --- The overview ----------------------------------------------------------------


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="refresh_overview", lock="refresh_overview")
def refresh_overview(timestamp: int) -> None:
    if refreshed := rollups.refresh_if_due():
        logger.info("The overview was counted in %.1f s", refreshed.seconds)


def enqueue_first_refresh() -> None:
    """For a page that has nothing to show yet; one that waits is enough."""
    try:
        with transaction.atomic():
            refresh_overview.defer(timestamp=0)
    except AlreadyEnqueued:
        pass


# --- What pages look up ------------------------------------------------------------


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="look_at_settings", lock="look_at_settings")
def look_at_settings(timestamp: int) -> None:
    known_settings.look()


# --- Housekeeping ----------------------------------------------------------------


@app.periodic(cron=SOON)
@app.task(queueing_lock="rescue_stalled_jobs")
async def rescue_stalled_jobs(timestamp: int) -> None:
    """Gives the jobs of a worker that died to another; one that kills every worker is given up."""
    for job in await app.job_manager.get_stalled_jobs():
        logger.warning("Job %s (%s) was left behind by its worker", job.id, job.task_name)
        if job.attempts < MOST_ATTEMPTS:
            await _retry(job)
        else:
            await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=False)


async def _retry(job: Job) -> None:
    try:
        await app.job_manager.retry_job(job, retry_at=AT_ONCE)
    except UniqueViolation:
        # Another waits in its place, for its lock: that one does the work.
        await app.job_manager.finish_job(job, status=Status.ABORTED, delete_job=False)


@app.periodic(cron="17 * * * *")
@app.task(queueing_lock="remove_finished_jobs")
async def remove_finished_jobs(timestamp: int) -> None:
    ended = {"include_cancelled": True, "include_aborted": True}  # failed ones stay, for a person to see
    await app.job_manager.delete_old_jobs(nb_hours=KEEP_JOBS_FOR, **ended)


@app.periodic(cron="37 * * * *")
@app.task(queueing_lock="trim_previews")
def trim_previews(timestamp: int) -> None:
    removed = previews.trim(KEEP_PREVIEWS_FOR)
    logger.info("Removed %s old previews", removed)


@app.periodic(cron="57 3 * * *")
@app.task(queueing_lock="clear_sessions")
def clear_sessions(timestamp: int) -> None:
    SessionStore.clear_expired()
