"""Checks a schedule's arguments against the signature of its task, before anything is sent."""

import difflib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter
from typing import Annotated, Any, Literal, NamedTuple, Union

from celery import current_app

from jobroom.arguments.redaction import secret_arguments

# What a JSON value must be for a plain type; bool is not int, though Python says so.
_CHECKS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    int: ("a whole number such as 5", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: ("a number such as 0.5", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    str: ('a text in double quotes such as "abc"', lambda value: isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    list: ("a list such as [1, 2]", lambda value: isinstance(value, list)),
    tuple: ("a list such as [1, 2]", lambda value: isinstance(value, list)),
    dict: ('an object such as {"name": 1}', lambda value: isinstance(value, dict)),
    type(None): ("null", lambda value: value is None),
}


class Problem(NamedTuple):
    """What is wrong with the arguments: the form field, the argument's name (empty for all of them), the sentence."""

    field: str
    argument: str
    text: str


def registered_tasks() -> dict[str, Any]:
    """Return the tasks that may be scheduled, by name; Celery's own chores are left out."""
    return {name: task for name, task in sorted(current_app.tasks.items()) if not name.startswith("celery.")}


def closest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest of `known`, or all of them when none is near."""
    names = list(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    if near:
        return f"Did you mean “{lowered[near[0]]}”?"
    return f"Known: {', '.join(f'“{candidate}”' for candidate in names)}." if names else "There are none."


def _known(value: Any) -> bool:
    return True


def argument_problems(
    task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], known: Callable[[Any], bool] = _known
) -> list[Problem]:
    """Return what is wrong with calling `task` so; an empty list means that the call fits.

    Type hints are checked as far as JSON has the type: int, float, str, bool, list, dict, None, unions and literals; not
    those of values that are not `known`, such as a hidden secret or the result of a node that has not run.
    """
    parameters = list(inspect.signature(task.run).parameters.values())
    return [
        *_surplus(parameters, args),
        *_unknown(parameters, args, kwargs),
        *_missing(parameters, args, kwargs),
        *_mistyped(task, parameters, args, kwargs, known),
    ]


def secret_problems(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Problem]:
    """Return the arguments that a schedule may not keep, because they hold a secret; asked where a person writes one."""
    return [
        Problem(
            "kwargs" if name in kwargs else "args",
            name,
            f"“{name}” holds a secret, and a schedule would keep it in plain sight: leave it out, and let the task read it "
            "from a setting.",
        )
        for name in secret_arguments(task.run, args, kwargs)
    ]


def _positional(parameters: list[Parameter]) -> list[Parameter]:
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _named(parameters: list[Parameter]) -> list[str]:
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _surplus(parameters: list[Parameter], args: Sequence[Any]) -> list[Problem]:
    names = [p.name for p in _positional(parameters)]
    if len(args) <= len(names) or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return []
    takes = f"at most {len(names)} ({', '.join(names)})" if names else "none"
    surplus = len(args) - len(names)
    return [Problem("args", "", f"The task takes {takes}, but {len(args)} are given: remove the last {surplus}.")]


def _unknown(parameters: list[Parameter], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Problem]:
    found = []
    taken = {p.name for p in _positional(parameters)[: len(args)]}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = _named(parameters)
    for name in kwargs:
        if name in names and name in taken:
            text = f"“{name}” is given twice, by position and by name: remove one of them."
            found.append(Problem("kwargs", name, text))
        elif name not in names and not open_ended:
            text = f"“{name}” is not an argument of the task. {closest(name, names)}"
            found.append(Problem("kwargs", name, text if names else f"{text} Remove it."))
    return found


def _missing(parameters: list[Parameter], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Problem]:
    given = {p.name for p in _positional(parameters)[: len(args)]} | set(kwargs)
    found = []
    for p in parameters:
        if p.name in given or p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if p.kind is p.POSITIONAL_ONLY:
            found.append(Problem("args", p.name, f"“{p.name}” is missing: add its value to the list."))
        else:
            found.append(Problem("kwargs", p.name, f'“{p.name}” is missing: add "{p.name}": and its value.'))
    return found


def _mistyped(
    task: Any,
    parameters: list[Parameter],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    known: Callable[[Any], bool],
) -> Iterable[Problem]:
    hints = _hints(task.run)
    by_position = [("args", p.name, value) for p, value in zip(_positional(parameters), args, strict=False)]
    by_name = [("kwargs", name, value) for name, value in kwargs.items() if name in _named(parameters)]
    for field, name, value in (*by_position, *by_name):
        if name in hints and known(value) and not _fits(value, hints[name]):
            shown = json.dumps(value, ensure_ascii=False)
            shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
            yield Problem(field, name, f"“{name}” must be {_described(hints[name])}, not {shown}.")


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (AttributeError, NameError, SyntaxError, TypeError):
        return {}  # hints that cannot be read say nothing about the values


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the types that `hint` allows, each without its parameters."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _alternatives(typing.get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return tuple(part for option in typing.get_args(hint) for part in _alternatives(option))
    return (hint,) if origin is None or origin is Literal else (origin,)


def _fits(value: Any, hint: Any) -> bool:
    for option in _alternatives(hint):
        if typing.get_origin(option) is Literal:
            if any(value == choice and type(value) is type(choice) for choice in typing.get_args(option)):
                return True
        elif option not in _CHECKS or _CHECKS[option][1](value):
            return True
    return False


def _described(hint: Any) -> str:
    words: list[str] = []
    for option in _alternatives(hint):
        if typing.get_origin(option) is Literal:
            words.extend(json.dumps(choice, ensure_ascii=False, default=str) for choice in typing.get_args(option))
        else:
            words.append(_CHECKS[option][0])
    return " or ".join(words)
