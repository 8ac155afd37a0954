"""The whole site below a path: every page, answer and mail leads to addresses below it."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core import checks, mail
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import clear_script_prefix, set_script_prefix

from image import env
from image.checks import prefix_of_the_site
from image.tests.routes import routes
from image.tests.test_deployment import run
from image.tests.world import send
from jobroom.jobs.admin_base import job_link
from jobroom.live import origins
from jobroom.tasks import failure_mail
from jobroom.testing.tiers import share, takes_all
from jobroom.ui import menu
from jobroom.web.prefix import Prefix

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(240)]

SITE = "https://example.org/room"
# What in a page names an address.
ADDRESSES = re.compile(
    r"""\s(?:href|src|action|formaction|poster|content|data-(?:source|states|check|home|url)|hx-\w+)=["'](/[^"']*)"""
)


@pytest.fixture
def below(settings):
    """Serve the site below /room."""
    settings.JOBROOM = settings.JOBROOM | {"SITE_URL": SITE}
    settings.FORCE_SCRIPT_NAME = "/room"
    settings.STATIC_URL = "/room/static/"
    set_script_prefix("/room/")
    yield
    clear_script_prefix()


def strays(text):
    return [found for found in ADDRESSES.findall(text) if not f"{found}/".startswith("/room/")]


def test_no_page_leads_out_of_the_prefix(world, boss, below):
    """Each page that an administrator can look at, of whatever status, and where it sends on to."""
    client, wrong, seen = boss, [], 0
    for route in share(routes()):
        try:
            address = route.filled(world.values(route))
        except KeyError:
            continue  # the few of the admin that the tests of rights leave out too
        if "logout" in address:
            continue
        answer = send(client, "GET", address, {}, json=False)
        place = urlsplit(answer.get("Location", "/room/"))
        if not place.netloc and place.path.startswith("/") and not place.path.startswith("/room/"):
            wrong.append(f"{address} sends to {place.path}")
        if answer.get("Content-Type", "").startswith("text/html"):
            seen += 1
            wrong += [f"{address} leads to {stray}" for stray in strays(answer.content.decode())]
    assert wrong == []
    assert seen > (60 if takes_all() else 8)


def test_the_api_names_addresses_below_it(world, below):
    client = world.clients["boss"]
    found = json.dumps([client.get(path).json() for path in ("/api/jobs/", "/api/tasks/")])
    named = re.findall(r'"(?:url|page|next)": "([^"]+)"', found)
    assert named
    assert [address for address in named if not urlsplit(address).path.startswith("/room/")] == []


@pytest.mark.acceptance
def test_openapi_names_addresses_below_it():
    done = run("manage.py", "spectacular", "--format", "openapi-json", SITE_URL=SITE)
    assert done.returncode == 0, done.stderr
    paths = json.loads(done.stdout)["paths"]
    assert paths
    assert [path for path in paths if not path.startswith("/room/api/")] == []


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_pages_of_errors_lead_home_below_it(below, status):
    from django.template import loader

    text = loader.render_to_string(f"{status}.html", {})
    assert 'href="/room/"' in text
    assert strays(text) == []


def test_the_login_leads_home_below_it(below):
    User.objects.create_user("ada", password="lovelace")
    client = Client()
    assert client.get("/jobs/")["Location"] == "/room/login/?next=/room/jobs/"
    answer = client.post("/login/", {"username": "ada", "password": "lovelace"})
    assert answer["Location"] == "/room/"
    assert client.post("/logout/")["Location"] == "/room/login/"


def test_mails_lead_below_it(below):
    assert job_link("x") == '<a href="/room/jobs/x/">x</a>'
    assert failure_mail._link("x") == f"{SITE}/jobs/x/"
    with ThreadPoolExecutor(1) as pool:  # Django keeps the prefix for each thread
        assert pool.submit(failure_mail._link, "x").result() == f"{SITE}/jobs/x/"
    User.objects.create_user("ada", "ada@example.org", password="lovelace")
    Client().post("/password-reset/", {"email": "ada@example.org"})
    [sent] = mail.outbox
    [address] = re.findall(r"https?://\S+", sent.body)
    assert re.fullmatch(r"https?://[^/]+/room/password-reset/[^/]+/[^/]+/", address)


