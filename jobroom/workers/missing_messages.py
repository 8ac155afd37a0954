"""Finds queued and retrying jobs whose message is in no queue and no worker, and sends or ends them.

An emptied Redis, `celery purge` or a broker that lost its disk leave rows that wait for ever. The oldest of them are
looked up among the messages of their queue, those that workers hold, and those that are kept for later; of RabbitMQ, which shows
no message, it is known that a queue is empty. A job that is in none of them twice, some seconds apart, has no message. It is sent again where the history has all of it; a worker
starts only one message of an attempt, so one that turns up after all does no harm. Else the job is said to be lost.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from celery import current_app
from django.db.models import Q
from kombu.exceptions import KombuError

from jobroom import events, housekeeping_loops, redis
from jobroom.celery import delayed, redeliveries
from jobroom.events import heartbeat
from jobroom.events.consumer import Mark
from jobroom.exceptions import RedisUnavailable, WorkerLost
from jobroom.jobs import launches
from jobroom.jobs.models import Job, State
from jobroom.tasks import failure_mail
from jobroom.workers import broker
from jobroom.workers.broker import Broker
from jobroom.workers.conf import settings
from jobroom.workers.results import known_end
from jobroom.workers.suspects import Suspects

logger = logging.getLogger(__name__)

_TOO_OFTEN = "it was sent again too often. Launch it again when the queue is well."

# Rows that one round looks up, the oldest, and messages of one queue that it reads at most to find them.
MOST = 500
MOST_READ = 20_000


def safely(mark: Mark) -> None:
    """Do a round as a housekeeping chore: what is out of reach now is tried again at the next one."""
    try:
        round_of(mark)
    except (redis.Error, RedisUnavailable, KombuError, OSError) as error:
        logger.warning("Looking for jobs without a message waits for the broker: %s", error)


def round_of(mark: Mark) -> list[str]:
    """Deal with the jobs that have no message; return their ids. The history must have passed the mark."""
    client = redis.client()
    _end_replaced(mark)
    suspects = {job.pk: job for job in _without_message(_waiting_long(mark))}
    watch = Suspects(client, "message-less", redis.now(client), mark.at)
    if not suspects and not watch.since:
        return []
    gone = watch.confirmed(suspects)
    for pk in gone:
        with housekeeping_loops.isolated("missing messages", f"job {pk}"):
            _settle(suspects[pk])
    return gone


def _end_replaced(mark: Mark) -> None:
    """End jobs that gave their place to tasks which failed: Celery stores the failure under their id, and no message follows.

    The result must be older than the mark by a margin: what goes on in their place says so itself, and is heard first.
    """
    before = mark.moment - timedelta(seconds=settings.RESCUE_MARGIN)
    rows = Job.objects.filter(state=State.QUEUED, queue="", facts__has_key="replaced", queued_at__lt=before)
    found = list(rows.filter(pk__gt=_cursor.after).order_by("pk")[:MOST])
    _cursor.after = found[-1].pk if len(found) == MOST else ""
    for job in found:
        with housekeeping_loops.isolated("missing messages", f"job {job.pk}"):
            job.started_at = job.started_at or job.queued_at
            end = known_end(job, before) if job.gave_its_place else None
            if end is not None:
                logger.warning("Job %s (%s) has %s: what it gave its place to", job.pk, job.task, end["state"])
                events.emit("finished", job.pk, **{"execution": None, "runtime": None, "holder": "", **end})


@dataclass
class _Cursor:
    """Where the next round goes on, so that many jobs that wait long do not hide those behind them."""

    after: str = ""


_cursor = _Cursor()


def _waiting_long(mark: Mark) -> list[Job]:
    """Return the oldest jobs that should have been started, or been received, a while ago.

    Nodes are left to their workflow, jobs that wait for an answer to the one that computes it, and jobs that were
    launched and never sent to `jobroom.jobs.launches.send_due`.
    """
    before = mark.moment - timedelta(seconds=settings.MISSING_AFTER)
    # One that is retried waits too: for the message of its next attempt, or for that which a killed process gave back.
    waits = Q(state__in=[State.QUEUED, State.RETRYING], queued_at__lt=before)
    due = waits & (Q(run_after=None) | Q(run_after__lt=before))
    late = Q(state=State.SCHEDULED, run_after__lt=before)
    rows = Job.objects.filter(due | late, workflow_id="", answer_of="", queued_event__gt=0).exclude(queue="")
    return list(rows.order_by("queued_at", "pk")[:MOST])


def _without_message(jobs: list[Job]) -> list[Job]:
    """Return those of the jobs whose message is nowhere; one about which no one can tell is none of them."""
    if not jobs:
        return []
    living = [worker for worker in heartbeat.workers() if worker.alive]
    held = {job for worker in living for job in worker.held}
    by_queue: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.pk not in held:
            by_queue[job.queue].append(job)
    with broker.connect() as found:
        if found is None:
            return _of_empty_queues(by_queue, living)
        known = _received(found) | delayed.kept([job.pk for job in jobs])
        gone = [job for queue, rows in by_queue.items() for job in _absent(found, queue, rows) if job.pk not in known]
        # A message may have moved from its queue to a worker meanwhile.
        known = _received(found) | (found.taken_out() if gone else set())
    return [job for job in gone if job.pk not in known]


def _of_empty_queues(by_queue: Mapping[str, list[Job]], living: Iterable[heartbeat.Worker]) -> list[Job]:
    """Return the jobs of queues in which nothing waits: RabbitMQ counts messages, and shows none."""
    served = Counter(queue for worker in living for queue in worker.queues)
    empty = broker.emptied({queue: served[queue] for queue in by_queue})
    gone = [job for queue in empty for job in by_queue[queue]]
    kept = delayed.kept([job.pk for job in gone]) if gone else set()
    return [job for job in gone if job.pk not in kept]


def _received(found: Broker) -> set[str]:
    return {message.job for message in found.read(found.receipts())}


def _absent(found: Broker, queue: str, jobs: Iterable[Job]) -> list[Job]:
    """Return those of the jobs that are not in the queue; none if it is too long to be read whole."""
    wanted = {job.pk: job for job in jobs}
    for number, pk in enumerate(found.waiting(queue), 1):
        wanted.pop(pk, None)
        if not wanted or number >= MOST_READ:
            return []
    return list(wanted.values())


def _settle(job: Job) -> None:
    """Send the job again if the history has all of its message and it did not run, else say how it ended, or is lost."""
    started = events.attempt_marked(job.pk)
    if started is not None and started >= (job.facts.get("retries") or 0):
        _end(job)
        return
    reason = launches.why_not_resend(job)
    if not reason and not redeliveries.exhausted(redeliveries.note(job.pk)):
        logger.warning("Job %s (%s) has no message in queue %s any more: it is sent again", job.pk, job.task, job.queue)
        launches.resend(job)
        return
    _lose(job, f"Its message is gone from the queue {job.queue}, which was emptied or lost, and {reason or _TOO_OFTEN}")


def _end(job: Job) -> None:
    """Report the end of a job that ran, and of which the events were lost: no second message of it would start."""
    if events.is_running(job.pk):
        return  # it reports its end itself, or the rescue finds that its worker is gone
    job.started_at = job.started_at or job.queued_at  # what is younger is of this attempt
    end = known_end(job)
    if end is None:
        _lose(job, "It ran, and how it ended was lost with its events.")
        return
    logger.warning("Job %s (%s) had %s, and that was lost with its events", job.pk, job.task, end["state"])
    events.emit("finished", job.pk, **{"execution": None, "runtime": None, "holder": "", **end})


def _lose(job: Job, error: str) -> None:
    logger.error("Job %s (%s) is lost: %s", job.pk, job.task, error)
    events.emit(
        "finished", job.pk, execution=None, state="lost", runtime=None, result=None,
        error=error, error_type="MessageLost", traceback="", holder="",
    )  # fmt: skip
    task = current_app.tasks.get(job.task)
    if task is not None:
        failure_mail.report(task, WorkerLost(error), job.pk, job.args, job.kwargs, error)
