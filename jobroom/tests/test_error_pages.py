"""In a project with Django's own middleware alone, each refusal of a page of ours is a page that helps, and no 500."""

import re
from pathlib import Path

import pytest
from django.db import connection
from django.test import RequestFactory

import jobroom
from jobroom.limits import TooMany
from jobroom.web.error_pages import guarded

pytestmark = pytest.mark.django_db

PACKAGE = Path(jobroom.__file__).parent
# As `startproject` writes it.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


@pytest.fixture
def ada(settings, client, django_user_model):
    settings.MIDDLEWARE = MIDDLEWARE
    client.force_login(django_user_model.objects.create_user("ada"))
    return client


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/jobs/?before=nonsense", 400, "first page"),
        ("/queues/", 403, "This page is for the staff of this site."),
        ("/jobs/no-such-job/", 404, "There is nothing here"),
        ("/jobs/no-such-job%00/", 404, "There is nothing here"),
        ("/jobs/bulk/", 405, "This address only takes"),
        ("/jobs/?q=%00", 200, "Jobs"),
    ],
)
def test_a_page_that_cannot_be_shown_says_what_helps(ada, path, status, sentence):
    page = ada.get(path, headers={"accept": "text/html"})
    assert (page.status_code, sentence in page.content.decode()) == (status, True)
    assert page.content.count(b"<h1") == 1


def test_a_page_that_is_not_there_is_djangos_own_while_the_project_is_debugged(ada, settings):
    settings.DEBUG = True
    assert (
        b"technical" in ada.get("/jobs/no-such-job/").content.lower()
        or b"DEBUG = True" in ada.get("/jobs/no-such-job/").content
    )


def test_what_was_asked_too_often_is_taken_back_with_its_transaction(monkeypatch, ada):
    def view(request):
        raise TooMany("Too many launches.", 5)

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    request = RequestFactory().get("/")
    request.user = type("User", (), {"is_authenticated": False})()
    page = guarded(view)(request)
    assert (page.status_code, page.headers["Retry-After"]) == (429, "5")
    assert connection.needs_rollback
    connection.set_rollback(False)


def test_every_template_that_the_package_names_is_in_it():
    """One that only this installation has would be missing in the wheel."""
    named = set()
    for path in PACKAGE.rglob("*.py"):
        if not {"tests", "testing"} & set(path.parts):
            named |= set(re.findall(r'"([\w/]+\.html)"', path.read_text()))
    for path in PACKAGE.rglob("*.html"):
        named |= set(re.findall(r'{% (?:include|extends) "([^"]+)"', path.read_text()))
    missing = {name for name in named if not list(PACKAGE.glob(f"*/templates/{name}"))}
    assert len(named) > 90
    assert {name for name in missing if not name.startswith("admin/")} == set()
