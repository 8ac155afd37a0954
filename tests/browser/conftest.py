"""A real server with its sockets, and a real browser that is logged in."""

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from common import redis
from common.runner.redis_server import free_port
from common.testing import wait_until
from common.testing.processes import Process
from common.testing.tiers import chromium

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


@pytest.fixture
def site(transactional_db) -> Iterator[str]:
    """Return the address of the product's own server on the test's database and Redis."""
    redis.client().flushdb()
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", str(port), "--no-access-log"]
    url = f"http://127.0.0.1:{port}"
    with Process("web", argv, {"SITE_URL": url}) as web:
        wait_until(lambda: _answers(url), 60, f"the server answers\n{web.log}")
        yield url


@pytest.fixture
def page(site, monkeypatch) -> Iterator[Page]:
    """Return the page of somebody who may everything; afterwards no error may stand on its console."""
    # Playwright's own loop runs in this thread; Django takes that for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    User.objects.create_superuser("grace", password="hopper")
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(base_url=site, viewport=DESKTOP)
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.set_default_timeout(30_000)
        log_in(page, "grace", "hopper")
        yield page
        browser.close()
    assert [trouble for trouble in troubles if not getattr(page, "expects_troubles", False)] == []


def log_in(page: Page, name: str, password: str) -> None:
    """Log in through the login page."""
    page.goto("/login/?next=/jobs/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Jobs", exact=True).wait_for()
