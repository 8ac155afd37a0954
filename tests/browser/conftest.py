"""A real server with its sockets, and a real browser that is logged in."""

import random
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

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
