"""Receivers of signals in the queues app: what is done in a recorder's housekeeping."""

import logging
from typing import Any

from jobroom.celery import batches, task_limits
from jobroom.events import heartbeat
from jobroom.jobs.models import Attempt
from jobroom.queues import broker, limits, operations, pauses, queue_rows, samples
from jobroom.queues.exceptions import NotKnowable
from jobroom.signals import glance, housekeeping, jobs_recorded

logger = logging.getLogger(__name__)


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    glance.connect(_finish, dispatch_uid="jobroom.queues.finish")
    housekeeping.connect(_sample, dispatch_uid="jobroom.queues.sample")
    housekeeping.connect(_sweep, dispatch_uid="jobroom.queues.sweep")
    jobs_recorded.connect(_release, dispatch_uid="jobroom.queues.release")
    housekeeping.connect(_reconcile, dispatch_uid="jobroom.queues.reconcile")


def _finish(**_: Any) -> None:
    try:
        operations.finish_all()
    except NotKnowable:
        return
    except broker.AWAY as error:
        logger.warning("Messages that were taken out of queues wait for the broker: %s", error)


def _sample(**_: Any) -> None:
    try:
        workers = heartbeat.workers()
        samples.take(broker.depths(queue_rows.names_known(workers)), workers)
    except broker.AWAY as error:
        logger.warning("The lengths of the queues cannot be read: %s", error)


def _reconcile(**_: Any) -> None:
    try:
        pauses.reconcile()
    except broker.AWAY as error:
        logger.warning("What is paused cannot be read: %s", error)


def _release(ended: list[tuple[str, str, str]], **_: Any) -> None:
    """Give back the places of jobs that ended in whatever way: a process that was killed gives none back itself."""
    try:
        task_limits.release(job for job, _, _ in ended)
        batches.end_with(((job, state) for job, _, state in ended), has_begun=_has_begun)
    except broker.AWAY as error:
        logger.warning("The places of jobs that ended are given back by the next round: %s", error)


def _has_begun(job: str) -> bool:
    return Attempt.objects.filter(job_id=job).exists()


def _sweep(**_: Any) -> None:
    try:
        limits.sweep()
        batches.begin_overdue()
    except broker.AWAY as error:
        logger.warning("Limits cannot be looked at: %s", error)
