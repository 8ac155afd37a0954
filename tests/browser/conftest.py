"""A real server with its sockets, and a real browser that is logged in."""

import logging
import mimetypes
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    ProxySettings,
    ViewportSize,
    expect,
    sync_playwright,
)

from jobroom import redis
from jobroom.runner.redis_server import free_port
from jobroom.testing import wait_until
from jobroom.testing.processes import Process
from jobroom.testing.tiers import chromium

logger = logging.getLogger(__name__)

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
# Milliseconds that a fact on a page is waited for. Playwright's own five seconds are short for a server, a worker and a browser
# on two processors; a machine that stands still for a while has to be waited for, and no test takes longer for it.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
# Characters of a page and of the server's log that are printed of a test that failed.
SHOWN = 6000


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def address() -> str:
    """Return where the server of each test listens: the same environment each time, so it is forked from a warm one."""
    return f"http://127.0.0.1:{free_port()}"


_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Note on the test whether it failed: its fixtures then show what it was about."""
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.fixture
def site(transactional_db, address, request) -> Iterator[str]:
    """Return the address of the product's own server on the test's database and Redis."""
    redis.client().flushdb()
    port = address.rpartition(":")[2]
    argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", port, "--no-access-log"]
    with Process("web", argv, {"SITE_URL": address}) as web:
        wait_until(lambda: _answers(address), 60, f"the server answers\n{web.log}")
        yield address
        print_of_failed(request, web)


def print_of_failed(request: pytest.FixtureRequest, web: Process) -> None:
    """Print what the server of a test said, if the test failed."""
    if request.node.stash.get(_failed, False):
        sys.stderr.write(f"--- web printed ---\n{web.log[-SHOWN:]}\n")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the browser of all tests of a file."""
    with pytest.MonkeyPatch.context() as monkeypatch, sync_playwright() as playwright:
        # Playwright's own loop runs in this thread; Django takes that for asynchronous code.
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Give pages with cookies of their own, and close them when none is on its way to another address.

    Chromium forgets that it should close a page that commits a navigation at that moment, and Playwright waits without a limit.
    """
    context = browser.new_context(**options)
    try:
        yield context
    finally:
        for page in context.pages:
            wait_until(partial(_left, page), 60, f"{page.url} is left")
        context.close()


def _left(page: Page) -> bool:
    """Leave what a page shows; return whether nothing came in between, as a script that goes elsewhere."""
    with suppress(Error):
        page.goto("about:blank")
    return page.url == "about:blank"


@pytest.fixture
def page(browser, site, request) -> Iterator[Page]:
    """Return the page of someone who may everything; afterwards no error may stand on its console."""
    grace = User.objects.create_superuser("grace", password="hopper")
    troubles: list[str] = []
    with opened(browser, base_url=site, viewport=DESKTOP) as context:
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        # What a test that fails is to be understood by: why a page was loaded again, and what was not answered.
        page.on(
            "console",
            lambda message: logger.info("The page warns: %s", message.text) if message.type == "warning" else None,
        )
        page.on("requestfailed", lambda request: logger.info("Not answered: %s, %s", request.url, request.failure))
        page.on("framenavigated", lambda frame: logger.info("The page is at %s", frame.url))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.set_default_timeout(PATIENCE)
        log_in_at_once(page, site, grace)
        yield page
        if request.node.stash.get(_failed, False):
            show(page)
    assert [trouble for trouble in troubles if not getattr(page, "expects_troubles", False)] == []


def show(page: Page) -> None:
    """Print what a page shows, and what waits to be sent."""
    said = page.evaluate(
        "() => [location.href, JSON.stringify(document.documentElement.dataset), document.readyState,"
        " [...document.querySelectorAll('form[data-asking]')].map((form) => form.outerHTML).join(), document.body.innerText]"
    )
    sys.stderr.write("--- the page shows ---\n" + "\n".join(said)[:SHOWN] + "\n")


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

    What a script of the page asks for is answered by `answers`: from a part of the address to the status (0 for a connection that
    breaks off), the body and its type. Files of
    the site come by HTTP and may be kept, as from a real server: a browser whose requests are intercepted reads and compiles
    all of them again for each page.
    """

    HOST = "testserver"

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answers: dict[str, tuple[int, bytes | str, str]] = {"/health/line": (200, "", "text/html")}
        self._shown: tuple[bytes, dict[str, str]] = (b"", {})

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

    def answer(self, path: str, *, navigates: bool) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of what the browser asks for. No database here: this is another thread."""
        if navigates:
            return 200, *self._shown
        if path.startswith("/static/") and (file := finders.find(path.removeprefix("/static/"))):
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            return 200, Path(file).read_bytes(), {"Content-Type": kind, "Cache-Control": "max-age=3600, immutable"}
        for part, (status, content, kind) in self.answers.items():
            if part in path:
                return status, content.encode() if isinstance(content, str) else content, {"Content-Type": kind}
        return 404, b"", {}


class Answering(BaseHTTPRequestHandler):
    """The proxy of a browser that shows `Pages`: it answers for all hosts, and knows one."""

    pages: Pages
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any request."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = urlsplit(self.path)
        status, body = 404, b""
        headers: dict[str, str] = {}
        if asked.netloc == Pages.HOST:
            navigates = "Upgrade-Insecure-Requests" in self.headers
            status, body, headers = self.pages.answer(asked.path, navigates=navigates)
        if not status:  # the connection breaks off
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Cache-Control": "no-store", **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def grace(db) -> User:
    """Return someone who may everything, for tests whose pages Django answers in this process."""
    redis.client().flushdb()
    return User.objects.create_superuser("grace", password="hopper")


@pytest.fixture
def client(grace) -> Client:
    """Return what asks as her, and whose session `pages` may be given."""
    client = Client()
    client.force_login(grace)
    return client


@pytest.fixture
def pages(browser) -> Iterator[Pages]:
    """Return a browser that shows what Django answers in this process: no process is started for it."""

    class Handler(Answering):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy: ProxySettings = {"server": f"http://127.0.0.1:{server.server_port}"}
        with opened(browser, base_url=f"http://{Pages.HOST}", viewport=DESKTOP, proxy=proxy) as context:
            context.set_default_timeout(PATIENCE)
            context.route_web_socket(re.compile(".*"), lambda socket: None)
            Handler.pages = Pages(context.new_page())
            yield Handler.pages
        server.shutdown()