def test_the_menu_knows_the_front_page(below):
    bar = [link for group in menu.groups(User(is_staff=True), "/room/jobs/") for link in group.links]
    assert [link.address for link in bar if link.front] == ["/room/"]
    assert [link.address for link in bar if link.current] == ["/room/jobs/"]


def test_pages_of_the_site_may_open_sockets(below, settings):
    settings.ALLOWED_HOSTS = ["inner"]
    scope = {"headers": [(b"origin", b"https://example.org"), (b"host", b"inner")], "scheme": "ws"}
    assert origins.is_allowed(scope)


@pytest.mark.parametrize(
    ("asked", "handed_on"),
    [
        ("/room/jobs/", "/room/jobs/"),  # the proxy leaves the address as it is
        ("/jobs/", "/room/jobs/"),  # it takes the prefix away, or someone asks the server itself
        ("/room", "/room"),
        ("/", "/room/"),
        ("/roommates/", "/room/roommates/"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_where_a_request_is_put(asked, handed_on, kind):
    taken = []

    async def inner(scope, receive, send):
        taken.append(scope)

    scope = {"type": kind, "path": asked, "raw_path": asked.encode(), "root_path": ""}
    asyncio.run(Prefix(inner, "/room")(scope, None, None))
    [found] = taken
    assert (found["path"], found["raw_path"], found["root_path"]) == (handed_on, handed_on.encode(), "/room")
    assert scope["path"] == asked, "the scope is the server's"


def test_without_a_prefix_nothing_is_touched():
    async def inner(scope, receive, send):
        assert scope is given

    given = {"type": "http", "path": "/jobs/", "root_path": "/x"}
    asyncio.run(Prefix(inner, "")(given, None, None))


@pytest.mark.parametrize(
    ("given", "site", "prefix"),
    [
        ("https://example.org", "https://example.org", ""),
        ("https://example.org/", "https://example.org", ""),
        ("https://example.org:8443/a/b-c/", "https://example.org:8443/a/b-c", "/a/b-c"),
        ("http://[::1]:8000/room", "http://[::1]:8000/room", "/room"),
    ],
)
def test_the_path_of_the_site_is_the_prefix(monkeypatch, given, site, prefix):
    monkeypatch.setenv("SITE_URL", given)
    assert env.site("SITE_URL", "") == site
    assert env.prefix(site) == prefix


@pytest.mark.parametrize(
    "given", ["example.org/room", "https://example.org/?a=b", "https://a@example.org", "https:///x", "https://h/a b"]
)
def test_what_is_no_address_of_a_site_is_refused(monkeypatch, given):
    monkeypatch.setenv("SITE_URL", given)
    with pytest.raises(ImproperlyConfigured, match=r"SITE_URL=.*https://example.org/jobs"):
        env.site("SITE_URL", "")


@pytest.mark.parametrize(("prefix", "warns"), [("", False), ("/room", False), ("/jobs", True), ("/api/x", True)])
def test_a_prefix_that_is_an_address_of_ours_is_warned_of(settings, prefix, warns):
    settings.FORCE_SCRIPT_NAME = prefix
    found = prefix_of_the_site()
    assert bool(found) is warns
    assert all(isinstance(one, checks.Warning) and prefix in one.msg for one in found)


def test_no_script_knows_an_address():
    """What a script asks for, its page names: by an attribute of an element, or by a link."""
    root = Path(settings.BASE_DIR)
    scripts = [path.relative_to(root) for path in root.rglob("static/**/*.js")]
    scripts = [path for path in scripts if not {"vendor", "var", ".venv"} & set(path.parts)]
    assert {"live.js", "health.js", "launch.js"} <= {path.name for path in scripts}
    fixed = re.compile(r"""["'`](/[a-z][\w-]*/)|href=\\?["'](/[a-z])""")
    assert [(path.name, found) for path in scripts for found in fixed.findall((root / path).read_text())] == []
