"""Declares `batch=` on a task: many calls become one call with a list of them.

The author writes the function for the whole batch, and each of its arguments takes a list. What is sent is one call, which
gives one value of each: so form, API and command ask for one value. `one_call` is the function that stands between both.
"""

import contextvars
import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobroom.locks.names import Naming, clean, namer
from jobroom.resources.declaration import is_marked

# So many calls one batch has at most: their arguments are in the memory of the one process that runs them.
MOST = 1000
LONGEST = 24 * 3600.0

# The calls of the batch that is about to run in this context, each bound to the names of its arguments.
_calls: contextvars.ContextVar[Sequence[Mapping[str, Any]] | None] = contextvars.ContextVar("calls", default=None)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Calls that run together: `@app.task(batch=Batch(100, seconds=5))`.

    `most` calls, or those that came within `seconds` of the first, become one. `key` distinguishes calls that do not belong into one
    batch: a template of the task's arguments, or a function of them.
    """

    most: int
    seconds: float = 5.0
    key: Naming = ""

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        number: object = self.most  # whatever a task says
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST:
            raise ValueError(f"A batch has 1 to {MOST} calls, not {number!r}.")
        seconds: object = self.seconds
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST:
            raise ValueError(f"The first call of a batch waits for 0 to {LONGEST:.0f} seconds, not {seconds!r}.")


class Batched:
    """The batch of one task: finds into which batch a call of it belongs."""

    def __init__(self, task: Any, declared: Batch) -> None:
        self.declared = declared
        self.name = clean(task.name)
        self._key = namer(declared.key, task.run) if declared.key else None

    def key_of(self, args: Any, kwargs: Any) -> str:
        """Return the key of a call, empty where all belong together; raises what a function of the project raises."""
        return "" if self._key is None else clean(self._key(tuple(args), dict(kwargs)) or "-")


def batch_of(task: Any) -> Batched | None:
    """Return the batch that a task declares, None for one without; raises ValueError and TypeError that say what is wrong.

    A class-based task may have an attribute of that name for itself: what is no `Batch` is left to it.
    """
    said = getattr(task, "batch", None)
    return Batched(task, said) if isinstance(said, Batch) else None


def one_call(run: Callable[..., Any], *, bound: bool) -> Callable[..., Any]:
    """Return the function of one call for `run`, which takes lists; raise TypeError for an argument that takes none.

    Called as it is, it runs a batch of one, and returns the result of that call. Called `together`, it runs them all.
    """
    signature, shared = _of_one(run, skip=bound)

    @functools.wraps(run)
    def single(*args: Any, **kwargs: Any) -> Any:
        calls = _calls.get()
        _calls.set(None)  # a call inside of the run is one of its own
        first, rest = (args[:1], args[1:]) if bound else ((), args)
        if calls is None:
            arguments = signature.bind(*rest, **kwargs)
            arguments.apply_defaults()
            result = run(*first, **_columns([arguments.arguments], shared))
            return result[0] if isinstance(result, list | tuple) and len(result) == 1 else result
        filled_in = {name: value for name, value in kwargs.items() if name in shared}
        return run(*first, **{**_columns(calls, shared), **filled_in})

    parameters = list(signature.parameters.values())
    itself = [next(iter(inspect.signature(run).parameters.values()))] if bound else []
    single.__signature__ = signature.replace(parameters=[*itself, *parameters])  # type: ignore[attr-defined]
    single.__annotations__ = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
    single.of_one = signature  # type: ignore[attr-defined]
    return single


def together(
    run: Callable[..., Any], calls: Sequence[tuple[Sequence[Any], Mapping[str, Any]]], go: Callable[[], Any]
) -> Any:
    """Return what `go`, which calls the function of one call, returns where it is called with all of the calls."""
    function: Any = run
    while not hasattr(function, "of_one"):  # Celery's retry, a lock and the like stand around it
        function = function.__wrapped__
    parameters = [p for p in function.of_one.parameters.values() if not is_marked(p.annotation)]
    signature = function.of_one.replace(parameters=parameters)
    bound = []
    for args, kwargs in calls:
        arguments = signature.bind(*args, **kwargs)
        arguments.apply_defaults()
        bound.append(arguments.arguments)
    token = _calls.set(bound)
    try:
        return go()
    finally:
        _calls.reset(token)


def _columns(calls: Sequence[Mapping[str, Any]], shared: frozenset[str]) -> dict[str, Any]:
    """Return each argument as the list of its values; what is filled in with a resource is one for all."""
    names = calls[0]
    return {name: calls[0][name] if name in shared else [call[name] for call in calls] for name in names}


def _of_one(run: Callable[..., Any], *, skip: bool) -> tuple[inspect.Signature, frozenset[str]]:
    """Return the signature of one call, and the names of what is filled in."""
    hints = typing.get_type_hints(run, include_extras=True)
    parameters, shared = [], set()
    for parameter in list(inspect.signature(run).parameters.values())[int(skip) :]:
        hint = hints.get(parameter.name)
        if is_marked(hint):
            shared.add(parameter.name)
            parameters.append(parameter.replace(annotation=hint))
            continue
        item = typing.get_args(hint)[:1] if typing.get_origin(hint) is list else ()
        if not item or parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise TypeError(
                f"Each argument of a task with batch= takes a list of values, one of each call: give {parameter.name} a hint "
                "such as list[int]."
            )
        parameters.append(parameter.replace(annotation=item[0], default=_default(parameter)))
    return inspect.Signature(parameters), frozenset(shared)


def _default(parameter: inspect.Parameter) -> Any:
    said = parameter.default
    if said is parameter.empty:
        return said
    if isinstance(said, list | tuple) and len(said) == 1:
        return said[0]
    raise TypeError(
        f"The default of {parameter.name} is that of one call, in a list of one such as [None], not {said!r}."
    )
