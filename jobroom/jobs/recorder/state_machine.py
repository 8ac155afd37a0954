"""The state machine: what a job's events, in any order and any number of times, say about its state.

Events only add facts (a start, an end, the latest queueing); the state is concluded from all facts. So an event applied
twice changes nothing, and events that arrive late change nothing that newer ones have settled. Order is that of the
stream. Where the stream may lie, because a process kept its events back while Redis was away, the event's own time
must agree.
"""

import dataclasses
import uuid
from typing import Any

from jobroom.celery import retries, traces
from jobroom.conf import settings as limits
from jobroom.exceptions import WorkerLost
from jobroom.jobs import labels
from jobroom.jobs.models import Attempt, Job, LogLine, State, StoredFile
from jobroom.jobs.recorder import rows
from jobroom.jobs.recorder.parse import Event, moment, result_of, state_of

# One more message of an attempt that was queued before: it queues nothing again, as it may not start the job again.
_SAME_ATTEMPT = ("launch", "again-", "beat-")


@dataclasses.dataclass(slots=True)
class Life:
    """One job with all its attempts while a batch is applied."""

    job: Job
    attempts: dict[str, Attempt]
    is_new: bool
    before: str  # its state in the database, empty for a new job
    touched: set[str] = dataclasses.field(default_factory=set)
    dropped: list[Attempt] = dataclasses.field(default_factory=list)
    owner: int | None = None  # whose schedule launched it, if the event says so; no one has looked whether they exist
    labelled: bool = False  # whether its label was made of what it was sent with
    lines: list[LogLine] = dataclasses.field(default_factory=list)
    files: list[StoredFile] = dataclasses.field(default_factory=list)
    results: dict[int, Any] = dataclasses.field(default_factory=dict)  # answers of other jobs, by their events

    def apply(self, event: Event) -> None:
        """Add the facts of one event."""
        _APPLY[event.type](self, event)
        self.job.last_event = max(self.job.last_event, event.seq)
        self.job.created_at = min(self.job.created_at, event.at)
        if "workflow" in event.data and not self.job.workflow_id:
            self.job.workflow_id, self.job.node = event.text("workflow", 64), event.text("node", 40)

    def attempt(self, execution: str) -> Attempt:
        """Return the attempt with that execution, a new one if there is none."""
        if execution in self.job.facts.get("waited", ()):
            return rows.new(Attempt, job_id=self.job.pk, execution=execution)  # known, and not kept
        self.touched.add(execution)
        if execution not in self.attempts:
            self.attempts[execution] = rows.new(Attempt, job_id=self.job.pk, execution=execution)
        return self.attempts[execution]


def _queued(life: Life, event: Event) -> None:
    job, data = life.job, event.data
    job.task = job.task or event.text("task")
    first = not data.get("retries")
    if first and (not job.source or event.at < job.created_at):
        job.source = event.text("source", 10)
        job.schedule, job.parent_id, job.root_id = event.text("schedule"), event.text("parent"), event.text("root")
    if first and job.owner_id is None and data.get("owner") is not True:
        life.owner = event.number("owner")
    stands_in = event.text("dispatch").startswith(retries.REPLACEMENT)
    if (first or not job.label) and data.get("args") is not None and not stands_in:
        _keep_arguments(life, data)
    _keep_trace(job, event)
    if _queues(job, event):
        job.queued_event, job.queued_at = event.seq, event.at
        job.queue = _queue_after(job, event) or job.queue
        job.priority = event.number("priority")
        job.run_after = moment(data.get("eta"))
        _keep_message(job, data, data.get("task") if stands_in else None)


def _queue_after(job: Job, event: Event) -> str:
    """Return the queue that a message was sent to, or the one that an operator has moved it to since."""
    moved = job.facts.get("moved", {})
    return str(moved["queue"]) if moved.get("event", 0) > event.seq else event.text("queue")


