"""A body that is too large is refused before it is read, or cut off while it is."""

import json

import pytest

from jobroom.web.body_limit import BodyLimit


@pytest.fixture(autouse=True)
def ten_bytes(monkeypatch):
    monkeypatch.setattr(BodyLimit, "most", staticmethod(lambda: 10))


async def send_through(headers, *chunks):
    """Return what the application behind the limit received, and what was answered."""
    received, answered = [], []

    async def inner(scope, receive, send):
        while True:
            message = await receive()
            received.append(message)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return

    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return messages.pop(0)

    async def send(message):
        answered.append(message)

    await BodyLimit(inner)({"type": "http", "headers": headers}, receive, send)
    return received, answered


async def test_a_stated_length_that_is_too_large_is_refused_unread():
    received, answered = await send_through([(b"content-length", b"11")], b"x" * 11)
    assert received == []
    assert answered[0]["status"] == 413
    assert "at most 10 bytes" in json.loads(answered[1]["body"])["detail"]


async def test_what_fits_passes():
    received, answered = await send_through([(b"content-length", b"10")], b"x" * 10)
    assert b"".join(message["body"] for message in received) == b"x" * 10
    assert answered == []


async def test_an_unstated_length_is_cut_off():
    received, _ = await send_through([(b"content-length", b"nonsense")], b"x" * 6, b"x" * 6)
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]
