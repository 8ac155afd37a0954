"""Makes the name of a lock from a task and its arguments, and its Redis keys."""

import hashlib
import inspect
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobroom import redis

LONGEST = 200

Naming = str | Callable[..., Any]


def clean(name: object) -> str:
    """Return `name` as it is shown and stored; a very long one ends in a hash of the whole."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"The name of a lock is a text that is not empty, not {name!r}.")
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{name[: LONGEST - len(digest) - 1]}~{digest}"


def keys(name: str) -> list[str]:
    """Return the keys of the lock `name` in the order in which the scripts want them."""
    return [redis.key("lock", name), redis.key("lock-last", name), redis.key("lock-fencing"), index_key()]


def index_key() -> str:
    """Return the key of the sorted set of all held locks."""
    return redis.key("locks")


def audit_key() -> str:
    """Return the key of the stream that records which locks were broken, by whom and why."""
    return redis.key("lock-audit")


def namer(lock_id: Naming, run: Callable[..., Any]) -> Callable[..., str]:
    """Return the function arguments → name of the lock of one call of `run`.

    `lock_id` is the name itself, a template that names arguments ("Import {submission_id}"), or a callable that takes
    the arguments of `run` (without `self`) and returns the name. A template with an unknown argument raises TypeError.
    """
    if callable(lock_id):
        return lambda args, kwargs: str(lock_id(*_without_task(args), **kwargs))
    fields = _fields(lock_id)
    if not fields:
        fixed = lock_id.format()
        return lambda args, kwargs: fixed
    signature = inspect.signature(run)
    _refuse_unknown(lock_id, fields, signature)
    return lambda args, kwargs: lock_id.format(**_bound(signature, args, kwargs))


def _fields(template: str) -> set[str]:
    found = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    return {field.partition(".")[0].partition("[")[0] for field in found}


def _refuse_unknown(template: str, fields: set[str], signature: inspect.Signature) -> None:
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return
    unknown = sorted(fields - set(signature.parameters))
    if unknown:
        known = ", ".join(name for name in signature.parameters if name != "self") or "none"
        raise TypeError(
            f"lock_id={template!r} names {unknown[0]!r}, which is no argument of the task; these are: {known}."
        )


def _bound(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    values = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            values.update(values.pop(name))
    return values


def _without_task(args: Sequence[Any]) -> Sequence[Any]:
    from celery import Task

    return args[1:] if args and isinstance(args[0], Task) else args
