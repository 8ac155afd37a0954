"""What sockets hear of jobs, and who hears it."""

import json

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import Group, User
from django.utils.functional import SimpleLazyObject

from image.asgi import application
from jobroom import events
from jobroom.events.consumer import Reader
from jobroom.jobs import receivers, topics
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.jobs.recorder import Recorder
from jobroom.jobs.tokens import new_token
from jobroom.live.tests.frames import messages
from jobroom.live.topics import parse

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clean(empty_redis, monkeypatch):
    monkeypatch.setattr(receivers, "lists", receivers.Lists())


class Wire:
    """A socket as the server would present it."""

    def __init__(self, *headers, protocols=(), origin=None):
        found = [(b"host", b"localhost"), *headers]
        if origin:
            found.append((b"origin", origin))
        scope = {
            "type": "websocket", "path": "/ws/live/", "query_string": b"", "headers": found,
            "subprotocols": list(protocols),
        }  # fmt: skip
        self.socket = ApplicationCommunicator(application, scope)
        self.heard = []

    async def __aenter__(self):
        await self.socket.send_input({"type": "websocket.connect"})
        self.accepted = await self.socket.receive_output(timeout=60)
        return self

    async def __aexit__(self, *_):
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.socket.wait(timeout=60)

    async def ask(self, topic):
        await self.socket.send_input({"type": "websocket.receive", "text": json.dumps({"subscribe": topic})})
        return await self.get()

    async def get(self):
        if not self.heard:
            self.heard = messages((await self.socket.receive_output(timeout=60))["text"])
        return self.heard.pop(0)


@sync_to_async
def someone(name="ada", **rights):
    """Return a token of a new person whose group has the rights on demo.echo."""
    user = User.objects.create_user(name)
    if rights:
        group = Group.objects.create(name=name)
        user.groups.add(group)
        rule = TaskRule.objects.create(task="demo.echo")
        for right in rights:
            getattr(rule, right).add(group)
    return new_token(user, "x")[1]


def bearer(token):
    return Wire((b"authorization", f"Bearer {token}".encode()), origin=b"http://elsewhere.example")


def made(**fields):
    return Job.objects.create(**{"id": "j1", "task": "demo.echo"} | fields)


emit = sync_to_async(events.emit)


async def test_a_token_in_the_header_opens_the_socket_from_anywhere():
    async with bearer(await someone()) as wire:
        assert wire.accepted["type"] == "websocket.accept"
        assert (await wire.ask("jobs"))["type"] == "snapshot"


async def test_a_browser_gives_its_token_as_a_subprotocol():
    token = await someone()
    async with Wire(protocols=["image.live", f"bearer.{token}"]) as wire:
        assert wire.accepted["subprotocol"] == "image.live"
        assert (await wire.ask("jobs"))["type"] == "snapshot"


@pytest.mark.parametrize("token", ["", "nonsense", "image_nonsense", "a.b.c"])
async def test_a_token_that_no_one_knows_opens_nothing(token):
    async with bearer(token) as wire:
        assert await wire.socket.receive_output(timeout=60) == {"type": "websocket.close", "code": 4401}


async def test_a_bearer_without_our_protocol_is_no_token():
    token = await someone()
    async with Wire(protocols=[f"bearer.{token}"], origin=b"http://localhost") as wire:
        assert wire.accepted.get("subprotocol") is None
        assert (await wire.socket.receive_output(timeout=60))["code"] == 4401


async def test_who_may_see_a_job_hears_its_state_and_progress_but_not_its_log():
    await sync_to_async(made)()
    async with bearer(await someone(see=True)) as wire:
        snapshot = await wire.ask("job:j1")
        assert (snapshot["type"], snapshot["state"]) == ("snapshot", "queued")
        started = {"task": "demo.echo", "execution": "e", "worker": "w", "instance": "i", "pid": 1, "queue": "q"}
        await emit("started", "j1", **started)
        await emit("log", "j1", execution="e", level="info", message="hush", obj=None)
        await emit("progress", "j1", execution="e", fraction=0.5, current=1, total=2, message="m", stage="s")
        await emit("finished", "j1", execution="e", state="failed", error="hush")
        heard = [await wire.get() for _ in range(3)]
    assert [message["type"] for message in heard] == ["state", "progress", "state"]
    assert (heard[0]["state"], heard[1]["fraction"], heard[2]["state"]) == ("running", 0.5, "failed")
    assert "hush" not in json.dumps(heard)


