"""Hides secrets before they reach a log, a page, a mail or the history.

Three things are known to be secret: what has a secret name, what its task marks as `Secret`, and the values that the
jobs which run in this process were given as such (`running`).
"""

import base64
import copy
import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from kombu.utils.json import dumps, loads

from jobroom import safe_text
from jobroom.arguments import encryption
from jobroom.conf import settings

HIDDEN = "••••••"
# Deeper than any argument is meant to be; what lies below is not shown at all.
DEEPEST = 50
# A shorter secret cannot be distinguished from ordinary text in a traceback.
SHORTEST = 4
# Characters of base64 that are enough to recognise a secret inside a longer text that was encoded as a whole.
ENCODED = 8
# Secrets of one job that are looked for in its texts; a job with more of them is not a job for people.
MOST = 200

# All patterns are bounded, because a traceback may hold a word of a million characters.
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


def hide(value: Any, depth: int = 0, secrets: typing.AbstractSet[str] = frozenset()) -> Any:
    """Return `value` with secrets replaced at any depth.

    Replaced are everything under a secret name, the password in an address, what is sealed, and `secrets` where they
    stand in a text or are the whole of a number.
    """
    if isinstance(value, str):
        return _without(_IN_ADDRESS.sub(rf"\g<before>{HIDDEN}", value) if "://" in value else value, secrets)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if depth >= DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return HIDDEN if encryption.is_sealed(value) else _hidden_values(value, depth, secrets)
        return [hide(item, depth + 1, secrets) for item in value]
    return HIDDEN if secrets and type(value) in {int, float} and str(value) in secrets else value


def _hidden_values(value: Mapping[Any, Any], depth: int, secrets: typing.AbstractSet[str]) -> dict[Any, Any]:
    return {
        (_without(k, secrets) if isinstance(k, str) else k): (
            HIDDEN if is_secret_name(safe_text.text_of(k)) else hide(v, depth + 1, secrets)
        )
        for k, v in value.items()
    }


def hide_in_json(text: str, secrets: typing.AbstractSet[str] = frozenset()) -> str:
    """Return JSON text without secrets; where there are none it is `text` itself, and nothing is parsed."""
    if not is_suspect(text, secrets):
        return text
    return json.dumps(hide(json.loads(text), secrets=secrets), ensure_ascii=False)


def is_suspect(text: str, secrets: typing.AbstractSet[str] = frozenset()) -> bool:
    """Return whether there may be a secret in JSON text: most have none, and are not parsed."""
    if encryption.MARK in text or is_secret_name(text) or ("://" in text and _IN_ADDRESS.search(text)):
        return True
    return any(form in text for form in _all_forms(frozenset(secrets)))


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


def returns_secret(function: Callable[..., Any] | None) -> bool:
    """Return whether the task marks what it returns: `def run(self) -> Annotated[str, Secret]`."""
    return function is not None and "return" in _parameters(function)[2]


def takes_secret(function: Callable[..., Any]) -> bool:
    """Return whether some argument of the function is hidden, by its name or by its annotation."""
    names, _, secret = _parameters(function)
    return bool(secret) or any(map(is_secret_name, names))


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
    secrets = running()
    for position, name, value, is_secret in _named(function, args, kwargs):
        shown = HIDDEN if is_secret else hide(value, secrets=secrets)
        if position is None:
            named[name] = shown
        else:
            plain.append(shown)
    return plain, named


def _unsealed(value: Any) -> Any:
    try:
        return encryption.opened(value)
    except encryption.CannotOpen:
        return None  # the job cannot open it either, and so cannot reveal it


def seal_arguments(
    function: Callable[..., Any] | None, args: Any, kwargs: Any, keep: Callable[[Any], bool] = lambda value: False
) -> tuple[Any, Any]:
    """Return the arguments with every secret in them sealed; themselves where there is none.

    `keep` says of a value that it is no secret but a place where one will be put.
    """
    named = list(_named(function, args, kwargs))
    if not any(True for _, _, value, is_secret in named for _ in _texts(value, is_secret)):
        return args, kwargs
    plain = [_sealed(value, is_secret, keep) for position, _, value, is_secret in named if position is not None]
    return plain, {
        name: _sealed(value, is_secret, keep) for position, name, value, is_secret in named if position is None
    }


