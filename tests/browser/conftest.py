"""A real server with its sockets, and a real browser that is logged in."""

import random
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, ViewportSize, expect, sync_playwright

from jobroom import redis
from jobroom.runner.redis_server import free_port
from jobroom.testing import wait_until
from jobroom.testing.processes import Process
from jobroom.testing.tiers import chromium

# Below the ports that systems give to outgoing connections: nobody takes ours between two tests.
PORTS = range(20_000, 32_000)
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
# Playwright's own five seconds are short for a server, a worker and a browser on two processors.
expect.set_options(timeout=20_000)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def address() -> str:
    """Return where the server of each test listens: the same environment each time, so it is forked from a warm one."""
    return f"http://127.0.0.1:{free_port(random.choice(PORTS))}"


@pytest.fixture
def site(transactional_db, address) -> Iterator[str]:
    """Return the address of the product's own server on the test's database and Redis."""
    redis.client().flushdb()
    port = address.rpartition(":")[2]
    argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", port, "--no-access-log"]
    with Process("web", argv, {"SITE_URL": address}) as web:
        wait_until(lambda: _answers(address), 60, f"the server answers\n{web.log}")
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the browser of all tests of a file."""
    with pytest.MonkeyPatch.context() as monkeypatch, sync_playwright() as playwright:
        # Playwright's own loop runs in this thread; Django takes that for asynchronous code.
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site) -> Iterator[Page]:
    """Return the page of somebody who may everything; afterwards no error may stand on its console."""
    grace = User.objects.create_superuser("grace", password="hopper")
    troubles: list[str] = []
    context = browser.new_context(base_url=site, viewport=DESKTOP)
    page = context.new_page()
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.set_default_timeout(30_000)
    log_in_at_once(page, site, grace)
    yield page
    context.close()
    assert [trouble for trouble in troubles if not getattr(page, "expects_troubles", False)] == []


def log_in_at_once(page: Page, site: str, user: User) -> None:
    """Log in with a session made here, and go to the list of jobs; one test goes through the login page."""
    client = Client()
    client.force_login(user)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": site}])
    page.goto("/jobs/")
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()


def log_in(page: Page, name: str, password: str) -> None:
    """Log in through the login page."""
    page.goto("/login/?next=/jobs/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()


class Pages:
    """Pages as Django answers them in this process, shown by a browser that reaches nothing else.

    What a script of the page asks for is answered by `answers`: from a part of the address to the body and its type.
    """

    HOST = "http://testserver"

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.answers: dict[str, tuple[int, bytes | str, str]] = {"/health/line": (200, "", "text/html")}
        self.asked: list[Request] = []
        self._shown: tuple[bytes, dict[str, str]] = (b"", {})
        context.route(re.compile(".*"), self._answer)
        context.route_web_socket(re.compile(".*"), lambda socket: None)

    def fetched(self, client: Client, address: str, data: dict[str, str] | None = None) -> Any:
        """Return Django's answer, to a form where `data` is given; the next navigation shows it."""
        got: Any = client.get(address) if data is None else client.post(address, data)
        body = b"".join(got.streaming_content) if got.streaming else got.content
        kept = ("Content-Type", "Content-Security-Policy")
        self._shown = body, {name: got.headers[name] for name in kept if name in got.headers}
        return got

    def show(self, client: Client, address: str) -> Page:
        """Show the page of an address."""
        assert self.fetched(client, address).status_code < 400
        self.page.goto(address)
        return self.page

    def _answer(self, route: Route) -> None:
        # No database here: Playwright calls this in a context of its own, which has another connection.
        path = urlsplit(route.request.url).path
        if route.request.is_navigation_request():
            body, headers = self._shown
            route.fulfill(body=body, headers=headers)
            return
        if path.startswith("/static/") and (file := finders.find(path.removeprefix("/static/"))):
            route.fulfill(path=file)
            return
        self.asked.append(route.request)
        for part, (status, content, kind) in self.answers.items():
            if part in path:
                route.fulfill(status=status, body=content, content_type=kind)
                return
        route.abort()


@pytest.fixture
def pages(browser) -> Iterator[Pages]:
    """Return a browser that shows what Django answers in this process: nothing is started for it."""
    context = browser.new_context(base_url=Pages.HOST, viewport=DESKTOP)
    yield Pages(context)
    context.close()
