"""From a person's answers to a queued job: one way for page, API, command and schedule."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from celery import current_app
from celery.exceptions import OperationalError
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.signals import post_save
from django.utils import timezone

from common import tracking
from common.answers import Answer
from common.answers.handing import HEADER
from common.arguments import Schema, WrongArguments, schema_of
from common.redaction import HIDDEN, hide_arguments
from common.storable import unstorable
from jobs import answers, ends, files, policies
from jobs.conf import settings
from jobs.exceptions import NotAllowed, NotCommitted, SecretsNotKept, UnknownTask
from jobs.models import Caching, Job, Source, State
from jobs.recorder.life import label
from jobs.recorder.rows import insert
from jobs.signals import repetition_wanted

logger = logging.getLogger(__name__)


def task_called(name: str) -> Any:
    """Return the registered task; raise UnknownTask, which names similar ones."""
    task = current_app.tasks.get(name)
    if task is None or name.startswith("celery."):
        raise UnknownTask(name, [known for known in current_app.tasks if not known.startswith("celery.")])
    return task


def default_queue(task: Any) -> str:
    """Return the queue to which the task goes when nobody chooses."""
    route = current_app.amqp.router.route({}, task.name)
    queue = route.get("queue") or getattr(task, "queue", None)
    return str(getattr(queue, "name", queue) or current_app.conf.task_default_queue)


def launch(
    *,
    task: str,
    arguments: Mapping[str, Any],
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
    """Write the job into the book and send it when the transaction commits; return it.

    `by` None means the machine itself, which may everything. Where the task keeps its answers (`cache_for`) and one fits,
    the job has succeeded already, and nothing is sent; `caching` may say otherwise. With `wait` it is returned as it is
    when it has ended, or after so many seconds: `job.is_finished` tells which. The calling thread is held meanwhile.

    Raises UnknownTask, NotAllowed, and WrongArguments with an entry for each wrong field, those of the launch itself
    (`queue`, `run_after`, `priority`) included; NotCommitted when it shall wait inside an open transaction.
    """
    if wait:
        _check_committed()
    found = task_called(task)
    if by is not None and not policies.may_launch(by, task):
        raise NotAllowed(f"You may not launch {task}. Ask an administrator for a rule that opens it to your group.")
    schema = schema_of(found)
    sent = _checked(schema, arguments, by)
    chosen = queue or default_queue(found)
    _check_launch(found, by, chosen, priority)
    answers.check_caching(found, caching)
    args, kwargs = schema.call(sent)
    plain_args, plain_kwargs = hide_arguments(found.run, args, kwargs)
    later = run_after is not None and run_after > timezone.now()
    answer = None if later else answers.kept(answers.asked(found, sent, caching), caching)
    job = Job(
        id=str(uuid.uuid4()),
        task=task,
        args=plain_args,
        kwargs=plain_kwargs,
        label=label(plain_args, plain_kwargs),
        queue=chosen,
        priority=priority,
        source=source,
        owner=by,
        run_after=run_after if later else None,
        queued_at=None if later else timezone.now(),
        may_rerun=bool(found.acks_late),
        note=note,
        tags=list(tags),
        caching=caching,
        **(_answered(answer) if answer is not None else {"state": State.SCHEDULED if later else State.QUEUED}),
    )
    _insert(job)
    if answer is not None:
        job.may_have_files = bool(answer.files)
        transaction.on_commit(lambda: answers.tell(job, answer))
    elif job.run_after is None or has_secrets(job) or job.run_after <= timezone.now() + _held():
        transaction.on_commit(lambda: _send(found, job, args, kwargs))
    # Else it is sent by `send_due` shortly before its time: a worker would only hold it in its memory.
    return job if not wait or job.is_finished else ends.blocked(job, wait)


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
    return job if not wait or job.is_finished else await ends.ended(job, wait)


def _check_committed() -> None:
    """Refuse to wait for a job that would be sent only when the waiting is over."""
    if transaction.get_connection().in_atomic_block:
        raise NotCommitted


def _answered(answer: Answer) -> dict[str, Any]:
    """Return the columns of a job that has its answer before it was ever sent."""
    return {
        "state": State.SUCCEEDED,
        "finished_at": timezone.now(),
        "result": answers.result_of(answer),
        "answer_of": answer.job,
        "likeness": answer.likeness,
    }


def _checked(schema: Schema, arguments: Mapping[str, Any], by: User | None) -> dict[str, Any]:
    """Return the arguments as JSON; a row that `by` may not see is as unknown as one that does not exist."""
    if errors := unstorable(arguments):
        raise WrongArguments(errors)
    errors = _hidden_rows(schema, arguments, by) if by is not None else {}
    try:
        with files.read_by(by):
            sent = schema.wire(arguments)
    except WrongArguments as wrong:
        raise WrongArguments({**wrong.errors, **errors}) from wrong
    if errors:
        raise WrongArguments(errors)
    return sent


def _hidden_rows(schema: Schema, arguments: Mapping[str, Any], by: User) -> dict[str, list[str]]:
    """Return an error for each argument that names rows hidden from `by`, if their model says what is visible."""
    errors: dict[str, list[str]] = {}
    for parameter in schema.parameters:
        visible_to = getattr(parameter.model and parameter.model._default_manager.all(), "visible_to", None)
        value = arguments.get(parameter.name)
        if parameter.model is None or visible_to is None or value is None:
            continue
        try:
            missing = _not_in(visible_to(by), value, many=parameter.kind == "models")
        except (ValueError, TypeError, OverflowError):
            continue  # no id at all: the schema says so
        if missing:
            errors[parameter.name] = [f"There is no {parameter.model._meta.verbose_name} {missing}."]
    return errors


def _not_in(rows: QuerySet[Any], value: Any, *, many: bool) -> str:
    """Return the id, or ids, that are not among `rows`, as the schema would name unknown ones; empty if all are."""
    if not many:
        return "" if rows.filter(pk=getattr(value, "pk", value)).exists() else repr(value)
    wanted = [getattr(item, "pk", item) for item in value]
    found = {str(pk) for pk in rows.filter(pk__in=wanted).values_list("pk", flat=True)}
    return ", ".join(sorted({str(pk) for pk in wanted} - found))


def repeat(*, task: str, arguments: Mapping[str, Any], by: User, cron: str, name: str = "", queue: str = "") -> str:
    """Make a schedule that launches the task; return the address of its page. Raises what `launch` raises."""
    found = task_called(task)
    if not policies.may_launch(by, task):
        raise NotAllowed(f"You may not launch {task}. Ask an administrator for a rule that opens it to your group.")
    schema = schema_of(found)
    secret = [p.name for p in schema.parameters if p.secret and arguments.get(p.name)]
    if secret:
        reason = "A schedule would keep this secret in plain sight. Leave it out."
        raise WrongArguments({key: [reason] for key in secret})
    args, kwargs = schema.call(_checked(schema, arguments, by))
    chosen = queue or default_queue(found)
    _check_launch(found, by, chosen, None)
    wanted = {"task": task, "args": args, "kwargs": kwargs, "cron": cron, "name": name, "queue": chosen, "by": by}
    addresses = [address for _, address in repetition_wanted.send(sender=Job, **wanted) if address]
    if not addresses:
        raise WrongArguments({"cron": ["No app of this site keeps schedules."]})
    return str(addresses[0])


def _held() -> timedelta:
    return timedelta(seconds=2 * settings.HOUSEKEEPING_INTERVAL + settings.SEND_AHEAD)


def _check_launch(task: Any, by: User | None, queue: str, priority: int | None) -> None:
    errors: dict[str, list[str]] = {}
    # The task's own queue is open to everybody who may launch it.
    if by is not None and queue != (default := default_queue(task)):
        allowed = policies.queues_for(by, task.name, default)
        if queue not in allowed:
            errors["queue"] = [f"“{queue}” cannot be chosen for this task. Allowed: {', '.join(allowed)}."]
    if priority is not None and not 0 <= priority <= 9:
        errors["priority"] = ["Give a number from 0 (soonest) to 9 (last)."]
    if errors:
        raise WrongArguments(errors)


def _send(task: Any, job: Job, args: Any, kwargs: Any) -> bool:
    """Send the message; when the broker is away the job stays in the book and housekeeping sends it later.

    Nothing is sent for a job that asks what another one computes now.
    """
    options: dict[str, Any] = {"task_id": job.pk, "queue": job.queue}
    if job.priority is not None:
        options["priority"] = job.priority
    if job.caching:
        options["headers"] = {HEADER: job.caching}
    if answers.joined(task, job, args, kwargs, options):
        return True
    if job.run_after is not None:
        options["eta"] = job.run_after
    token = tracking.source.set(job.source)
    try:
        task.apply_async(args, kwargs, **options)
    except OperationalError as error:
        logger.warning("Job %s waits for the broker: %s", job.pk, error)
        return False
    finally:
        tracking.source.reset(token)
    return True


def send_again(job: Job, arguments: Mapping[str, Any]) -> None:
    """Send a finished job once more under its own id; the caller has checked that it may be."""
    task = task_called(job.task)
    schema = schema_of(task)
    args, kwargs = schema.call(schema.wire(arguments))
    job.run_after = None
    transaction.on_commit(lambda: _send(task, job, args, kwargs))


def resend(job: Job) -> None:
    """Send an unfinished job from the book, whose message is lost; the caller has seen to its secrets."""
    _send(task_called(job.task), job, job.args, job.kwargs)


def send_due() -> int:
    """Send the launched jobs whose message was not sent: their time comes now, or the broker was away; return how many.

    Each is claimed by a conditional update first, so two of us do not send it twice.
    """
    now = timezone.now()
    due = Job.objects.filter(
        queued_event=0, source__in=[Source.PAGE, Source.API, Source.COMMAND], execution="", answer_of=""
    )
    # The recorder may be behind; a message that was sent has been told long before this.
    tried = now - timedelta(seconds=settings.UNSENT_AFTER)
    scheduled = due.filter(
        Q(queued_at=None) | Q(queued_at__lt=tried), state=State.SCHEDULED, run_after__lte=now + _held()
    )
    unsent = due.filter(state=State.QUEUED, queued_at__lt=tried)
    count = 0
    for job in [*scheduled[:500], *unsent[:500]]:
        if not _claim(job, now):
            continue
        task = current_app.tasks.get(job.task)
        if task is not None and not has_secrets(job):
            count += _send(task, job, job.args, job.kwargs)
    return count


def _claim(job: Job, now: datetime) -> bool:
    unchanged = Job.objects.filter(pk=job.pk, state=job.state, queued_event=0, queued_at=job.queued_at)
    return bool(unchanged.update(queued_at=now))


def has_secrets(job: Job) -> bool:
    """Return whether some of the job's arguments are hidden; those are kept nowhere."""
    return _contains_hidden(job.args) or _contains_hidden(job.kwargs)


def _contains_hidden(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_contains_hidden(item) for item in value.values())
    if isinstance(value, list):
        return any(_contains_hidden(item) for item in value)
    return isinstance(value, str) and HIDDEN in value


def arguments_of(job: Job, schema: Schema | None = None) -> dict[str, Any]:
    """Return the job's arguments by name, hidden ones left out: to fill a form with."""
    if schema is None:
        schema = schema_of(task_called(job.task))
    try:
        named = schema.bind(job.args, job.kwargs)
    except WrongArguments:
        named = dict(job.kwargs)  # the signature has changed since
    return {name: value for name, value in named.items() if not _contains_hidden(value)}


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