def seal_signatures(value: Any, function_of: Callable[[str], Callable[..., Any] | None]) -> Any:
    """Return Celery's signatures (links, the rest of a chain, a chord's body) with the secrets in them sealed.

    The signatures stay what they are for the code that made them; `function_of` gives the function of a task by its name.
    """
    if not value or not any(_texts_of_signature(one, function_of) for one in _signatures(value)):
        return value
    value = copy.deepcopy(value)
    for signature in _signatures(value):
        function = function_of(str(signature["task"]))
        args, kwargs = seal_arguments(
            function, signature.get("args") or (), signature.get("kwargs") or {}, _is_signature
        )
        signature["args"], signature["kwargs"] = list(args), kwargs
    return value


def secrets_of_signatures(value: Any, function_of: Callable[[str], Callable[..., Any] | None]) -> set[str]:
    """Return the secret texts among the arguments of signatures."""
    return {text for one in _signatures(value) for text in _texts_of_signature(one, function_of)}


def _texts_of_signature(signature: Any, function_of: Callable[[str], Callable[..., Any] | None]) -> set[str]:
    function = function_of(str(signature["task"]))
    return secrets_of(function, signature.get("args"), signature.get("kwargs"))


def _is_signature(value: Any) -> bool:
    return isinstance(value, dict) and "task" in value and "kwargs" in value


