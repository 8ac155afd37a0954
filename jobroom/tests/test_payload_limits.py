"""What may travel in a message, where it is published and where it is received."""

import types

import pytest
from celery.exceptions import InvalidTaskError
from kombu import serialization
from kombu.exceptions import EncodeError

from jobroom.celery import message_check, payload_limits


@pytest.fixture(autouse=True)
def _registered():
    payload_limits.register()


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize("value", [None, "x" * 1000, nested(200), [[] for _ in range(1000)], {"a": "[" * 500}])
def test_what_may_travel(value):
    kind, encoding, text = serialization.dumps(value, "json")
    assert serialization.loads(text, kind, encoding, accept={"application/json"}) == value


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (nested(201), "nested deeper than 200"),
        (nested(900), "nested deeper than 200"),
        (nested(50_000), "nested deeper than 200"),
        (["x" * 16_000_000], "MESSAGE_LIMIT"),
        ({"__type__": "uuid", "__value__": 3}, "keys __type__"),
        ({1, 2}, "not JSON serializable"),
    ],
)
def test_what_may_not_names_the_remedy(value, word):
    with pytest.raises(EncodeError, match=word):
        serialization.dumps(value, "json")


def message(**headers):
    return types.SimpleNamespace(headers={"id": "j1", "task": "demo.add", **headers}, body=b"[[], {}, {}]")


def test_an_ordinary_message_is_received():
    message_check.check(message(timelimit=[None, 3], retries=0))
    message_check.check(message(timelimit=None, retries=None))


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"id": None}, "Its id"),
        ({"id": "\ud800"}, "Its id"),
        ({"task": ["a"]}, "Its task"),
        ({"timelimit": "soon"}, "time limits"),
        ({"timelimit": [-1, None]}, "time limits"),
        ({"retries": "many"}, "retries"),
        ({"stamps": nested(900)}, "headers"),
    ],
)
def test_a_message_that_would_end_its_worker_is_not(headers, word):
    with pytest.raises(InvalidTaskError, match=word):
        message_check.check(message(**headers))
