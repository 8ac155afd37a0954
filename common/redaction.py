"""Secrets are hidden before arguments reach a log, a page, a mail or the book."""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from common.conf import settings

HIDDEN = "••••••"
# Deeper than any argument is meant to be; what lies below is not shown at all.
DEEPEST = 50
# A shorter secret cannot be told from ordinary text in a traceback.
SHORTEST = 4

# All patterns are bounded, because a traceback may hold a word of a million letters.
# The password in an address such as postgres://user:password@host.
_IN_ADDRESS = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@'\"]{0,200}:)[^\s/@'\"]{1,500}(?=@)", re.IGNORECASE
)
_IN_HEADER = re.compile(r"(?P<before>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE)


class Secret:
    """Marks an argument as secret: `def run(self, code: Annotated[str, Secret])`."""


@functools.lru_cache(maxsize=8)
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


@functools.lru_cache(maxsize=8)
def _assignment(expression: str) -> re.Pattern[str]:
    """Return the pattern of `password='…'`, `"token": "…"` and `secret=…` in running text."""
    # Code without quotation marks (`token = settings.TOKEN`) is left alone: it is no secret, and the reader needs it.
    quoted, bare = r"\s*[:=]\s*(?='[^'\n]|\"[^\"\n])", r"=(?=[^\s='\"])"
    return re.compile(
        rf"(?P<before>(?:{expression})\w{{0,40}}['\"]?(?:{quoted}|{bare}))"
        r"(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s'\",;&)\]}(\[{]+(?![\w(.\[]))",
        re.IGNORECASE,
    )


def is_secret_name(name: str) -> bool:
    """Return whether an argument or key of that name is hidden."""
    return bool(_pattern(settings.SECRET_NAMES).search(name))


def hide(value: Any, depth: int = 0) -> Any:
    """Return `value` with everything under a secret name, and the password in an address, replaced at any depth."""
    if isinstance(value, str):
        return _IN_ADDRESS.sub(rf"\g<before>{HIDDEN}", value) if "://" in value else value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if depth >= DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return {k: HIDDEN if is_secret_name(str(k)) else hide(v, depth + 1) for k, v in value.items()}
        return [hide(item, depth + 1) for item in value]
    return value


def _says_secret(hint: Any) -> bool:
    """Return whether an annotation marks a secret, also inside `… | None` or `list[…]`; a text that says so counts."""
    if isinstance(hint, str):
        return bool(re.search(r"\bSecret\b", hint))
    marks = getattr(hint, "__metadata__", ())
    return any(mark is Secret or isinstance(mark, Secret) for mark in marks) or any(
        _says_secret(part) for part in typing.get_args(hint) if not isinstance(part, str)
    )


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the annotations of `function`; as they are written where one of them cannot be evaluated here."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (TypeError, ValueError, NameError, AttributeError, SyntaxError):
        return getattr(function, "__annotations__", {})


@functools.lru_cache(maxsize=2048)
def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], str, frozenset[str]]:
    """Return the names of the positional parameters, that of `*args`, and those that are annotated as secret."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return (), "", frozenset()
    positional = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    rest = "".join(p.name for p in parameters if p.kind is p.VAR_POSITIONAL)
    return positional, rest, frozenset(name for name, hint in _hints(function).items() if _says_secret(hint))


def _named(function: Callable[..., Any] | None, args: Any, kwargs: Any) -> Iterator[tuple[int | None, str, Any, bool]]:
    """Yield position (None for a named argument), name, value and whether it is secret, for each argument."""
    names, rest, secret = _parameters(function) if function else ((), "", frozenset())
    # A caller without the arguments themselves may have their text only.
    positional = args if isinstance(args, list | tuple) else [] if args is None else [args]
    for i, value in enumerate(positional):
        name = names[i] if i < len(names) else rest
        yield i, name, value, name in secret or is_secret_name(name)
    for name, value in (kwargs if isinstance(kwargs, Mapping) else {}).items():
        yield None, str(name), value, name in secret or is_secret_name(str(name))


def hide_arguments(function: Callable[..., Any] | None, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call of `function` with secrets hidden, by name and by annotation."""
    plain: list[Any] = []
    named: dict[str, Any] = {}
    for position, name, value, is_secret in _named(function, args, kwargs):
        shown = HIDDEN if is_secret else hide(value)
        if position is None:
            named[name] = shown
        else:
            plain.append(shown)
    return plain, named


def _texts(value: Any, is_secret: bool, depth: int = 0) -> Iterator[str]:
    """Yield every secret text in `value`."""
    if depth >= DEEPEST:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, is_secret or is_secret_name(str(key)), depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item, is_secret, depth + 1)
    elif is_secret and value is not None and not isinstance(value, bool):
        yield str(value)


def secrets_of(function: Callable[..., Any] | None, args: Any, kwargs: Any) -> set[str]:
    """Return the texts that `hide_arguments` hides, for `hide_in_text`."""
    return {
        text
        for _, _, value, is_secret in _named(function, args, kwargs)
        for text in _texts(value, is_secret)
        if len(text) >= SHORTEST
    }


def hide_in_text(text: str, secrets: typing.AbstractSet[str] = frozenset()) -> str:
    """Return `text`, such as a traceback, without `secrets` and without what looks like one.

    Hidden are the secrets themselves, also as Python or an address writes them, passwords in addresses, what follows
    `Bearer`, and what is assigned to a secret name. A secret that a task has changed (cut, encoded) is not recognised.
    """
    forms = {form for s in secrets for form in (s, repr(s)[1:-1], quote(s), quote(s, safe=""), quote_plus(s))}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    for pattern in (_IN_ADDRESS, _IN_HEADER, _assignment(settings.SECRET_NAMES)):
        text = pattern.sub(rf"\g<before>{HIDDEN}", text)
    return text