def _signatures(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Yield every signature in `value`, those inside others included."""
    if depth >= DEEPEST:
        return
    if isinstance(value, list | tuple):
        for item in value:
            yield from _signatures(item, depth + 1)
    elif isinstance(value, dict):
        if _is_signature(value):
            yield value
        for item in list(value.values()):
            yield from _signatures(item, depth + 1)


def _sealed(value: Any, is_secret: bool, keep: Callable[[Any], bool], depth: int = 0) -> Any:
    if keep(value) or encryption.is_sealed(value) or depth >= DEEPEST:
        return value
    if isinstance(value, Mapping):
        return {
            key: _sealed(item, is_secret or is_secret_name(str(key)), keep, depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_sealed(item, is_secret, keep, depth + 1) for item in value]
    return encryption.seal(value) if is_secret and not isinstance(value, bool) else value


def seal_result(value: Any) -> Any:
    """Return a result in which secrets are sealed, by name and those of the running jobs; itself where there is none.

    Raises TypeError and ValueError where it is no JSON.
    """
    secrets = running()
    if not is_suspect(dumps(value), secrets):
        return value
    return seal_leaves(loads(dumps(value)), secrets)


def seal_leaves(
    value: Any, secrets: typing.AbstractSet[str] = frozenset(), is_secret: bool = False, depth: int = 0
) -> Any:
    """Return JSON in which every text under a secret name, and every one that contains one of `secrets`, is sealed."""
    if encryption.is_sealed(value) or depth >= DEEPEST:
        return value
    if isinstance(value, Mapping):
        return {k: seal_leaves(v, secrets, is_secret_name(str(k)), depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [seal_leaves(item, secrets, is_secret, depth + 1) for item in value]
    if isinstance(value, str) and (is_secret or _without(value, secrets) != value):
        return encryption.seal(value)
    return encryption.seal(value) if type(value) in {int, float} and str(value) in secrets else value


def _texts(value: Any, is_secret: bool, depth: int = 0) -> Iterator[str]:
    """Yield every secret text in `value`."""
    if depth >= DEEPEST:
        return
    if encryption.is_sealed(value):
        value, is_secret = _unsealed(value), True
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, is_secret or is_secret_name(safe_text.text_of(key)), depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item, is_secret, depth + 1)
    elif is_secret and value is not None and not isinstance(value, bool):
        yield safe_text.text_of(value)


def secret_arguments(function: Callable[..., Any] | None, args: Any, kwargs: Any) -> list[str]:
    """Return the names of the arguments that hold a secret, also somewhere inside."""
    return [name for _, name, value, is_secret in _named(function, args, kwargs) if any(_texts(value, is_secret))]


def without_secrets(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the arguments without those that hold a secret by a name, also inside, and whether there were any."""
    kept = {name: value for name, value in arguments.items() if not any(_texts(value, is_secret_name(name)))}
    return kept, len(kept) < len(arguments)


def secrets_of(function: Callable[..., Any] | None, args: Any, kwargs: Any) -> set[str]:
    """Return the texts that `hide_arguments` hides, for `hide_in_text`."""
    return {
        text
        for _, _, value, is_secret in _named(function, args, kwargs)
        for text in _texts(value, is_secret)
        if len(text) >= SHORTEST
    }


# The secrets of the jobs that run in this process, by job: a thread that a job starts logs them too.
_running: dict[str, frozenset[str]] = {}


def begin(job: str, function: Callable[..., Any] | None, args: Any, kwargs: Any) -> None:
    """Know the secrets of a job from now on."""
    found = secrets_of(function, args, kwargs)
    if found:
        _running[job] = frozenset(sorted(found, key=len, reverse=True)[:MOST])


def learn(job: str, value: Any) -> None:
    """Know one more secret of a running job: what it returns, where its author marks that."""
    found = {text for text in _texts(value, is_secret=True) if len(text) >= SHORTEST}
    _running[job] = _running.get(job, frozenset()) | frozenset(list(found)[:MOST])


def end(job: str) -> None:
    """Forget the secrets of a job."""
    _running.pop(job, None)


def running() -> frozenset[str]:
    """Return the secrets of all jobs that run in this process."""
    if not _running:
        return frozenset()
    return frozenset().union(*list(_running.values()))


def hide_in_text(text: str, secrets: typing.AbstractSet[str] = frozenset()) -> str:
    """Return `text`, such as a traceback, without `secrets` and without what looks like one.

    Hidden are the secrets themselves, also as Python, JSON, an address or base64 writes them, passwords in addresses, what
    follows `Bearer`, and what is assigned to a secret name. A secret that a task has changed otherwise (cut, encrypted) is
    not recognised.
    """
    text = _without(text, secrets)
    for pattern in (_IN_ADDRESS, _IN_HEADER, _assignment(settings.SECRET_NAMES)):
        text = pattern.sub(rf"\g<before>{HIDDEN}", text)
    return text


def _without(text: str, secrets: typing.AbstractSet[str]) -> str:
    """Return `text` without `secrets` in any form in which they are usually written."""
    if secrets:
        for form in _all_forms(frozenset(secrets)):
            if form in text:
                text = text.replace(form, HIDDEN)
    return text


@functools.lru_cache(maxsize=64)
def _all_forms(secrets: frozenset[str]) -> tuple[str, ...]:
    """Return all forms of all secrets, the longest first."""
    return tuple(sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True))


# How texts are written inside others: by Python, by Python in double quotes, by Celery's log lines, by JSON.
_WRITERS: tuple[Callable[[str], str], ...] = (
    lambda text: repr(text)[1:-1],
    lambda text: repr(f"\"{text}'")[2:-3],
    lambda text: text.replace("'", "\\'"),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
)


def _forms(secret: str) -> Iterator[str]:
    """Yield the secret as it is, as it is written inside a text, that inside another one, in an address and in base64."""
    once = {secret, *(write(secret) for write in _WRITERS)}
    yield from once
    yield from (write(form) for form in once for write in _WRITERS)
    raw = secret.encode("utf-8", "surrogatepass")
    yield from (quote(raw), quote(raw, safe=""), quote_plus(raw))
    for offset in range(3):  # three bytes become four characters: where it begins decides which
        first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        if last - first >= ENCODED:
            encoded = base64.b64encode(b"\0" * offset + raw)[first:last].decode()
            yield from (encoded, encoded.replace("+", "-").replace("/", "_"))
