"""Rescues jobs of a vanished worker: puts them back into their queue, or marks them as lost. All of it may be repeated.

A message belongs to no one when no living worker says that it holds it; a running job when its worker is not among
the living, or does not know it any more because Redis lost the last word. Both must have been so for a while before they are believed; docs/explanation/rescue.md says why.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from kombu.exceptions import KombuError

from jobroom import events, housekeeping_loops, redis
from jobroom.celery import redeliveries, rejection
from jobroom.conf import settings as common_settings
from jobroom.events import consumer, heartbeat
from jobroom.events.consumer import Mark
from jobroom.events.heartbeat import Worker
from jobroom.exceptions import RedisUnavailable, WorkerLost
from jobroom.jobs.models import Job, State
from jobroom.leases import turn
from jobroom.tasks import failure_mail
from jobroom.workers import broker
from jobroom.workers.broker import Broker, Message
from jobroom.workers.conf import settings
from jobroom.workers.results import known_end
from jobroom.workers.suspects import Suspects

logger = logging.getLogger(__name__)

# Longest time in seconds that one rescuer may take before another one may begin.
TURN = 60
# What a round has read is believed for so many seconds: a process may be suspended at any line.
LONGEST = 15.0
# Seconds for which it is remembered that a job was reported lost: longer than any recorder may be behind.
REPORTED_FOR = 7 * 24 * 3600


@dataclass
class Report:
    """What one round did: ids of jobs."""

    put_back: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  # names of instances


def rescue(mark: Mark | None = None) -> Report | None:
    """Do one round; return what was done, None when it is someone else's turn or no one can tell who is alive.

    The history must have passed the mark. Without one, nothing is done while old events are unread.
    """
    client = redis.client()
    with turn(client, redis.key("rescue", "turn"), TURN) as mine:
        if not mine or not _trustworthy(client):
            return None
        if mark is None and consumer.lag().is_late:
            return Report()
        living, gone = living_and_gone(heartbeat.workers())
        with broker.connect() as connection:
            return Round(client, connection, living, gone, mark).work()


def living_and_gone(found: list[Worker]) -> tuple[list[Worker], list[Worker]]:
    """Part workers that live from those that are silent for too long, or that a newer one of their name replaced."""
    newest = {worker.name: max(w.started for w in found if w.name == worker.name) for worker in found}
    living: list[Worker] = []
    gone: list[Worker] = []
    for worker in found:
        replaced = worker.started < newest[worker.name] and worker.silent > settings.REPLACED_AFTER
        (living if worker.alive and not replaced else gone).append(worker)
    return living, gone


def _trustworthy(client: redis.Client) -> bool:
    """Return False shortly after a start of Redis: while it was away, no worker could say that it lives."""
    info: dict[str, Any] = client.info("server")
    return float(info["uptime_in_seconds"]) > settings.RESCUE_MARGIN


class Round:
    """One look at everything that workers hold."""

    def __init__(
        self,
        client: redis.Client,
        connection: Broker | None,
        living: list[Worker],
        gone: list[Worker],
        mark: Mark | None = None,
    ) -> None:
        self.client = client
        self.broker = connection
        self.living = living
        self.gone = gone
        self.now = redis.now(client)
        self.mark = mark or Mark("0-0", self.now)  # up to it the history knows everything
        self.report = Report()

    def work(self) -> Report:
        """Settle abandoned messages, then jobs without worker and message, then forget workers."""
        self._messages()
        self._jobs()
        self._workers()
        return self.report

    def give_back(self, worker: Worker) -> None:
        """Do the same at once for one worker that someone says is gone for good."""
        assert self.broker is not None  # noqa: S101 — only a broker of ours gives back
        held = {tag for other in self.living for tag in other.tags}
        messages = self.broker.read([tag for tag in worker.tags if tag not in held])
        known = Job.objects.without_bulk().in_bulk({message.job for message in messages})
        for message in messages:
            with housekeeping_loops.isolated("rescue", f"message of job {message.job}"):
                self._settle(message, known.get(message.job))
        settled = {*self.report.put_back, *self.report.dropped}
        jobs = Job.objects.without_bulk().filter(state=State.RUNNING, instance=worker.instance).exclude(pk__in=settled)
        left = [job for job in jobs if not self._is_held(job) and not self._safely_ended(job)]
        for queue in {job.queue for job in left}:
            self._conclude(queue, {job.pk: job for job in left if job.queue == queue})

    # Messages

    def _messages(self) -> None:
        if self.broker is None:
            return
        held = {tag for worker in self.living for tag in worker.tags}
        watch = Suspects(self.client, "message", self.now, self.mark.at)
        # A suspicion is about one receipt: the worker that has received the message since then must be given the time to say so.
        tags = {f"{tag} {time!r}": tag for tag, time in self.broker.receipts().items() if tag not in held}
        noticed = {tags[name]: watch.since[name] for name in watch.confirmed(tags)}
        messages = self.broker.read(noticed)
        known = Job.objects.without_bulk().in_bulk({message.job for message in messages})
        for message in messages:
            if redis.now(self.client) - self.now > LONGEST:
                logger.warning("A round of rescue took too long: what it knows is old, the next one goes on")
                return
            if self._no_one_can_have(message, noticed[message.tag]):
                with housekeeping_loops.isolated("rescue", f"message of job {message.job}"):
                    self._settle(message, known.get(message.job))

    def _no_one_can_have(self, message: Message, since: float) -> bool:
        """Return whether all who serve the queue have said, after the message was noticed, that they do not hold it."""
        readers = [worker for worker in self.living if message.queue in worker.queues]
        return all(worker.seen > since for worker in readers)

    def _settle(self, message: Message, job: Job | None) -> None:
        if job is not None and job.is_finished:
            self._drop(message, f"it is {job.state} already")
        elif job is not None and job.state == State.RUNNING:
            self._settle_started(message, job)
        elif job is None and self._unrecorded_losses(message):
            self._drop(message, "it lost its worker too often")
            refused = rejection.RefusedMessage(job=message.job, task=message.task, queue=message.queue)
            reason = f"Its worker vanished {common_settings.MAX_LOST} times over it (MAX_LOST), so it is not run again."
            rejection.refuse(refused, kind="repeated", reason=reason)
        else:
            self._put_back(message)

    def _settle_started(self, message: Message, job: Job) -> None:
        if self._is_held(job):
            return  # by another message; how that ends decides about this one
        if self._ended(job):
            self._drop(message, "Celery has its result")
            return
        if not job.may_rerun:
            self._lose(job, self._reason(job))
            self._drop(message, "it may not run twice")
            return
        count = redeliveries.note(job.pk)
        if redeliveries.exhausted(count):
            self._lose(job, redeliveries.describe(count, self._reason(job)))
            self._drop(message, "it lost its worker too often")
        else:
            self._put_back(message)
            self._requeued(job, f"{self._reason(job)} It is run again.")

    def _unrecorded_losses(self, message: Message) -> bool:
        """Count a loss of a job that is not recorded and may have run; return whether that was one too many."""
        task = current_app.tasks.get(message.task)
        return bool(getattr(task, "acks_late", False)) and redeliveries.exhausted(redeliveries.note(message.job))

    def _put_back(self, message: Message) -> None:
        assert self.broker is not None  # noqa: S101 — a message came from it
        self.broker.put_back(message.tag)
        self.report.put_back.append(message.job)
        logger.warning("Job %s (%s) is back in queue %s: its worker vanished", message.job, message.task, message.queue)

    def _drop(self, message: Message, reason: str) -> None:
        assert self.broker is not None  # noqa: S101 — a message came from it
        self.broker.drop(message.tag)
        self.report.dropped.append(message.job)
        logger.warning("The message of job %s (%s) is dropped: %s", message.job, message.task, reason)

    # Jobs

    def _jobs(self) -> None:
        running = Job.objects.without_bulk().filter(state=State.RUNNING)
        suspects = {
            f"{job.pk}/{job.execution}": job
            for job in running
            if heartbeat.has_heartbeat(job.instance) and not self._is_held(job)
        }
        settled = {*self.report.put_back, *self.report.dropped}  # by their messages, a moment ago
        watch = Suspects(self.client, "job", self.now, self.mark.at)
        jobs = [
            suspects[name]
            for name in watch.confirmed(suspects)
            if suspects[name].pk not in settled and self._has_spoken(suspects[name].instance, watch.since[name])
        ]
        for queue in {job.queue for job in jobs}:
            self._conclude(queue, {job.pk: job for job in jobs if job.queue == queue and not self._safely_ended(job)})

    def _is_held(self, job: Job) -> bool:
        return any(worker.instance == job.instance and job.pk in worker.held for worker in self.living)

    def _has_spoken(self, instance: str, since: float) -> bool:
        """Return whether that worker, if it lives, has said what it holds since then."""
        return all(worker.seen > since for worker in self.living if worker.instance == instance)

    def _reason(self, job: Job) -> str:
        if any(worker.instance == job.instance for worker in self.living):
            return f"Its worker {job.worker} does not know it any more."
        return f"Its worker {job.worker} vanished."

    def _safely_ended(self, job: Job) -> bool:
        """Return whether a job has ended; where no one can tell, as its result cannot be read, it has not."""
        ended = False
        with housekeeping_loops.isolated("rescue", f"job {job.pk}"):
            ended = self._ended(job)
        return ended  # noqa: RET504 — what is raised inside is noted there

    def _ended(self, job: Job) -> bool:
        """Report the end that Celery has kept, if no one else did; return whether there is one."""
        end = known_end(job)
        if end is not None:
            events.emit("finished", job.pk, **{"execution": job.execution, "runtime": None, "holder": "", **end})
            logger.warning("Job %s (%s) finished as %s without an event", job.pk, job.task, end["state"])
        return end is not None

    def _conclude(self, queue: str, jobs: dict[str, Job]) -> None:
        """Say of running jobs without a living worker whether they go on: their message waits, or is with someone."""
        if self.broker is None:
            jobs = {pk: job for pk, job in jobs.items() if not job.may_rerun}  # their broker sends those again
            waiting: set[str] = set()
        else:
            waiting = jobs.keys() & set(self.broker.waiting(queue))
        elsewhere = self._held_now()
        for pk, job in jobs.items():
            with housekeeping_loops.isolated("rescue", f"job {pk}"):
                if pk in waiting:
                    self._requeued(job, f"{self._reason(job)} It waits to be run again.")
                elif pk not in elsewhere:
                    self._lose(job, self._reason(job))

    def _held_now(self) -> set[str]:
        """Return all jobs of which a message is with someone, dead or alive; read last, for messages that moved."""
        if self.broker is None:
            return set()
        return {message.job for message in self.broker.read(self.broker.receipts())}

    def _requeued(self, job: Job, error: str) -> None:
        events.emit(
            "retrying", job.pk, execution=job.execution, retries=0, eta=None,
            error=error, error_type="WorkerLost", traceback="",
        )  # fmt: skip

    def _lose(self, job: Job, error: str) -> None:
        """Report once that a job is lost, and mail about it if its task wants that."""
        if not self.client.set(redis.key("rescue", "reported", job.pk, job.execution), 1, nx=True, ex=REPORTED_FOR):
            return
        events.emit(
            "finished", job.pk, execution=job.execution, state="lost", runtime=None, result=None,
            error=error, error_type="WorkerLost", traceback="", holder="",
        )  # fmt: skip
        self.report.lost.append(job.pk)
        logger.error("Job %s (%s) is lost: %s", job.pk, job.task, error)
        task = current_app.tasks.get(job.task)
        if task is not None:
            failure_mail.report(task, WorkerLost(error), job.pk, job.args, job.kwargs, error)

    # Workers

    def _workers(self) -> None:
        """Take vanished workers off the list once people had time to see them; replaced ones at once."""
        successors = {worker.name for worker in self.living}
        for worker in self.gone:
            if worker.name in successors or worker.silent > settings.REMEMBER_VANISHED:
                heartbeat.note_vanished(worker, settings.REMEMBER_VANISHED)
                heartbeat.forget(worker.instance)
                self.report.forgotten.append(worker.instance)


def safely(mark: Mark | None = None) -> None:
    """Do a round as a housekeeping chore: what is out of reach now is tried again at the next one."""
    try:
        rescue(mark)
    except (redis.Error, RedisUnavailable, KombuError, OSError) as error:
        logger.warning("Rescue: Redis is unavailable: %s", error)
