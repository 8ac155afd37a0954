"""Addresses that are built outside of a request have the path of the site too, in whatever thread."""

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.urls import get_script_prefix, set_script_prefix

from image.celery import app
from jobroom.jobs.models import Job

# Where `reverse` is called outside of pages, forms and API, and in which threads.
OUTSIDE = {
    "jobroom/jobs/models.py": "pages, and tasks",
    "jobroom/jobs/failure_models.py": "pages",
    "jobroom/jobs/receivers.py": "pages",
    "jobroom/jobs/why_it_waits.py": "pages, and commands, which take the path from SITE_URL",
    "jobroom/jobs/turn_reasons.py": "pages, and commands, which take the path from SITE_URL",
    "jobroom/workflows/models.py": "pages, and tasks",
    "jobroom/workflows/signed_links.py": "any: it takes the path from SITE_URL, see jobroom/workflows/tests/test_events.py",
    "jobroom/notifications/models.py": "pages, and tasks",
    "jobroom/notifications/alert_models.py": "pages, and any by alerts.link, which takes the path from SITE_URL",
    "jobroom/notifications/alerts.py": "any: it takes the path from SITE_URL",
    "text/models.py": "pages, and tasks",
    "assets/models.py": "pages, and tasks",
    "biosample/models.py": "pages, and tasks",
    "ontology/models.py": "pages, and tasks",
    "jobroom/schedules/receivers.py": "pages",
    "jobroom/schedules/services/failures.py": "any: it takes the path from SITE_URL, see jobroom/schedules/tests/test_pauses.py",
    "jobroom/workflows/receivers.py": "pages",
    "jobroom/ui/menu.py": "pages",
    "jobroom/tasks/failure_mail.py": "any: it takes the path from SITE_URL, see test_prefix",
}
ANSWERS = {
    "alert_views.py",
    "api_backfills.py",
    "views",
    "views.py",
    "admin.py",
    "admin_base.py",
    "api",
    "api.py",
    "serializers.py",
    "templatetags",
    "tests",
    "testing",
    "dead_letter_api.py",
    "dead_letter_views.py",
}


@pytest.fixture
def below(settings):
    before = get_script_prefix()
    settings.FORCE_SCRIPT_NAME = "/room"
    yield
    set_script_prefix(before)


def test_a_job_in_a_pool_of_threads(below):
    @app.task(name="scratch.address", shared=False)
    def address():
        return Job(pk="x").get_absolute_url()

    try:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(Job(pk="x").get_absolute_url).result() == "/jobs/x/", "a new thread knows nothing"
            assert pool.submit(lambda: address.apply().get()).result() == "/room/jobs/x/"
    finally:
        app.tasks.pop("scratch.address")


def test_a_site_at_the_root_is_left_alone(settings):
    settings.FORCE_SCRIPT_NAME = None
    with ThreadPoolExecutor(1) as pool:
        pool.submit(set_script_prefix, "/by-the-server/").result()
        pool.submit(lambda: app.tasks["demo.echo"].apply(args=["x"]).get()).result()
        assert pool.submit(get_script_prefix).result() == "/by-the-server/"


def test_all_places_that_build_addresses_are_known():
    base = Path(django_settings.BASE_DIR)
    found = set()
    for folder in ("jobroom", "common", "image", "text", "assets", "biosample", "ontology", "demo"):
        for path in (base / folder).rglob("*.py"):
            if not ANSWERS & set(path.parts) and _builds(path):
                found.add(str(path.relative_to(base)))
    assert found == set(OUTSIDE)


def _builds(path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return any(getattr(func, "id", getattr(func, "attr", "")) == "reverse" for func in calls)
