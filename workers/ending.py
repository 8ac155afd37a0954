"""Helps jobs to their end: takes those that wait from their workers, and ends processes that do not listen."""

import logging
from datetime import timedelta

from celery import current_app
from django.utils import timezone
from kombu.exceptions import KombuError

from common import heartbeat, redis
from jobs import reading
from jobs.models import Job, State
from workers.conf import settings

logger = logging.getLogger(__name__)

# Pools that can end the process of one job without ending the others.
TERMINATING = frozenset({"prefork", "processes"})


def revoke(job_id: str) -> None:
    """Tell workers that a job which does not run is not wanted any more; one that runs notices by itself.

    Nothing depends on it, as a cancelled job does not start anyway: it frees what waits in a worker for its time, and
    tells whoever waits for the result.
    """
    job = reading.job(job_id)
    if job is None or job.state == State.RUNNING:
        return
    try:
        current_app.control.revoke(job_id)
    except (KombuError, redis.Error, OSError) as error:
        logger.warning("Job %s is cancelled, but its worker could not be told: %s", job_id, error)


def terminate_overdue() -> list[str]:
    """End the processes of jobs that were asked to end WORKERS_CANCEL_GRACE seconds ago; return their ids."""
    limit = timezone.now() - timedelta(seconds=settings.CANCEL_GRACE)
    overdue = list(Job.objects.without_bulk().filter(state=State.RUNNING, cancel_at__lt=limit))
    if not overdue:
        return []
    pools = {worker.instance: worker.pool for worker in heartbeat.workers() if worker.alive}
    return [job.pk for job in overdue if pools.get(job.instance) in TERMINATING and _terminate(job)]


def _terminate(job: Job) -> bool:
    """Tell the job's worker to end the process of its current attempt; again after another grace if it goes on."""
    mark = redis.key("terminated", job.pk, job.execution)
    if not redis.client().set(mark, 1, nx=True, px=int(1000 * max(1.0, settings.CANCEL_GRACE))):
        return False
    current_app.control.revoke(job.pk, terminate=True, signal="SIGTERM", destination=[job.worker])
    logger.warning("Job %s (%s) did not notice that it is cancelled; its process is ended", job.pk, job.task)
    return True


def safely() -> None:
    """Do a round as a housekeeping chore: what is out of reach now is tried again at the next one."""
    try:
        terminate_overdue()
    except (KombuError, redis.Error, OSError) as error:
        logger.warning("Ending cancelled jobs waits for Redis: %s", error)
