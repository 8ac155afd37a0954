"""The key of a cached result: made from the task, the task's version and the content of its arguments.

A task that says `cache_for` is answered once: two jobs with the same key ask the same, and the second gets the answer of
the first. The key is keyed with SECRET_KEY, because arguments may be secrets that someone could guess.
"""

import dataclasses
import hashlib
import hmac
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings

from jobroom.arguments import File, Schema, WrongArguments, schema_of
from jobroom.cache.similarity import Similar
from jobroom.conf import settings

logger = logging.getLogger(__name__)

# Hexadecimal digits of a key's digest.
DIGITS = 40


@dataclasses.dataclass(frozen=True)
class Question:
    """What one job asks."""

    task: str
    key: str  # equal for jobs that ask the same
    content: str  # digest of all arguments, whatever the fingerprint makes of them
    version: str
    seconds: float  # how long the answer is kept
    own: bool  # the task has a fingerprint of its own: equal keys do not mean equal arguments
    alike: Similar | None = None
    group: str = ""  # equal for questions whose likeness means something


def keeps_answers(task: Any) -> bool:
    """Return whether answers of the task are kept; those of untracked tasks never are."""
    return getattr(task, "cache_for", None) is not None and bool(getattr(task, "tracked", False))


def kept_seconds(task: Any) -> float | None:
    """Return for how many seconds answers of the task are kept; None when they are not."""
    return min(_seconds(task.cache_for), float(settings.ANSWERS_MAX_AGE)) if keeps_answers(task) else None


def declared(name: str, options: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError when a task declares its answers wrongly; `options` are its class attributes."""
    cache_for = options.get("cache_for")
    if cache_for is None:
        return
    if isinstance(cache_for, bool) or not isinstance(cache_for, int | float | timedelta):
        raise TypeError(f"cache_for of {name}: give seconds or a timedelta, not {cache_for!r}.")
    if not _seconds(cache_for) > 0:
        raise ValueError(f"cache_for of {name}: give more than 0 seconds, or leave it out.")
    fingerprint = options.get("fingerprint")
    if fingerprint is not None and not callable(getattr(fingerprint, "__func__", fingerprint)):
        raise TypeError(f"fingerprint of {name}: give a function of the arguments, not {fingerprint!r}.")


def plain(option: Any) -> Any:
    """Return a function that a task is given as an option so that it stays one; a method (`self`) becomes one."""
    if not inspect.isfunction(option):
        return option
    first = next(iter(inspect.signature(option).parameters), "")
    return option if first == "self" else staticmethod(option)


def _seconds(cache_for: float | timedelta) -> float:
    return cache_for.total_seconds() if isinstance(cache_for, timedelta) else float(cache_for)


def question(task: Any, named: Mapping[str, Any], *, checked: bool = False) -> Question | None:
    """Return what a call of `task` with the arguments `named` (as a message has them) asks.

    Those that the gate has `checked` fit, and are not validated once more.
    None when it cannot be computed, because the arguments do not fit, or because the version or the fingerprint of the task
    raise, which is logged: such a job is computed.
    """
    schema = schema_of(task)
    try:
        wired = {**schema.defaults_on_the_wire, **named} if checked else _content(schema, named)
        content = _digest(_canonical(_with_files(schema, wired)))
        version = _version(task)
        mark = _fingerprint(task, schema, wired) if task.fingerprint is not None else content
    except WrongArguments:
        return None  # the job itself will say so
    except Exception:  # the boundary to what the task's author wrote: a job is never lost for its fingerprint
        logger.exception("The cache key of a job of %s cannot be computed, so its result is not cached", task.name)
        return None
    alike = mark if isinstance(mark, Similar) else None
    marked = [alike.exact, alike.bits] if alike is not None else mark
    return Question(
        task=task.name,
        key=f"{task.name}|{_digest(_canonical([version, marked]))}",
        content=content,
        version=version,
        seconds=kept_seconds(task) or 0.0,
        own=task.fingerprint is not None,
        alike=alike,
        group=_digest(_canonical([version, alike.exact])) if alike is not None else "",
    )


def _content(schema: Schema, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments as JSON, those left out with their defaults."""
    defaults = {p.name: p.default for p in schema.parameters if not p.required and p.name not in named}
    # What is no rich type reaches `run` as it came, and so it counts as it came.
    given = {} if schema.rich else dict(named)
    try:
        return {**schema.wire({**defaults, **named}), **given}
    except WrongArguments as wrong:
        unfit = set(wrong.errors)
    if not schema.rich and not unfit <= defaults.keys():
        return {**defaults, **named}
    # Defaults that do not fit their own hints are taken as they are.
    fit = {name: value for name, value in defaults.items() if name not in unfit}
    return {**defaults, **schema.wire({**fit, **named}), **given}


def _with_files(schema: Schema, wired: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with the digests of files in place of their ids."""
    found = dict(wired)
    for parameter in schema.parameters:
        value = wired.get(parameter.name)
        if value is None:
            continue
        if parameter.kind == "file":
            found[parameter.name] = _file_digest(value)
        elif parameter.item == "file":
            found[parameter.name] = [_file_digest(item) for item in value]
    return found


def _file_digest(file_id: str) -> str:
    if File.load is None:
        raise LookupError("No app keeps files here.")
    file = File.load(str(file_id))
    known = getattr(file, "sha256", "")
    if known:
        return str(known)
    with file.path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _version(task: Any) -> str:
    version = task.version
    return str(version() if callable(version) else version)


def _fingerprint(task: Any, schema: Schema, wired: Mapping[str, Any]) -> str | Similar:
    """Ask the task, with those arguments that its fingerprint names, as `run` gets them."""
    values = schema.validate(wired) if schema.rich else dict(wired)
    mark = task.fingerprint(**_wanted(task.fingerprint, values))
    if not isinstance(mark, str | Similar):
        raise TypeError(f"fingerprint of {task.name}: return a text or a Similar, not {type(mark).__name__}.")
    return mark


def _wanted(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(values)
    return {name: value for name, value in values.items() if name in parameters}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def _digest(text: str) -> str:
    return hmac.new(django_settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:DIGITS]
