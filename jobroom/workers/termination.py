"""Ends cancelled jobs: revokes those that wait, and kills the process of one that does not notice."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from celery import current_app
from django.utils import timezone
from kombu.exceptions import KombuError

from jobroom import housekeeping_loops, redis
from jobroom.events import green, heartbeat
from jobroom.jobs.models import Job, State
from jobroom.workers.conf import settings

logger = logging.getLogger(__name__)

# Pools that can end one job without ending the others: its process, or its greenlet, once that waits for something.
TERMINATING = frozenset({"prefork", "processes", *green.POOLS})
# Ids in one message to the workers; each worker remembers so many at most (celery.worker.state.REVOKES_MAX is 50,000).
REVOKED_AT_ONCE = 10_000


def revoke(job_ids: Sequence[str]) -> None:
    """Inform workers, in one message, that jobs which do not run are not wanted any more.

    Nothing depends on it, as a cancelled job does not start anyway: it frees what waits in a worker for its time, and
    notifies anyone who waits for the result.
    """
    try:
        for start in range(0, len(job_ids), REVOKED_AT_ONCE):
            current_app.control.revoke(list(job_ids[start : start + REVOKED_AT_ONCE]))
    except (KombuError, redis.Error, OSError) as error:
        logger.warning("%d jobs are cancelled, but their workers could not be notified: %s", len(job_ids), error)


def terminate_overdue() -> list[str]:
    """End the processes of jobs that were asked to end WORKERS_CANCEL_GRACE seconds ago; return their ids."""
    limit = timezone.now() - timedelta(seconds=settings.CANCEL_GRACE)
    overdue = list(Job.objects.without_bulk().filter(state=State.RUNNING, cancel_at__lt=limit))
    if not overdue:
        return []
    pools = {worker.instance: worker.pool for worker in heartbeat.workers() if worker.alive}
    ended = []
    for job in overdue:
        with housekeeping_loops.isolated("ending cancelled jobs", f"job {job.pk}"):
            if pools.get(job.instance) in TERMINATING and _terminate(job):
                ended.append(job.pk)
    return ended


def _terminate(job: Job) -> bool:
    """Order the job's worker to end the process of its current attempt; again after another grace if it goes on."""
    mark = redis.key("terminated", job.pk, job.execution)
    if not redis.client().set(mark, 1, nx=True, px=int(1000 * max(1.0, settings.CANCEL_GRACE))):
        return False
    current_app.control.revoke(job.pk, terminate=True, signal="SIGTERM", destination=[job.worker])
    logger.warning("Job %s (%s) did not notice its cancellation; its process or greenlet is ended", job.pk, job.task)
    return True


def safely() -> None:
    """Do a round as a housekeeping chore: what is out of reach now is tried again at the next one."""
    try:
        terminate_overdue()
    except (KombuError, redis.Error, OSError) as error:
        logger.warning("Terminating cancelled jobs: Redis is unavailable: %s", error)