async def test_who_may_read_a_job_hears_its_log_and_what_was_missed():
    await sync_to_async(made)()
    await emit("log", "j1", execution="e", level="info", message="before", obj=None)
    async with bearer(await someone(see=True, arguments=True)) as wire:
        await wire.ask("job:j1")
        assert (await wire.get())["message"] == "before"
        await emit("log", "j1", execution="e", level="info", message="after", obj=None)
        assert (await wire.get())["message"] == "after"
    async with bearer(await someone("eve")) as wire:
        assert (await wire.ask("job:j1"))["type"] == "denied"


async def test_a_job_is_watched_before_the_database_knows_it():
    token = await someone(see=True)
    await emit("queued", "bare", task="demo.echo", args=[], kwargs={}, queue="default", source="code")
    async with bearer(token) as wire:
        assert (await wire.ask("job:bare"))["state"] == "queued"
        assert (await wire.ask("job:other"))["type"] == "denied"


async def test_pages_are_notified_when_the_database_says_something_new():
    await sync_to_async(made)(state=State.RUNNING)
    async with bearer(await someone(see=True)) as wire:
        await wire.ask("job:j1")
        await emit("finished", "j1", execution="e", state="succeeded")
        assert (await wire.get())["type"] == "state"
        assert (await wire.ask("jobs"))["type"] == "snapshot"
        await sync_to_async(lambda: Recorder(Reader()).step())()
        heard = {(message["topic"], message["type"]) for message in [await wire.get(), await wire.get()]}
        assert heard == {("job:j1", "changed"), ("jobs", "changed")}


async def test_a_launch_is_published_to_the_lists():
    async with bearer(await someone(see=True)) as wire:
        await wire.ask("jobs")
        await sync_to_async(made)()
        assert (await wire.get())["type"] == "changed"


async def test_lists_are_notified_at_most_twice_a_second_and_the_last_change_always(monkeypatch):
    pause = 10**8  # longer than any machine has run: the first change is due all the same
    monkeypatch.setattr(receivers, "LISTS_PAUSE", pause)
    heard = []
    monkeypatch.setattr(receivers, "publish", lambda messages: heard.append(list(messages)))
    lists = receivers.Lists()
    for _ in range(100):
        lists.changed()
    assert len(heard) == 1, "for as long as the pause lasts"
    assert 0 < lists._timer.interval <= pause
    lists._timer.cancel()
    monkeypatch.setattr(receivers, "LISTS_PAUSE", 0.05)
    lists, heard[:] = receivers.Lists(), []
    lists.changed(), lists.changed()
    if timer := lists._timer:  # none where the pause was over before the second change
        timer.join()
    assert len(heard) == 2


def test_the_stand_in_for_a_user_of_a_socket_with_a_cookie_is_that_user():
    owner, other = User.objects.create_user("ada"), User.objects.create_user("bob")
    job = Job.objects.create(id="watched", task="t", owner=owner)
    kind, name = parse(f"job:{job.pk}")
    for person, may in ((owner, True), (other, False)):
        stand_in = SimpleLazyObject(lambda person=person: person)
        assert kind.may_watch(stand_in, name) is may
        assert kind.may_read(stand_in, name) is may


@pytest.mark.parametrize(
    "event",
    [
        {"type": "waiting", "lock": "echo:secret", "holder": "other", "at": 1.0},
        {
            "type": "lock",
            "action": "broken",
            "lock": "echo:secret",
            "holder": "other",
            "by": "grace",
            "reason": "secret",
        },
    ],
)
def test_no_socket_hears_the_name_of_a_lock(event):
    """It may hold an argument, which not all who watch a job may read."""
    assert "secret" not in json.dumps(topics.render(event))
    assert "secret" not in json.dumps(topics.state_of(Job(id="x", state=State.QUEUED, lock="echo:secret")))
