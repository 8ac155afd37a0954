"""The one gate: whatever starts or changes work has its arguments made here, for the person who asks, by the rights of now.

Page, API, command, schedule, workflow, rerun, resume, retry and preset all come through `check`, which looks at the schema,
at the rows and files that the arguments name, and at what no message can carry; `admit` adds the right to launch the task,
and its queue. `by` None is the machine itself, which may everything.

What a person may not see does not exist: a hidden task, row or file gets the answer of one that there is not, word for word.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery import current_app
from django.db.models import QuerySet
from kombu.utils.json import dumps

from jobroom.arguments import Parameter, Schema, WrongArguments, schema_of
from jobroom.arguments.storable import unstorable
from jobroom.celery import payload_limits
from jobroom.celery.routes import routed
from jobroom.conf import settings as limits
from jobroom.jobs import files, policies
from jobroom.jobs.exceptions import NotAllowed, NotOpen, UnknownTask
from jobroom.jobs.requester import asked_by
from jobroom.users import User

NOT_OPEN = "Ask an administrator for a rule that opens it to your group."


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """Arguments that have passed the gate: for this task, and for this person."""

    task: Any
    by: User | None
    sent: dict[str, Any]  # as JSON, by name

    @property
    def schema(self) -> Schema:
        """The schema that they fit."""
        return schema_of(self.task)


@dataclasses.dataclass(frozen=True, slots=True)
class Admitted:
    """A launch that the person may make: what is left is to write it down and to send it."""

    checked: Checked
    queue: str
    priority: int | None

    @property
    def task(self) -> Any:
        """The registered task."""
        return self.checked.task


# Tasks -----------------------------------------------------------------------------------------------------------------


def task_called(name: str) -> Any:
    """Return the registered task; raise UnknownTask, which names similar ones."""
    task = current_app.tasks.get(name)
    if task is None or name.startswith("celery."):
        raise UnknownTask(name, _names())
    return task


def _names() -> list[str]:
    return [known for known in current_app.tasks if not known.startswith("celery.")]


def task_for(name: str, by: User | None) -> Any:
    """Return the task if `by` may know of it; raise UnknownTask or NotOpen, the same for hidden tasks and for none."""
    if by is None or policies.sees_all(by):
        return task_called(name)
    task = current_app.tasks.get(name)
    if task is None or name.startswith("celery.") or not policies.may_know_of(by, name):
        raise NotOpen(name, [known for known in _names() if policies.may_know_of(by, known)])
    return task


def task_to_launch(name: str, by: User | None) -> Any:
    """Return the task if `by` may launch it now; raise UnknownTask, NotOpen or NotAllowed."""
    task = task_for(name, by)
    if by is not None and not policies.may_launch(by, name):
        raise NotAllowed(f"You may not launch {name}. {NOT_OPEN}")
    return task


def default_queue(task: Any) -> str:
    """Return the queue to which the task goes when no one chooses."""
    return routed(task.name, getattr(task, "queue", None))


# Arguments -------------------------------------------------------------------------------------------------------------


def check(task: Any, arguments: "Mapping[str, Any] | Checked", by: User | None) -> Checked:
    """Return the arguments as JSON; a row or a file that `by` may not see is as unknown as one that does not exist.

    What has been checked for the same task and person is returned as it is. Raises WrongArguments, which names each field.
    """
    if isinstance(arguments, Checked):
        if arguments.task is task and arguments.by == by:
            return arguments
        arguments = arguments.sent
    if errors := unstorable(arguments):
        raise WrongArguments(errors)
    schema = schema_of(task)
    errors = {**hidden_rows(schema.parameters, arguments, by), **_left_empty(schema.parameters, arguments)}
    try:
        with asked_by(by):
            sent = schema.wire(arguments)
            errors = {**_not_offered(schema.parameters, sent), **errors}
    except WrongArguments as wrong:
        raise WrongArguments({**wrong.errors, **errors}) from wrong
    if errors:
        raise WrongArguments(errors)
    _check_size(sent)
    return Checked(task, by, sent)


def _left_empty(parameters: Sequence[Parameter], arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return an error for each text that the task needs and that is empty: a form, the API and a command mean the same."""
    needed = (p.name for p in parameters if p.required and not p.nullable and p.kind == "text")
    return {name: ["This argument is needed."] for name in needed if arguments.get(name) == ""}


