"""Secrets are hidden before arguments reach a log, a page, a mail or the book."""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from common.conf import settings

HIDDEN = "••••••"


class Secret:
    """Marks an argument as secret: `def run(self, code: Annotated[str, Secret])`."""


@functools.lru_cache(maxsize=8)
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Return whether an argument or key of that name is hidden."""
    return bool(_pattern(settings.SECRET_NAMES).search(name))


def hide(value: Any) -> Any:
    """Return `value` with everything under a secret name replaced, at any depth."""
    if isinstance(value, Mapping):
        return {k: HIDDEN if is_secret_name(str(k)) else hide(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [hide(item) for item in value]
    return value


@functools.lru_cache(maxsize=2048)
def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the positional parameters' names and the names that are annotated as secret."""
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
    except (TypeError, ValueError, NameError):
        return (), frozenset()
    positional = tuple(
        p.name for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    )
    secret = {name for name, hint in hints.items() if Secret in getattr(hint, "__metadata__", ())}
    return positional, frozenset(secret)


def hide_arguments(
    function: Callable[..., Any] | None, args: Any, kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call of `function` with secrets hidden, by name and by annotation."""
    names, secret = _parameters(function) if function else ((), frozenset())

    def shown(name: str, value: Any) -> Any:
        return HIDDEN if name in secret or is_secret_name(name) else hide(value)

    plain = [shown(names[i], value) if i < len(names) else hide(value) for i, value in enumerate(args or ())]
    return plain, {name: shown(name, value) for name, value in (kwargs or {}).items()}
