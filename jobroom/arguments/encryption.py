"""Encrypts secrets in transit: in the messages of jobs, in workflows, in results that pass between nodes.

A sealed value is `{"$sealed": "<token>"}`, a Fernet token (https://github.com/fernet/spec) under a key made from
SECRET_KEY. What reads the database or Redis without that key learns nothing; the worker opens it when the job starts.
"""

import base64
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings as django_settings
from kombu.utils.json import dumps, loads

from jobroom.exceptions import TaskError

MARK = "$sealed"
DEEPEST = 50


class CannotOpen(TaskError):
    """A secret of this job was sealed under another SECRET_KEY. Launch the job again, or name the old key in SECRET_KEY_FALLBACKS."""


@functools.lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    digests = (hashlib.sha256(b"sealing:" + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


def _current() -> MultiFernet:
    return _box((str(django_settings.SECRET_KEY), *map(str, django_settings.SECRET_KEY_FALLBACKS)))


def is_sealed(value: Any) -> bool:
    """Return whether `value` is what `seal` returns."""
    return isinstance(value, Mapping) and len(value) == 1 and isinstance(value.get(MARK), str)


def seal(value: Any) -> Any:
    """Return a JSON value sealed; one that is sealed already, or nothing, as it is."""
    if value is None or is_sealed(value):
        return value
    return {MARK: _current().encrypt(dumps(value).encode()).decode()}


def opened(value: Any, depth: int = 0) -> Any:
    """Return `value` with all that is sealed in it opened; itself where nothing is. Raises CannotOpen."""
    if isinstance(value, Mapping):
        return _open(value) if is_sealed(value) else _changed(value, value.items(), dict, depth)
    if isinstance(value, list | tuple):
        return _changed(value, enumerate(value), lambda pairs: [item for _, item in pairs], depth)
    return value


def _changed(value: Any, items: Any, make: Callable[[list[tuple[Any, Any]]], Any], depth: int) -> Any:
    """Return a copy with the items opened, or the value itself if none changed."""
    if depth >= DEEPEST:
        return value
    pairs, same = [], True
    for key, item in items:
        found = opened(item, depth + 1) if isinstance(item, dict | list | tuple) else item
        same = same and found is item
        pairs.append((key, found))
    return value if same else make(pairs)


def _open(value: Mapping[str, Any]) -> Any:
    try:
        return loads(_current().decrypt(value[MARK].encode("utf-8", "surrogatepass")).decode())
    except InvalidToken as error:
        raise CannotOpen from error


def sealed_text(text: str) -> str:
    """Return a JSON text sealed as a whole, as JSON text; `opened` gives back what it says."""
    return dumps({MARK: _current().encrypt(text.encode()).decode()})
