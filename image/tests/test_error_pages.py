"""Every page of an error says what happened, that nothing was lost, and where to go on."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.views import defaults

from jobroom.limits import TooMany
from jobroom.web import error_pages
from jobroom.web.body_limit import BodyLimit

pytestmark = pytest.mark.django_db


def asked(path: str = "/x/") -> Any:
    request = RequestFactory().get(path)
    request.user = User.objects.create_user("ada")
    return request


def pages() -> dict[int, str]:
    request = asked()
    answers = [
        defaults.bad_request(request, BadRequest("x")),
        defaults.permission_denied(request, PermissionDenied("You may not launch demo.echo.")),
        defaults.page_not_found(request, Http404("x")),
        error_pages.too_many(request, TooMany("Too many launches.", 5)),
    ]
    found = {answer.status_code: answer.content.decode() for answer in answers}
    return found | {405: render_to_string("jobroom/errors/405.html", request=request)}


def test_every_page_has_a_heading_a_remedy_and_a_way_on():
    for status, page in pages().items():
        assert page.count("<h1>") == 1, status
        assert "To the overview" in page, status
        assert 'href="/jobs/"' in page, status
        assert len(page.partition("<main")[2]) > 300, status


def test_a_refusal_says_why_and_whom_to_ask():
    page = pages()[403]
    assert "You may not launch demo.echo." in page
    assert "administrator" in page
    assert "<strong>ada</strong>" in page


def test_who_is_not_logged_in_is_led_to_the_login():
    page = Client().get("/no-such-page/")
    assert page.status_code == 404
    assert "/login/?next=%2Fno-such-page%2F" in page.content.decode()


@pytest.mark.parametrize(
    ("accept", "kind"), [(b"text/html,*/*", b"text/html"), (b"application/json", b"application/problem+json")]
)
def test_what_is_too_large_is_said_to_people_and_to_programs(monkeypatch, accept, kind):
    monkeypatch.setattr(BodyLimit, "most", staticmethod(lambda: 10_000_000))
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"content-length", b"99999999"), (b"accept", accept)]}
    asyncio.run(BodyLimit(None)(scope, None, send))
    assert sent[0]["status"] == 413
    assert dict(sent[0]["headers"])[b"content-type"].startswith(kind)
    assert b"JOBS_MAX_UPLOAD" in sent[1]["body"]
