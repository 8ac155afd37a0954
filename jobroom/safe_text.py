"""Safe `str()`, `repr()` and class names of objects that are not ours: theirs may raise, block or return nonsense.

Whatever they do, the caller gets a text, and the text says so. Nothing here raises.
"""

import traceback
from collections.abc import Callable
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery.exceptions import NotRegistered
from celery.utils.serialization import UnpickleableExceptionWrapper

from jobroom.exceptions import JobFailed

# Longest list of base classes that is kept.
MOST_BASES = 20


def _guarded(ask: Callable[[Any], Any], value: Any, name: str) -> str:
    try:
        said = ask(value)
        if isinstance(said, str):
            return str.__str__(said)  # a subclass of str may have a __str__ of its own
        return f"<{class_name(value)} whose {name} returned {class_name(said)}>"
    except BaseException as error:  # noqa: BLE001 — the boundary: foreign code, which may even try to end the process
        return f"<{class_name(value)} whose {name} raised {class_name(error)}>"


def text_of(value: Any) -> str:
    """Return `str(value)`, or a text that says why there is none."""
    if issubclass(type(value), str):
        return str.__str__(value)  # a subclass may have a __str__ of its own
    return _guarded(str, value, "__str__")


def repr_of(value: Any) -> str:
    """Return `repr(value)`, or a text that says why there is none."""
    return _guarded(repr, value, "__repr__")


def class_name(value: Any) -> str:
    """Return the name of the class of `value`."""
    # Asked of `type` itself: a metaclass may have another idea of its name.
    name = type.__dict__["__name__"].__get__(type(value))
    return str(name)


def full_name(kind: type) -> str:
    """Return module and qualified name of a class, as an import would be written; of a built-in one its name alone."""
    try:
        module, name = str(kind.__module__), str(kind.__qualname__)
    except Exception:  # noqa: BLE001 — a metaclass is foreign code too
        return "unknown"
    return name if module == "builtins" else f"{module}.{name}"


def error_type(error: BaseException) -> str:
    """Return the short name of the class of `error`, also of one that Celery has wrapped on its way."""
    if isinstance(error, UnpickleableExceptionWrapper):
        return text_of(error.exc_cls_name)
    return class_name(error)


def error_bases(error: BaseException) -> list[str]:
    """Return the full name of the class of `error`, then those of its bases up to Exception.

    After them come those of the error that it stands for, which another job has raised.
    """
    if isinstance(error, UnpickleableExceptionWrapper):
        return [f"{text_of(error.exc_module)}.{text_of(error.exc_cls_name)}"]
    own = [full_name(kind) for kind in type(error).__mro__ if kind not in (BaseException, object)]
    others = error.stands_for if isinstance(error, JobFailed) else ()
    return list(dict.fromkeys([*own, *map(text_of, others)]))[:MOST_BASES]


def is_one_of(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """Return whether the error is of one of these classes, by itself or by the full names of its class and its bases.

    Celery, the broker and a job that stands for another hand on substitutes, which know their origin by name alone.
    """
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    try:
        if isinstance(error, wanted):
            return True
    except Exception:  # noqa: BLE001, S110 — a metaclass is foreign code too
        pass
    return not {full_name(kind) for kind in wanted}.isdisjoint(error_bases(error))


def error_text(error: BaseException) -> str:
    """Return what an error says, in our words where its class says all."""
    if isinstance(error, SoftTimeLimitExceeded):
        return "The job ran into its soft time limit."
    if isinstance(error, TimeLimitExceeded):
        return (
            f"The job ran into its hard time limit of {text_of(error.args[0] if error.args else '?')} s and was killed."
        )
    if isinstance(error, UnpickleableExceptionWrapper):
        return text_of(vars(error).get("text"))
    if isinstance(error, NotRegistered) and error.args:
        return text_of(error.args[0])  # a KeyError, whose str() puts its sentence into quotes
    return text_of(error)


def traceback_of(error: BaseException) -> str:
    """Return the traceback as Python prints it."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as broken:  # noqa: BLE001 — its causes and notes are foreign code too
        return f"{error_type(error)}: {error_text(error)} (its traceback cannot be written: {class_name(broken)})"
