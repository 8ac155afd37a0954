"""Ends jobs that wait for a cached result whose job failed, or whose worker was killed.

The recorder signals them, and this settles what others wait for. Everything here may be done twice.
"""

import logging
from collections.abc import Iterable

from celery import current_app, states
from celery.exceptions import WorkerLostError
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps

from jobroom import events, housekeeping_loops, redis
from jobroom.arguments.redaction import seal_result
from jobroom.cache import handoff, keeps_answers
from jobroom.cache import single_flight as flying
from jobroom.cache.single_flight import End, Flight
from jobroom.celery.results import kept_result
from jobroom.events import consumer
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import current_state
from jobroom.jobs.conf import settings
from jobroom.jobs.error_kinds import bases_of
from jobroom.jobs.launches import has_secrets, resend
from jobroom.jobs.models import Job, State

logger = logging.getLogger(__name__)

# Seconds that a flight, or a job that waits, is left alone before housekeeping looks after it.
YOUNG = 5.0
# While the database is further behind than this, in seconds, it cannot tell who has ended.
BEHIND = 2.0
# Most rows that one round looks at.
MOST = 500


def settle_all(ended: Iterable[tuple[str, str, str]]) -> None:
    """Deal with the ends (job id, task, state) of many jobs, most of which no one waits for."""
    known = current_app.tasks
    maybe = [end for end in ended if end[1] not in known or keeps_answers(known[end[1]])]
    asked = flying.with_question([job_id for job_id, _, _ in maybe])
    for job_id, task, state in maybe:
        if job_id in asked:
            with housekeeping_loops.isolated("handing on answers", f"job {job_id}"):
                settle(job_id, task, state)


def settle(job_id: str, task: str, state: str) -> None:
    """Deal with the end of a job that others may wait for: a failure is theirs too, else the next one computes."""
    known = current_app.tasks.get(task)
    if known is not None and not keeps_answers(known):
        return
    asks = flying.question_of(job_id)
    if asks is None:
        return  # it handed its answer on itself
    flight = flying.flight(asks)
    end = _end(job_id, state, flight) if flight is not None and flight.leader == job_id else None
    if end is None:
        _send_next(asks, job_id)
    else:
        _hand_on(asks, job_id, end)


def _end(job_id: str, state: str, flight: Flight) -> End | None:
    """Return the end that those who wait get; None when one of them has to compute."""
    if flight.end is not None:
        return flight.end
    if state in {State.FAILED, State.LOST}:
        job = Job.objects.filter(pk=job_id).first()
        # What kills its process would kill the next one too; a worker that vanished says nothing about the work.
        shared = job is not None and (state == State.FAILED or job.error_type == WorkerLostError.__name__)
        return _failure(job, flight) if job is not None and shared else None
    if state == State.SUCCEEDED:
        found = kept_result(job_id)
        if found is not None and found.state == states.SUCCESS:
            return {"state": "succeeded", "result": dumps(seal_result(found.result)), "answer_of": job_id}
    return None


def _failure(job: Job, flight: Flight) -> End:
    """Return the failure as others may know it: its words may reveal arguments, which are not always theirs."""
    kind = {"error_type": job.error_type, "error_bases": bases_of(job)}
    end = {"state": "failed", "answer_of": job.pk, "traceback": "", **kind}
    if flight.own:
        return {**end, "error": "The job that computed the same failed."}
    return {**end, "error": job.error, "traceback": job.traceback}


def _hand_on(asks: str, job_id: str, end: End) -> None:
    count = handoff.give_all(asks, job_id, end, flying.conclude(asks, job_id, end))
    if count:
        logger.warning("%d jobs finish like job %s, which computed the same", count, job_id)


def _send_next(asks: str, job_id: str) -> None:
    try:
        handoff.leave(asks, job_id)
    except OperationalError as error:
        logger.warning("The next job that waits for the result of %s could not be published: %s", job_id, error)


def sweep(*, caught_up: bool = False) -> None:
    """Find flights whose leader has ended or vanished, and jobs that wait for no one any more.

    Nothing is done while the history is behind; `caught_up` says that the caller has looked.
    """
    if not caught_up and consumer.lag().seconds > BEHIND:
        return
    flights = flying.flights(YOUNG, MOST)
    leaders = Job.objects.without_bulk().in_bulk({flight.leader for flight in flights})
    for flight in flights:
        with housekeeping_loops.isolated("handing on answers", f"job {flight.leader}"):
            _look_after(flight, leaders.get(flight.leader))
    _find_orphans()


def _look_after(flight: Flight, leader: Job | None) -> None:
    if flight.end is not None:
        _hand_on(flight.question, flight.leader, flight.end)
    elif leader is None:
        if flight.age > settings.UNSENT_AFTER:
            _send_next(flight.question, flight.leader)  # no one has ever heard of it
    elif leader.is_finished:
        settle(leader.pk, leader.task, leader.state)
    elif leader.state == State.QUEUED and leader.answer_of and flight.entry is not None:
        # It waited, was to compute, and was never sent: the process that wanted to died in between.
        flying.refresh(flight.question)
        handoff.send(flight.entry)


def _find_orphans() -> None:
    """Launch the jobs again that wait for an answer, and of which Redis knows nothing any more.

    Nodes are left to their workflow, which knows what hangs on their messages.
    """
    waiting = Job.objects.filter(state=State.QUEUED, workflow_id="").exclude(answer_of="").order_by("queued_at")
    for job in waiting[:MOST]:
        with housekeeping_loops.isolated("handing on answers", f"job {job.pk}"):
            _look_for(job)


def _look_for(job: Job) -> None:
    if flying.question_of(job.pk) is None:
        now = current_state.job(job.pk)
        if now is not None and now.is_following and now.state == State.QUEUED:
            _launch_again(now)


def _launch_again(job: Job) -> None:
    logger.warning("Job %s (%s) waited for a cached result, and Redis has lost that", job.pk, job.task)
    if has_secrets(job):
        events.emit(
            "finished", job.pk, execution=None, state="lost", result=None, error_type="WorkerLost", traceback="",
            error="Redis has forgotten that it waited, and it cannot be sent again: its secrets are kept nowhere.",
        )  # fmt: skip
    elif job.task in current_app.tasks:
        resend(job)
    else:  # only workers know it
        options = {"task_id": job.pk, "queue": job.queue, "priority": job.priority}
        handoff.send(
            {"task": job.task, "args": job.args, "kwargs": job.kwargs, "options": options, "source": job.source}
        )


def safely() -> None:
    """Do a round as a housekeeping chore: what is out of reach now is tried again at the next one."""
    try:
        sweep(caught_up=True)
    except (redis.Error, RedisUnavailable, OperationalError, OSError) as error:
        logger.warning("Jobs that wait for cached results: Redis is unavailable: %s", error)