def _moved(life: Life, event: Event) -> None:
    if event.seq > life.job.facts.get("moved", {}).get("event", 0):
        life.job.queue = event.text("queue") or life.job.queue
        life.job.facts = {**life.job.facts, "moved": {"event": event.seq, "queue": life.job.queue}}


def _queues(job: Job, event: Event) -> bool:
    """Return whether the job is queued again: not by one more message of an attempt that was queued before.

    Such a message may not start the job again. Of several the first counts, of others the last, in whatever order they come.
    """
    again, dispatch = job.facts.get("again"), event.text("dispatch")
    if dispatch.startswith(_SAME_ATTEMPT):
        queues = not job.queued_event or bool(again and event.seq < job.queued_event)
    else:
        queues = bool(again) or event.seq > job.queued_event
    if queues and (again or dispatch.startswith("again-")):
        job.facts = {**job.facts, "again": dispatch.startswith("again-")}
    return queues


def _keep_trace(job: Job, event: Event) -> None:
    """Note the trace of the newest message that the job was sent with."""
    header = traces.header_of(event.data.get(traces.HEADER))
    if header and event.seq >= job.facts.get("trace", {}).get("event", 0):
        job.facts = {**job.facts, "trace": {"event": event.seq, "header": header}}


def _keep_message(job: Job, data: dict[str, Any], stands_in: str | None) -> None:
    """Note what is not among the columns and is needed to send the message once more; `stands_in`: the task in its place."""
    said = {"retries": data.get("retries") or 0, "bound": bool(data.get("bound")), "stands_in": stands_in}
    if any(said.values()) or said.keys() & job.facts.keys():
        job.facts = {**job.facts, **said}


def _keep_arguments(life: Life, data: dict[str, Any]) -> None:
    job = life.job
    args, kwargs = data.get("args") or [], data.get("kwargs") or {}
    if (job.args, job.kwargs) == (args, kwargs):
        return  # a launch has named what the ids in them stand for
    job.args, job.kwargs = args, kwargs
    job.label, life.labelled = labels.of_recorded(job.task, args, kwargs), True


def _started(life: Life, event: Event) -> None:
    job, attempt = life.job, life.attempt(event.text("execution"))
    job.task = job.task or event.text("task")
    job.queue = job.queue or event.text("queue")
    job.may_rerun = bool(event.data.get("may_rerun"))
    _keep_trace(job, event)
    if not job.label and event.data.get("args") is not None:
        _keep_arguments(life, event.data)
    if attempt.started_event is not None and attempt.started_event <= event.seq:
        return
    attempt.started_event, attempt.started_at = event.seq, event.at
    attempt.waited = _waited(life, attempt, event)
    attempt.worker, attempt.instance = event.text("worker"), event.text("instance")
    attempt.pid = event.number("pid")


def _waited(life: Life, attempt: Attempt, event: Event) -> float | None:
    """Return the seconds from the attempt's turn to its start; None for one that starts without having been queued for it."""
    turn = max((moment for moment in (life.job.queued_at, life.job.run_after) if moment is not None), default=None)
    if turn is None:
        return None
    for other in life.attempts.values():
        # A message that is delivered once more, after its worker was killed, has had its turn.
        if other is not attempt and other.state != State.QUEUED and other.started_at and other.started_at >= turn:
            return None
    return max(0.0, (event.at - turn).total_seconds())


def _progress(life: Life, event: Event) -> None:
    if event.seq > life.job.progress.get("event", 0):
        keys = ("execution", "fraction", "current", "total", "message", "stage")
        life.job.progress = {
            "event": event.seq,
            "at": event.at.timestamp(),
            **{key: event.data.get(key) for key in keys},
            **({"memory": memory} if (memory := event.number("memory")) else {}),
        }


def _log(life: Life, event: Event) -> None:
    life.lines.append(
        LogLine(
            id=event.seq,
            job=life.job,
            execution=event.text("execution"),
            at=event.at,
            level=event.text("level", 10) or "info",
            message=event.said("message", limits.LOG_LINE_LIMIT),
            obj=event.text("obj"),
        )
    )


