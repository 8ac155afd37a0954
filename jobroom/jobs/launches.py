"""Launches a job: one way for page, API, command and schedule."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from celery import current_app
from celery.exceptions import OperationalError
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.signals import post_save
from django.utils import timezone
from kombu.exceptions import EncodeError

from jobroom import events, housekeeping_loops, safe_text
from jobroom.arguments import Schema, WrongArguments, schema_of
from jobroom.arguments.redaction import secret_arguments
from jobroom.cache import Answer
from jobroom.cache.handoff import HEADER
from jobroom.celery import task_limits, traces, tracker
from jobroom.current_task import get_current_task
from jobroom.events import heartbeat
from jobroom.jobs import completion, gate, limits, result_cache, rights_at_start
from jobroom.jobs.calls import Call, holds_hidden
from jobroom.jobs.conf import settings
from jobroom.jobs.exceptions import NotCommitted, SecretsNotKept
from jobroom.jobs.gate import Admitted, Checked, default_queue, task_called
from jobroom.jobs.labels import label_of
from jobroom.jobs.models import Caching, Job, Source, State
from jobroom.jobs.recorder.rows import insert
from jobroom.jobs.signals import repetition_wanted
from jobroom.users import User

logger = logging.getLogger(__name__)

# Of these sources a job may have its row before its message; of code those of `launch_call` alone have, see `send_due`.
_LAUNCHED = [Source.PAGE, Source.API, Source.COMMAND, Source.CODE, Source.TASK]

__all__ = [
    "alaunch",
    "arguments_of",
    "default_queue",
    "has_secrets",
    "launch",
    "launch_again",
    "launch_call",
    "repeat",
    "resend",
    "send_again",
    "send_due",
    "task_called",
]


def launch(
    *,
    task: str,
    arguments: Mapping[str, Any] | Checked,
    by: User | None,
    source: Source,
    queue: str = "",
    run_after: datetime | None = None,
    priority: int | None = None,
    note: str = "",
    tags: Sequence[str] = (),
    caching: str = Caching.USE,
    wait: float = 0.0,
) -> Job:
    """Write the job into the database and send it when the transaction commits; return it.

    `by` None means the machine itself, which may everything. Where the task keeps its answers (`cache_for`) and one fits,
    the job has succeeded already, and nothing is sent; `caching` may say otherwise. With `wait` it is returned as it is
    when it has ended, or after so many seconds: `job.is_finished` says which. The calling thread is held meanwhile.

    Raises UnknownTask, NotOpen, NotAllowed, and WrongArguments with an entry for each wrong field, those of the launch itself
    (`queue`, `run_after`, `priority`) included; NotCommitted when it should wait inside an open transaction.
    """
    if wait:
        _check_committed()
    order = gate.admit(task=task, arguments=arguments, by=by, queue=queue, priority=priority)
    limits.allow_launch(by, task)
    result_cache.check_caching(order.task, caching)
    call = Call.of(order.checked)
    later_than_now = run_after if run_after is not None and run_after > timezone.now() else None
    answer = None if later_than_now else result_cache.kept(call, caching)
    job = _new_job(call, later_than_now)
    job.queue, job.priority, job.owner = order.queue, order.priority, by
    job.source, job.note, job.tags, job.caching = source, note, list(tags), caching
    if answer is not None:
        _answer(job, answer)
    _insert(job)
    if answer is not None:
        transaction.on_commit(lambda: result_cache.report_end(job, answer))
    else:
        _dispatch(call, job)
    return job if not wait or job.is_finished else completion.blocked(job, wait)


def launch_call(
    *,
    task: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    queue: str = "",
    run_after: datetime | None = None,
    priority: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Job:
    """Do what `launch` does for a call in code, by the machine: positional arguments stay what they are.

    Raises UnknownTask, and WrongArguments with an entry for each wrong argument.
    """
    gate.admit_call(task, args, kwargs, None, queue)
    found = task_called(task)
    later_than_now = run_after if run_after is not None and run_after > timezone.now() else None
    call = Call(found, args, kwargs)
    job = _new_job(call, later_than_now)
    job.queue, job.priority, job.facts = queue or default_queue(found), priority, job.facts | dict(facts or {})
    job.source = Source.CODE
    current: Any = get_current_task()
    if current is not None and (request := current.request).id:
        job.source, job.parent_id, job.root_id = Source.TASK, request.id, request.root_id or request.id
    _insert(job)
    _dispatch(call, job)
    return job


def _new_job(call: Call, run_after: datetime | None) -> Job:
    """Return a job that waits for its time or is queued, not written yet."""
    plain_args, plain_kwargs = call.plain
    return Job(
        id=str(uuid.uuid4()),
        task=call.task.name,
        args=plain_args,
        kwargs=plain_kwargs,
        label=label_of(call.schema, plain_args, plain_kwargs),
        run_after=run_after,
        queued_at=None if run_after else timezone.now(),
        facts={"trace": {"event": 0, "header": header}} if (header := traces.current()) else {},
        may_rerun=bool(call.task.acks_late),
        state=State.SCHEDULED if run_after else State.QUEUED,
    )


def _answer(job: Job, answer: Answer) -> None:
    """Give a job that is not written yet the answer that is kept."""
    job.state, job.finished_at = State.SUCCEEDED, timezone.now()
    job.result, job.answer_of, job.likeness = result_cache.result_of(answer), answer.job, answer.likeness
    job.may_have_files = bool(answer.files)


def _dispatch(call: Call, job: Job) -> None:
    """Send the job when the transaction commits; one for later is sent by `send_due` shortly before its time.

    A worker would only hold it in its memory.
    """
    if job.run_after is None or call.has_secrets or job.run_after <= timezone.now() + _held():
        transaction.on_commit(lambda: _send(call, job, "launch"))


def _insert(job: Job) -> None:
    """Write a new job as `save` would: with forty columns the ORM takes three times as long for it."""
    insert(Job, [job])
    job._state.adding, job._state.db = False, connection.alias
    post_save.send(Job, instance=job, created=True, update_fields=None, raw=False, using=connection.alias)


async def alaunch(*, wait: float = 0.0, **options: Any) -> Job:
    """Do what `launch` does, with the same options, without holding a thread while it waits."""

    def begin() -> Job:
        if wait:
            _check_committed()
        return launch(**options)

    job = await sync_to_async(begin)()
    return job if not wait or job.is_finished else await completion.ended(job, wait)


def _check_committed() -> None:
    """Refuse to wait for a job that would be sent only when the waiting is over."""
    if transaction.get_connection().in_atomic_block:
        raise NotCommitted


def repeat(
    *,
    task: str,
    arguments: Mapping[str, Any] | Checked,
    by: User,
    cron: str,
    name: str = "",
    queue: str = "",
    description: str = "",
    expires: datetime | None = None,
    policy: Mapping[str, Any] | None = None,
) -> str:
    """Make a schedule that launches the task, until `expires`; return the address of its page. Raises what `launch` raises.

    `policy` says what becomes of its runs, as the part `policy` of the API does: such as the calendars that it follows.
    """
    order, args, kwargs = kept_call(task=task, arguments=arguments, by=by, queue=queue)
    wanted = {"task": task, "args": args, "kwargs": kwargs, "cron": cron, "name": name, "queue": order.queue, "by": by}
    wanted |= {"description": description, "expires": expires, "policy": dict(policy or {})}
    addresses = [address for _, address in repetition_wanted.send(sender=Job, **wanted) if address]
    if not addresses:
        raise WrongArguments({"cron": ["No app of this site keeps schedules."]})
    return str(addresses[0])


def kept_call(
    *, task: str, arguments: Mapping[str, Any] | Checked, by: User, queue: str = ""
) -> tuple[Admitted, list[Any], dict[str, Any]]:
    """Return a launch that `by` may have repeated, with positional and named arguments; raises what `launch` raises."""
    order = gate.admit(task=task, arguments=arguments, by=by, queue=queue)
    args, kwargs = order.checked.schema.call(order.checked.sent)
    if secret := secret_arguments(order.task.run, args, kwargs):
        reason = "A schedule would keep this secret in plain sight. Leave it out."
        raise WrongArguments({key: [reason] for key in secret})
    return order, args, kwargs


def _held() -> timedelta:
    return timedelta(seconds=2 * settings.HOUSEKEEPING_INTERVAL + settings.SEND_AHEAD)


def _send(call: Call, job: Job, dispatch: str = "") -> bool:
    """Send the message; when the broker is away the job stays in the database and housekeeping sends it later.

    With a `dispatch` no second message of the same attempt, whichever it is, starts the job again. Without one, this is a
    new life of the job, whatever ran before. Nothing is sent for a job that asks what another one computes now.
    """
    options: dict[str, Any] = {"task_id": job.pk, "queue": job.queue}
    if job.priority is not None:
        options["priority"] = job.priority
    if headers := _headers(job, dispatch):
        options["headers"] = headers
    if result_cache.joined(call, job, options):
        return True
    if job.run_after is not None:
        options["eta"] = job.run_after
    if retries := job.facts.get("retries"):
        options["retries"] = retries
    header = job.facts.get("trace", {}).get("header", "")
    launched = tracker.launched.set((job.pk, *call.plain))
    token = tracker.source.set(job.source)
    try:
        with traces.continued(header):
            call.task.apply_async(*call.sealed, **options)
    except OperationalError as error:
        logger.warning("Failed to publish job %s, the broker is unavailable: %s", job.pk, error)
        return False
    except EncodeError as error:
        reason = f"It cannot be sent. {safe_text.error_text(error)}"
        events.emit("finished", job.pk, state="failed", execution=None, error=reason, error_type="EncodeError")
        return True
    finally:
        tracker.source.reset(token)
        tracker.launched.reset(launched)
    return True


def _headers(job: Job, dispatch: str) -> dict[str, Any]:
    """Return what the message of the job says beside what Celery says."""
    found: dict[str, Any] = {}
    if job.caching:
        found[HEADER] = job.caching
    if job.owner_id is not None:
        found[task_limits.PERSON] = job.owner_id
    if dispatch:
        found[tracker.DISPATCH] = dispatch
    if job.run_after is not None and job.owner_id is not None:
        found[tracker.ASK] = True
    return found


def send_again(job: Job, checked: Checked) -> None:
    """Send a finished job once more under its own id; the caller has checked that it may be."""
    call = Call.of(checked)
    job.run_after, job.facts = None, {**job.facts, "retries": 0}
    transaction.on_commit(lambda: _send(call, job))


def resend(job: Job) -> None:
    """Send an unfinished job from the database, whose message is lost, or end it where its owner lost the right to it.

    The caller has seen to its secrets.
    """
    task = task_called(job.task)
    if not rights_at_start.is_refused(job, arguments_of(job)):
        _send(Call(task, job.args, job.kwargs), job, _again())


def why_not_resend(job: Job) -> str:
    """Return why the message of an unfinished job cannot be made again from the history; empty if it can be."""
    if has_secrets(job):
        return "some of its arguments are secret and kept nowhere. Launch it again and give them again."
    if job.facts.get("bound"):
        return "what was to follow it (a chain, a chord, links) was in that message alone. Launch all of it again."
    if task := job.facts.get("stands_in"):
        return f"it was that of {task}, which the job had given its place to, and is kept nowhere else. Launch the job again."
    if job.task not in current_app.tasks:
        return "its task is not known here. Launch it again where it is."
    return ""


def _again() -> str:
    """Return a name for one more message of an attempt."""
    return f"again-{uuid.uuid4().hex[:8]}"


def send_due(*, until: datetime | None = None) -> int:
    """Send the launched jobs whose message was not sent: their time comes now, or the broker was away; return how many.

    `until` is the moment up to which the history knows everything. Each is claimed by a conditional update first, so two
    of us do not send it twice; and if its first message is on its way after all, a worker starts only one of both.
    """
    now = timezone.now()
    due = Job.objects.filter(queued_event=0, source__in=_LAUNCHED, execution="", answer_of="")
    tried = min(now, until or now) - timedelta(seconds=settings.UNSENT_AFTER)
    scheduled = due.filter(
        Q(queued_at=None) | Q(queued_at__lt=tried), state=State.SCHEDULED, run_after__lte=now + _held()
    )
    unsent = due.filter(state=State.QUEUED, queued_at__lt=tried)
    found = [*scheduled[:500], *unsent[:500]]
    held = _held_by_workers() if found else set()
    count = 0
    for job in found:
        with housekeeping_loops.isolated("sending what is due", f"job {job.pk}"):
            count += job.pk not in held and _send_one(job, now)
    return count


def _send_one(job: Job, now: datetime) -> bool:
    task = current_app.tasks.get(job.task)
    if task is None or has_secrets(job) or not _claim(job, now):
        return False
    if rights_at_start.is_refused(job, arguments_of(job)):
        return False
    return _send(Call(task, job.args, job.kwargs), job, _again())


def _held_by_workers() -> set[str]:
    """Return the jobs that living workers say they hold, whatever has become of their events."""
    return {job for worker in heartbeat.workers() if worker.alive for job in worker.held}


def _claim(job: Job, now: datetime) -> bool:
    unchanged = Job.objects.filter(pk=job.pk, state=job.state, queued_event=0, queued_at=job.queued_at)
    return bool(unchanged.update(queued_at=now))


def has_secrets(job: Job) -> bool:
    """Return whether some of the job's arguments are hidden; those are kept nowhere."""
    return holds_hidden(job.args) or holds_hidden(job.kwargs)


def arguments_of(job: Job, schema: Schema | None = None) -> dict[str, Any]:
    """Return the job's arguments by name, hidden ones left out: to fill a form with."""
    if schema is None:
        schema = schema_of(task_called(job.task))
    try:
        named = schema.bind(job.args, job.kwargs)
    except WrongArguments:
        named = dict(job.kwargs)  # the signature has changed since
    return {name: value for name, value in named.items() if not holds_hidden(value)}


def launch_again(*, job: Job, by: User | None, source: Source) -> Job:
    """Launch the same task with the same arguments as a new job; raise SecretsNotKept where they are not known."""
    if has_secrets(job):
        raise SecretsNotKept
    return launch(
        task=job.task,
        arguments=arguments_of(job),
        by=by,
        source=source,
        queue=job.queue,
        priority=job.priority,
        note=job.note,
        tags=job.tags,
    )
