"""An open socket ends, or loses a topic, as soon as the session, the token or the right to it is gone."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from jobroom.jobs.models import Job, Source, State, TaskRule
from jobroom.jobs.tokens import new_token
from jobroom.live import hub, origins
from jobroom.live.publish import publish
from jobroom.live.tests.test_live_socket import Page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _slow_round(settings):
    """Only what is published at once is to end a socket here."""
    settings.JOBROOM = settings.JOBROOM | {"LIVE_RECHECK_INTERVAL": 600.0}


def person():
    return get_user_model().objects.create_user("ada", password="lovelace")


def browser(user):
    client = Client()
    client.force_login(user)
    return client


async def a_page(make=person):
    user = await sync_to_async(make)()
    client = await sync_to_async(browser)(user)
    return user, client, Page(client.cookies["sessionid"].value)


async def closed(page):
    """Return the code with which the socket was closed; messages before it are let pass."""
    while True:
        message = await page.socket.receive_output(timeout=60)
        if message["type"] == "websocket.close":
            return message["code"]


async def denied(page):
    while (message := await page.get())["type"] != "denied":
        pass
    return message


def log_out(user, client):
    client.post("/logout/")


def log_out_elsewhere(user, client):
    browser(user).post("/logout/")


def change_password(user, client):
    user.set_password("another one")
    user.save()


def disable(user, client):
    user.is_active = False
    user.save()


def delete(user, client):
    user.delete()


@pytest.mark.parametrize("end", [log_out, change_password, disable, delete])
async def test_a_socket_ends_with_its_session(end):
    user, client, page = await a_page()
    async with page:
        await page.ask(subscribe="jobs")
        await sync_to_async(end)(user, client)
        assert await closed(page) == 4401
        assert hub.current().watchers == {}


@pytest.mark.parametrize("end", [log_out, change_password, disable])
async def test_nothing_is_subscribed_after_the_end_of_the_session(end, monkeypatch):
    """Also where the word of the end does not come through."""
    monkeypatch.setattr("jobroom.live.access._publish", lambda event: None)
    user, client, page = await a_page()
    async with page:
        await sync_to_async(end)(user, client)
        await page.say('{"subscribe": "jobs"}')
        assert await closed(page) == 4401


async def test_a_socket_that_was_sent_nothing_ends_with_the_next_round(settings, monkeypatch):
    monkeypatch.setattr("jobroom.live.access._publish", lambda event: None)
    settings.JOBROOM = settings.JOBROOM | {"LIVE_RECHECK_INTERVAL": 0.05}
    user, client, page = await a_page()
    async with page:
        await page.ask(subscribe="jobs")
        await sync_to_async(disable)(user, client)
        assert await closed(page) == 4401


async def test_another_session_of_the_same_person_goes_on():
    user, client, page = await a_page()
    async with page:
        await page.ask(subscribe="jobs")
        await sync_to_async(log_out_elsewhere)(user, client)
        await page.say('{"subscribe": "nothing:x"}')
        assert (await denied(page))["topic"] == "nothing:x"
        publish([("jobs", {"type": "changed", "seq": 0})])
        assert (await page.get())["type"] == "changed"


async def test_a_revoked_token_ends_its_socket():
    user = await sync_to_async(person)()
    token, text = await sync_to_async(new_token)(user, "here")
    page = Page()
    page.socket.scope["headers"] = [(b"authorization", f"Bearer {text}".encode())]
    client = await sync_to_async(browser)(user)
    async with page:
        await page.ask(subscribe="jobs")
        answer = await sync_to_async(client.delete)(f"/api/tokens/{token.pk}/")
        assert answer.status_code == 204
        assert await closed(page) == 4401


def with_rule():
    user, group = person(), Group.objects.create(name="readers")
    user.groups.add(group)
    rule = TaskRule.objects.create(task="demo.echo")
    rule.see.add(group)
    Job.objects.create(id="j1", task="demo.echo", state=State.RUNNING, source=Source.API)
    return user


def take_rule(user):
    TaskRule.objects.get().delete()


def take_right(user):
    TaskRule.objects.get().see.clear()


def leave_group(user):
    user.groups.clear()


def empty_group(user):
    Group.objects.get().user_set.clear()


def delete_group(user):
    Group.objects.get().delete()


@pytest.mark.parametrize("take", [take_rule, take_right, leave_group, empty_group, delete_group])
async def test_a_topic_ends_with_the_right_to_it(take):
    user, _, page = await a_page(with_rule)
    async with page:
        assert (await page.ask(subscribe="job:j1"))["type"] == "snapshot"
        await page.ask(subscribe="jobs")
        await sync_to_async(take)(user)
        assert (await denied(page))["topic"] == "job:j1"
        assert set(hub.current().watchers) == {"jobs"}


def open_log():
    TaskRule.objects.get().arguments.add(Group.objects.get())


def close_log():
    TaskRule.objects.get().arguments.clear()


async def test_the_right_to_read_the_log_ends_at_once():
    _user, _, page = await a_page(with_rule)
    await sync_to_async(open_log)()
    async with page:
        await page.ask(subscribe="job:j1")
        publish([("job:j1", {"type": "log", "seq": 2**50, "message": "one"})])
        assert (await page.get())["message"] == "one"
        await sync_to_async(close_log)()
        async with asyncio.timeout(60):
            while not any(socket.subscriber._muted.get("job:j1") for socket in hub.current().guard.sockets):
                await asyncio.sleep(0.01)
        publish([("job:j1", {"type": "log", "seq": 2**50 + 1, "message": "two"})])
        publish([("job:j1", {"type": "changed", "seq": 0})])
        assert (await page.get())["type"] == "changed"


async def test_one_person_may_have_so_many_sockets(settings):
    settings.JOBROOM = settings.JOBROOM | {"LIVE_SOCKETS_LIMIT": 2}
    _user, client, first = await a_page()
    session = client.cookies["sessionid"].value
    async with first, Page(session):
        third = Page(session)
        async with third:
            assert "You have 2 pages" in (await third.get())["message"]
            assert await closed(third) == 4429
    async with Page(session) as again:
        assert (await again.ask(subscribe="jobs"))["type"] == "snapshot"


def scope(origin, host="jobs.example.org", scheme="ws", **headers):
    named = [(b"host", host.encode()), *((k.encode(), v.encode()) for k, v in headers.items())]
    return {"scheme": scheme, "headers": [*named, *([(b"origin", origin.encode())] if origin is not None else [])]}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://jobs.example.org", True),
        ("http://jobs.example.org:80", True),
        ("HTTP://JOBS.example.org", True),
        ("https://jobs.example.org", False),
        ("http://jobs.example.org:8080", False),
        ("http://other.example.org", False),
        ("http://jobs.example.org.evil.example", False),
        ("http://jobs.example.org@evil.example", False),
        ("null", False),
        ("", False),
        (None, False),
        ("http://jobs.example.org:99999", False),
        ("https://front.example.org", True),
        ("http://front.example.org", False),
    ],
)
def test_scheme_host_and_port_of_a_page_must_be_ours(settings, origin, allowed):
    settings.ALLOWED_HOSTS = ["jobs.example.org"]
    settings.JOBROOM = settings.JOBROOM | {"SITE_URL": "https://front.example.org"}
    assert origins.is_allowed(scope(origin)) is allowed


def test_the_list_in_the_settings_is_all(settings):
    settings.ALLOWED_HOSTS = ["jobs.example.org"]
    settings.JOBROOM = settings.JOBROOM | {"LIVE_ORIGINS": ["https://only.example.org:8443"]}
    assert origins.is_allowed(scope("https://only.example.org:8443"))
    assert not origins.is_allowed(scope("http://jobs.example.org"))
    assert not origins.is_allowed(scope("https://only.example.org"))


def test_a_proxy_says_by_its_header_that_the_page_is_secure(settings):
    settings.ALLOWED_HOSTS = ["jobs.example.org"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"x-forwarded-proto": "https"}
    assert origins.is_allowed(scope("https://jobs.example.org", **headers))
    assert not origins.is_allowed(scope("http://jobs.example.org", **headers))
    assert not origins.is_allowed(scope("https://jobs.example.org"))


def test_a_host_that_is_not_ours_makes_no_origin(settings):
    settings.ALLOWED_HOSTS = ["jobs.example.org"]
    assert not origins.is_allowed(scope("http://evil.example", host="evil.example"))
