"""The site behind a proxy that shows it below a path: log in, launch, watch, the admin, a page that is not there."""

import re
import sys

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from jobroom import redis
from jobroom.runner.redis_server import free_port
from jobroom.testing import wait_until
from jobroom.testing.processes import Process, Recorder, Worker
from jobroom.testing.processes import running as processes
from tests.browser import proxy
from tests.browser.conftest import DESKTOP, _answers, opened

# The proxy is ended with whatever the browser still asks of it; that is not what is tested.
unfinished = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480), unfinished]

PREFIX = "/room"


@pytest.fixture(params=[False, True], ids=["kept", "stripped"])
def room(request, transactional_db):
    """Return the proxy before the product's server, which keeps the prefix in addresses or takes it away."""
    redis.client().flushdb()
    inner = free_port()
    outer = free_port(inner + 1)
    site = f"http://127.0.0.1:{outer}{PREFIX}"
    argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", str(inner), "--no-access-log"]
    everywhere = {"SITE_URL": site}
    with Process("web", argv, everywhere) as web:
        wait_until(lambda: _answers(f"http://127.0.0.1:{inner}"), 60, f"the server answers\n{web.log}")
        shown = proxy.running(outer, to=inner, prefix=PREFIX, strip=request.param)
        with shown as front, processes(Recorder(env=everywhere), Worker(env=everywhere)):
            yield front


def test_the_smoke_test_below_a_path(room, browser):
    User.objects.create_superuser("grace", password="hopper")
    with opened(browser, base_url=f"http://127.0.0.1:{room.port}", viewport=DESKTOP) as context:
        page = context.new_page()
        page.goto(f"{PREFIX}/tasks/demo.progress/")
        expect(page).to_have_url(re.compile(f"{PREFIX}/login/"))
        page.get_by_label("User name").fill("grace")
        page.get_by_label("Password").fill("hopper")
        page.get_by_role("button", name="Log in").click()
        page.get_by_label("Secs").fill("6")
        page.get_by_label("Steps").fill("100")
        page.get_by_role("button", name="Launch").click()
        expect(page).to_have_url(re.compile(f"{PREFIX}/jobs/[0-9a-f-]{{36}}/"))
        page.evaluate("window.untouched = true")
        expect(page.locator("html[data-live=on]")).to_be_attached()
        expect(page.locator(".heading .state-succeeded")).to_be_visible()
        assert page.evaluate("window.untouched"), "the page was loaded again"

        page.locator("a.brand").click()
        expect(page).to_have_url(re.compile(f"{PREFIX}/$"))
        page.goto(f"{PREFIX}/admin/jobroom_jobs/job/")
        page.get_by_role("link", name="View site").click()
        expect(page).to_have_url(re.compile(f"{PREFIX}/?$"))

        assert page.goto(f"{PREFIX}/nowhere/").status == 404
        page.get_by_role("link", name="To the overview").click()
        expect(page).to_have_url(re.compile(f"{PREFIX}/$"))
        cookies = {
            cookie["name"]: cookie["path"] for cookie in context.cookies(f"http://127.0.0.1:{room.port}{PREFIX}/")
        }
        assert cookies["sessionid"] == cookies["csrftoken"] == PREFIX
    assert [path for path in room.strays if path != "/favicon.ico"] == []