def _not_offered(parameters: Sequence[Parameter], sent: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return an error for each value that is none of those which its task offers for the other answers."""
    answers = {p.name: p.default for p in parameters} | dict(sent)
    errors: dict[str, list[str]] = {}
    for p in (p for p in parameters if p.argument.choices is not None and sent.get(p.name) is not None):
        offered = p.argument.choices(answers) if callable(p.argument.choices) else p.argument.choices
        known = [_token(one[0] if isinstance(one, tuple | list) else one) for one in offered or ()]
        value = sent[p.name]
        unknown = [item for item in (value if isinstance(value, list) else [value]) if _token(item) not in known]
        if unknown:
            choose = f"Choose one of {_some(known)}." if known else "There is nothing to choose from yet."
            errors[p.name] = [f"“{str(unknown[0])[:100]}” is not offered now. {choose}"]
    return errors


def _token(value: Any) -> str:
    return value if isinstance(value, str) else str(dumps(value, default=str))


def _some(names: Sequence[str], most: int = 12) -> str:
    return f"{', '.join(names[:most])}{f' and {len(names) - most} more' if len(names) > most else ''}"


def _check_size(sent: Mapping[str, Any]) -> None:
    """Refuse arguments that no message can hold, and name the largest."""
    texts = {name: dumps(value) for name, value in sent.items()}
    if sum(map(len, texts.values())) > limits.MESSAGE_LIMIT:
        largest = max(texts, key=lambda name: len(texts[name]))
        reason = payload_limits.problem(f"[{','.join(texts.values())}]")
        raise WrongArguments({largest: [reason]})


def admit(
    *,
    task: str,
    arguments: Mapping[str, Any] | Checked,
    by: User | None,
    queue: str = "",
    priority: int | None = None,
) -> Admitted:
    """Return the launch that `by` may make now; raise UnknownTask, NotOpen, NotAllowed or WrongArguments."""
    found = task_to_launch(task, by)
    checked = check(found, arguments, by)
    chosen = queue or default_queue(found)
    _check_launch(found, by, chosen, priority)
    return Admitted(checked, chosen, priority)


def check_call(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], by: User | None, later: Callable[[Any], bool]
) -> None:
    """Check what a task is called with where parts of it are known `later`; a task of other places is not looked at.

    Args:
        name: the task.
        args: positional arguments, as JSON.
        kwargs: named arguments, as JSON.
        by: the person in whose name it is called.
        later: says of a value whether it stands for one that is not known yet. Such values are left out.

    Raises:
        WrongArguments: with an entry for each field that is wrong.

    """
    task = current_app.tasks.get(name)
    if task is None:
        return
    schema = schema_of(task)
    given = {key: value for key, value in schema.bind(args, kwargs).items() if key != schema.rest}
    known = {key: value for key, value in given.items() if not _holds(value, later)}
    errors = unstorable(known) or hidden_rows(schema.parameters, _without(given, later), by)
    try:
        with asked_by(by):
            schema.validate(known)
    except WrongArguments as wrong:
        left = {key: texts for key, texts in wrong.errors.items() if key in known or key not in given}
        errors = {**left, **errors}
    if errors:
        raise WrongArguments(errors)


def admit_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], by: User | None, queue: str = "") -> None:
    """Check that `by` may have the task called so now; raise UnknownTask, NotOpen, NotAllowed or WrongArguments."""
    found = task_to_launch(name, by)
    check_call(name, args, kwargs, by, lambda value: False)
    _check_launch(found, by, queue or default_queue(found), None)


def hidden_parts(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], by: User | None, later: Callable[[Any], bool]
) -> dict[str, list[str]]:
    """Return an error for each argument of a call that names rows or files which `by` may not see, or which are gone."""
    task = current_app.tasks.get(name)
    if task is None or by is None:
        return {}
    schema = schema_of(task)
    try:
        given = _without(schema.bind(args, kwargs), later)
    except WrongArguments:
        return {}  # it cannot even be called so, and fails in its worker
    return hidden_rows(schema.parameters, given, by) | _hidden_files(schema.parameters, given, by)


def _hidden_files(parameters: Sequence[Parameter], given: Mapping[str, Any], by: User) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    with asked_by(by):
        for name in (p.name for p in parameters if p.kind == "file" and given.get(p.name) is not None):
            try:
                files.load(str(given[name]))
            except ValueError as error:
                errors[name] = [str(error)]
    return errors


def _holds(value: Any, later: Callable[[Any], bool]) -> bool:
    """Return whether something in the value is known later; not recursive, as it may be deep."""
    left = [value]
    while left:
        item = left.pop()
        if later(item):
            return True
        left += item.values() if isinstance(item, Mapping) else item if isinstance(item, list | tuple) else ()
    return False


def _without(given: Mapping[str, Any], later: Callable[[Any], bool]) -> dict[str, Any]:
    """Return the arguments without those that are known later, and without such items of lists."""
    return {
        name: [item for item in value if not later(item)] if isinstance(value, list | tuple) else value
        for name, value in given.items()
        if not later(value)
    }


def hidden_rows(parameters: Sequence[Parameter], arguments: Mapping[str, Any], by: User | None) -> dict[str, list[str]]:
    """Return an error for each argument that names rows hidden from `by`, if their model says what is visible."""
    errors: dict[str, list[str]] = {}
    for parameter in parameters if by is not None else ():
        value = arguments.get(parameter.name)
        if parameter.model is None or value is None:
            continue
        missing = hidden_row(parameter.model, value, by, many=parameter.kind == "models")
        if missing:
            errors[parameter.name] = [missing]
    return errors


def hidden_row(model: Any, value: Any, by: User | None, *, many: bool = False) -> str:
    """Return the sentence about an id, or about ids, which `by` may not see; empty if there is nothing to say."""
    visible_to = getattr(model._default_manager.all(), "visible_to", None)
    if visible_to is None or by is None:
        return ""
    try:
        missing = _not_in(visible_to(by), value, many=many)
    except (ValueError, TypeError, OverflowError):
        return ""  # no id at all: the schema says so
    return f"There is no {model._meta.verbose_name} {missing}." if missing else ""


def _not_in(rows: QuerySet[Any], value: Any, *, many: bool) -> str:
    """Return the id, or ids, that are not among `rows`, as the schema would name unknown ones; empty if all are."""
    if not many:
        return "" if rows.filter(pk=getattr(value, "pk", value)).exists() else repr(value)
    wanted = [getattr(item, "pk", item) for item in value]
    found = {str(pk) for pk in rows.filter(pk__in=wanted).values_list("pk", flat=True)}
    return ", ".join(sorted({str(pk) for pk in wanted} - found))


def _check_launch(task: Any, by: User | None, queue: str, priority: int | None) -> None:
    errors: dict[str, list[str]] = {}
    # The task's own queue is open to everyone who may launch it.
    if by is not None and queue != (default := default_queue(task)):
        allowed = policies.queues_for(by, task.name, default)
        if queue not in allowed:
            errors["queue"] = [f"“{queue}” cannot be chosen for this task. Allowed: {', '.join(allowed)}."]
    if priority is not None and not 0 <= priority <= 9:
        errors["priority"] = ["Give a number from 0 (soonest) to 9 (last)."]
    if errors:
        raise WrongArguments(errors)
