"""The socket over the real routing and a real Redis: snapshot, events, rights, catching up."""

import asyncio
import json

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.test import Client

from image.asgi import application
from jobroom import redis
from jobroom.live import hub, topics
from jobroom.live.publish import publish
from jobroom.live.tests.frames import messages

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def kind(monkeypatch):
    allowed = {"x", "y"}
    state = {"seq": 100, "missed": []}
    monkeypatch.setitem(
        topics._kinds,
        "thing",
        topics.Kind(
            may_watch=lambda user, name: name in allowed,
            snapshot=lambda name: {"seq": state["seq"], "name": name},
            render=lambda event: None if event["type"] == "secret" else {"type": event["type"], "n": event.get("n")},
            replay=lambda name, after: [event for event in state["missed"] if event["seq"] > after],
        ),
    )
    return allowed, state


@database_sync_to_async
def cookie():
    user = get_user_model().objects.create_user("ada", password="x")
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


@database_sync_to_async
def listeners(topic):
    return redis.client().pubsub_numsub(topics.channel(topic))[0][1]


class Page:
    """One browser page with its socket, as the ASGI server would present it."""

    def __init__(self, session="", origin="http://localhost"):
        headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
        if session:
            headers.append((b"cookie", f"sessionid={session}".encode()))
        scope = {"type": "websocket", "path": "/ws/live/", "query_string": b"", "headers": headers, "subprotocols": []}
        self.socket = ApplicationCommunicator(application, scope)
        self.heard = []

    async def connect(self):
        await self.socket.send_input({"type": "websocket.connect"})
        return (await self.socket.receive_output(timeout=60))["type"] == "websocket.accept"

    async def disconnect(self):
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.socket.wait(timeout=60)

    async def __aenter__(self):
        assert await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.disconnect()

    async def say(self, text):
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def ask(self, **request):
        await self.say(json.dumps(request))
        return await self.get()

    async def get(self):
        if not self.heard:
            self.heard = messages((await self.socket.receive_output(timeout=60))["text"])
        return self.heard.pop(0)


async def test_a_page_gets_a_snapshot_and_then_every_event():
    async with Page(await cookie()) as page:
        assert await page.ask(subscribe="thing:x", after=None) == {
            "topic": "thing:x", "type": "snapshot", "seq": 100, "name": "x",
        }  # fmt: skip
        publish([("thing:x", {"type": "secret", "seq": 101}), ("thing:x", {"type": "log", "seq": 102, "n": 1})])
        assert await page.get() == {"topic": "thing:x", "seq": 102, "type": "log", "n": 1}


def writers():
    return [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "Subscriber.run"]


async def test_a_page_that_goes_away_while_it_is_accepted_leaves_nothing():
    page = Page(await cookie())

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await application(page.socket.scope, receive, send)
    assert (writers(), hub.current().guard.sockets) == ([], set())


async def test_a_socket_that_ends_by_an_error_leaves_nothing(kind, monkeypatch):
    """A database that is away must not use up, one by one, the sockets that a person may have."""

    def fail(name):
        raise OperationalError("server closed the connection unexpectedly")

    page = Page(await cookie())
    assert await page.connect()
    await page.ask(subscribe="thing:x")
    assert len(hub.current().guard.sockets) == len(writers()) == 1
    monkeypatch.setattr(topics, "parse", fail)
    await page.say(json.dumps({"subscribe": "thing:y"}))
    with pytest.raises(OperationalError):
        await page.socket.wait(timeout=60)
    assert (writers(), hub.current().guard.sockets) == ([], set())
    assert await listeners("thing:x") == 0


async def test_two_pages_and_two_topics_do_not_mix():
    session = await cookie()
    async with Page(session) as one, Page(session) as two:
        await one.ask(subscribe="thing:x")
        await two.ask(subscribe="thing:y")
        publish(
            [("thing:y", {"type": "log", "seq": 101, "n": "y"}), ("thing:x", {"type": "log", "seq": 102, "n": "x"})]
        )
        assert (await one.get())["n"] == "x"
        assert (await two.get())["n"] == "y"


