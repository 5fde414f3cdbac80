"""Background tasks: housekeeping that runs by the clock. Each may run twice without harm."""

import logging
from datetime import timedelta

from django.contrib.sessions.backends.db import SessionStore
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

from assets import previews

logger = logging.getLogger(__name__)

KEEP_PREVIEWS_FOR = timedelta(days=8)  # a day longer than assets live
KEEP_JOBS_FOR = 24  # hours
MOST_ATTEMPTS = 5


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="rescue_stalled_jobs")
async def rescue_stalled_jobs(timestamp: int) -> None:
    """Gives the jobs of a worker that died to another; one that kills every worker is given up."""
    for job in await app.job_manager.get_stalled_jobs():
        logger.warning("Job %s (%s) was left behind by its worker", job.id, job.task_name)
        if job.attempts < MOST_ATTEMPTS:
            await app.job_manager.retry_job(job)
        else:
            await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=False)


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