def _file(life: Life, event: Event) -> None:
    life.files.append(
        StoredFile(
            id=uuid.UUID(event.data["file"]),
            name=event.text("name") or "file",
            content_type=event.text("content_type", 100) or "application/octet-stream",
            size=event.data["size"],
            sha256=event.text("sha256", 64),
            job_id=life.job.pk,
            created_at=event.at,
        )
    )


def _ended(life: Life, event: Event) -> None:
    execution = event.text("execution")
    if event.data.get("answer_of"):
        _answered(life, event)
    if execution:
        _end_attempt(life.attempt(execution), event)
        return
    if event.type == "waiting":
        return
    # A worker that meets a cancelled job says so too. It is news only where nothing else has ended the job.
    kind = "noticed" if event.data.get("noticed") else "closing"
    if event.seq > life.job.facts.get(kind, {}).get("event", 0):
        closing = {
            "event": event.seq,
            "at": event.at.isoformat(),
            "state": state_of(event).value,
            "error": event.said("error", limits.ERROR_LIMIT),
            "error_type": event.text("error_type"),
            "traceback": event.said("traceback", limits.TRACEBACK_LIMIT),
        }
        life.job.facts = {**life.job.facts, kind: closing}


def _replaced(life: Life, event: Event) -> None:
    """Note that what took the job's place is sent, and since when it waits for that: since its run has said that it waits."""
    since = life.attempt(event.text("execution")).finished_event or 0
    before = life.job.facts.get("replaced", {})
    if since > before.get("event", 0):
        life.job.facts = {**life.job.facts, "replaced": {**before, "event": since}}


def _answered(life: Life, event: Event) -> None:
    """Note whose answer the job waits for, or got.

    Two notes: who launches a job may report that it waits after another process has already reported its end.
    """
    note = "awaited" if event.type == "waiting" else "answered"
    if event.seq > life.job.facts.get(note, {}).get("event", 0):
        likeness = event.data.get("likeness")
        entry = {
            "event": event.seq,
            "answer_of": event.text("answer_of"),
            "likeness": float(likeness) if isinstance(likeness, int | float) else None,
        }
        if event.data.get("batch") is True:
            entry["batch"] = True  # it did not ask the same, it was one of a batch
        life.job.facts = {**life.job.facts, note: entry}
        life.results[event.seq] = result_of(event)


def _is_concluded(state: str, error_type: str) -> bool:
    """Return whether others say so of an execution: it was lost, or it was lost and its message is delivered again."""
    return state == State.LOST or (state == State.RETRYING and error_type == WorkerLost.__name__)


def _end_attempt(attempt: Attempt, event: Event) -> None:
    state = state_of(event)
    if attempt.finished_event is not None:
        # The first word counts; but that it was lost is what others conclude, and yields to the execution's own word.
        known = (_is_concluded(attempt.state, attempt.error_type), attempt.finished_event)
        if (_is_concluded(state, event.text("error_type")), event.seq) >= known:
            return
    attempt.finished_event, attempt.finished_at, attempt.state = event.seq, event.at, state
    runtime = event.data.get("runtime")
    attempt.runtime = float(runtime) if isinstance(runtime, int | float) else None
    attempt.result = result_of(event)
    attempt.error, attempt.error_type = event.said("error", limits.ERROR_LIMIT), event.text("error_type")
    attempt.error_bases = event.names("error_bases")
    attempt.traceback = event.said("traceback", limits.TRACEBACK_LIMIT)
    attempt.lock, attempt.holder = event.text("lock"), event.text("holder")


_APPLY = {
    "queued": _queued,
    "started": _started,
    "progress": _progress,
    "log": _log,
    "file": _file,
    "waiting": _ended,
    "replaced": _replaced,
    "retrying": _ended,
    "finished": _ended,
    "moved": _moved,
}