async def test_a_page_that_comes_back_gets_what_it_missed(kind):
    _, state = kind
    state["missed"] = [
        {"type": "log", "seq": 99, "n": 0},
        {"type": "progress", "seq": 103, "n": 1},
        {"type": "log", "seq": 104, "n": 2},
        {"type": "progress", "seq": 105, "n": 3},
    ]
    async with Page(await cookie()) as page:
        await page.ask(subscribe="thing:x", after=100)
        assert [(await page.get())["n"] for _ in range(2)] == [2, 3]


async def test_what_may_not_be_seen_is_denied_as_what_does_not_exist(kind):
    async with Page(await cookie()) as page:
        hidden = await page.ask(subscribe="thing:z")
        unknown = await page.ask(subscribe="nothing:z")
        assert hidden["type"] == unknown["type"] == "denied"
        assert hidden["message"] == unknown["message"]


async def test_a_lost_right_ends_the_topic_at_the_next_look(kind):
    allowed, _ = kind
    async with Page(await cookie()) as page:
        await page.ask(subscribe="thing:x")
        allowed.clear()
        hub.current()._resend_all()
        assert (await page.get())["type"] == "denied"
        assert "thing:x" not in hub.current().watchers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        "[" * 60_000,
        '{"subscribe": 7}',
        '{"subscribe": "thing:x", "after": "a"}',
        '{"subscribe": "thing:x", "after": 99999999999999999999999999}',
    ],
)
async def test_nonsense_gets_an_answer(text):
    async with Page(await cookie()) as page:
        await page.say(text)
        assert (await page.get())["type"] == "error"
        assert (await page.ask(subscribe="thing:x"))["type"] == "snapshot"


async def test_a_stranger_is_turned_away_with_a_reason():
    page = Page()
    assert await page.connect()
    assert (await page.socket.receive_output(timeout=60)) == {"type": "websocket.close", "code": 4401}
    await page.disconnect()


async def test_another_sites_page_cannot_connect():
    page = Page(await cookie(), origin="http://evil.example")
    assert not await page.connect()


async def test_a_lost_subscription_comes_back_with_a_snapshot(kind):
    _, state = kind
    async with Page(await cookie()) as page:
        await page.ask(subscribe="thing:x")
        state["seq"] = 200
        await database_sync_to_async(redis.client().client_kill_filter)(_type="pubsub")
        assert (await page.get())["seq"] == 200
        async with asyncio.timeout(60):
            while not await listeners("thing:x"):
                await asyncio.sleep(0.02)
        publish([("thing:x", {"type": "log", "seq": 201, "n": 5})])
        assert (await page.get())["n"] == 5


async def test_the_last_to_leave_ends_the_subscription():
    async with Page(await cookie()) as page:
        await page.ask(subscribe="thing:x")
        assert set(hub.current().watchers) == {"thing:x"}
        await page.say('{"unsubscribe": "thing:x"}')
        async with asyncio.timeout(60):
            while hub.current().watchers:
                await asyncio.sleep(0.01)
        assert hub.current()._tasks == []


async def test_the_line_shows_that_it_is_open(settings):
    settings.JOBROOM = settings.JOBROOM | {"LIVE_BEAT_INTERVAL": 0.05}
    async with Page(await cookie()) as page:
        await page.say(json.dumps({"subscribe": "thing:x"}))
        heard = {(await page.get())["type"]}
        while heard != {"snapshot", "beat"}:  # on a busy machine the first beat may come before the answer
            heard.add((await page.get())["type"])


async def test_a_page_cannot_watch_without_bound(settings):
    settings.JOBROOM = settings.JOBROOM | {"LIVE_TOPICS_LIMIT": 1}
    async with Page(await cookie()) as page:
        assert (await page.ask(subscribe="thing:x"))["type"] == "snapshot"
        assert (await page.ask(subscribe="thing:y"))["type"] == "denied"


@pytest.mark.parametrize("topic", ["thing:\ud800", "thing:x\udfff"])
async def test_half_a_letter_is_no_topic(topic):
    async with Page(await cookie()) as page:
        assert (await page.ask(subscribe=topic, after=None))["type"] == "denied"
