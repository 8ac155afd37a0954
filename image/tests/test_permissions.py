"""Every role at every address with every method, every topic of the socket and every command: as declared, or the test fails."""

import copy

import pytest
from django.contrib.auth import get_user, middleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.fallback import FallbackStorage
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.template import Template
from django.test import RequestFactory
from django.urls import resolve
from drf_spectacular.generators import SchemaGenerator

from image.tests import policy
from image.tests import world as making
from image.tests.routes import METHODS, routes
from jobroom.live import topics

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(240)]

# Answers of who is let in: done, found elsewhere, or told what is wrong with the empty request.
LET_IN = {200, 201, 202, 204, 301, 303, 400, 409, 413, 415, 422, 503}
ADMIN = [route for route in routes() if route.pattern.startswith("admin/")]
OTHERS = [route for route in routes() if not route.pattern.startswith("admin/")]


def test_every_address_is_declared():
    """A new page, or a new address of the API, is for no one until someone says here for whom it is."""
    assert {route.pattern for route in OTHERS} == set(policy.LINES)


def expected(route, method, role):
    """Return the statuses that the role may get."""
    rules = policy.LINES[route.pattern]
    stranger = role in {"anonymous", "left"}
    rule = rules.get(method)
    if _is_free(rules):
        return LET_IN | {302, 401, 404} | (set() if rule else {405})
    if stranger and route.pattern != "api/[\\s\\S]*":
        return {401} if route.is_api else {302} | (set() if rule else {405})
    if rule is None:
        return _of_no_method(rules, role)
    if role in rule.open_to:
        return LET_IN
    return {rule.refused if role in rule.told else rule.hidden}


def _is_free(rules):
    return all(rule.open_to == policy.PUBLIC for rule in rules.values())


def _of_no_method(rules, role):
    """Return 405, and what pages that are guarded before they look at the method answer."""
    guarded = {rule.hidden for rule in rules.values() if role not in rule.open_to and rule.hidden in {302, 403}}
    return {405} | guarded


@pytest.fixture
def statuses_alone(quiet, monkeypatch):
    """Have no page written out: here only the status of an answer counts.

    What pages say is looked at in test_hidden and in the tests of their apps; here it would be two thirds of the time.
    """
    monkeypatch.setattr(Template, "_render", lambda page, context: "")
    monkeypatch.setattr(SchemaGenerator, "parse", lambda *_, **__: {})  # a second for each description of the whole API


@pytest.fixture
def known(monkeypatch):
    """Look up once who has logged in: nothing of what is asked here stays, so each person stays who they are."""
    people = {}

    def known_user(request):
        session = request.session.session_key
        if session not in people:
            people[session] = get_user(request)
        return copy.copy(people[session])  # without what an earlier request has remembered on it

    monkeypatch.setattr(middleware, "get_user", known_user)


@pytest.fixture
def asked(statuses_alone, known, world):
    """Return what asks every role for each address with each method, with what they got and should have got."""

    def ask(chosen, want, methods=METHODS):
        wrong, cells = [], 0
        for route in chosen:
            address = route.filled(world.values(route))
            for role, client in world.clients.items():
                for method in methods:
                    answer = making.send(client, method, address, {} if not route.is_api else "{}", json=route.is_api)
                    wanted = want(route, method, role)
                    cells += 1
                    if answer.status_code not in wanted:
                        wrong.append(f"{role} {method} {address}: {answer.status_code}, not {sorted(wanted)}")
                    if "logout" in route.pattern and role != "anonymous":
                        client.force_login(world.people[role])
        assert cells == len(chosen) * len(making.ROLES) * len(methods)
        return "\n".join(wrong)

    return ask


def test_pages_and_the_api(asked):
    wrong = asked(OTHERS, expected)
    assert not wrong, wrong


def of_the_admin(route, method, role):
    """Return the statuses of the admin: none of its pages for who is no staff, and none of a model for mere staff."""
    if role in {"anonymous", "left"} | policy.EVERYBODY - policy.STAFF:
        return {302, 200, 405, 404} if route.pattern in {"admin/login/", "admin/logout/"} else {302}
    if route.pattern in policy.CLERKS_ADMIN or role == "boss":
        return LET_IN | {302, 403, 404, 405}
    return {302, 403, 404, 405}


def test_the_admin(asked):
    wrong = asked(ADMIN, of_the_admin, ("GET", "POST"))
    assert not wrong, wrong


def test_the_admin_with_other_methods(world):
    """It takes every other method for GET, so here its views are called without what stands before them."""
    wrong = []
    for route in ADMIN:
        address = route.filled(world.values(route))
        for role in making.ROLES:
            user = world.user(role)
            for method in set(METHODS) - {"GET", "POST"}:
                if (status := called(address, method, user)) not in of_the_admin(route, method, role):
                    wrong.append(f"{role} {method} {address}: {status}")
    assert not wrong, "\n".join(wrong)


def called(address, method, user):
    """Return the status that the view at an address answers a user with."""
    request = RequestFactory().generic(method, address)
    request.user = request._cached_user = user if user.is_active else AnonymousUser()
    request.session = {}
    request._dont_enforce_csrf_checks = True
    request._messages = FallbackStorage(request)
    try:
        with making.undone():
            found = resolve(address)
            return found.func(request, *found.args, **found.kwargs).status_code
    except PermissionDenied:
        return 403
    except Http404:
        return 404


TOPICS = {
    "job": ("job_id", policy.SEE_JOB),
    "jobs": ("", policy.EVERYBODY),
    "workflow": ("workflow_id", policy.OWNER),
    "workflows": ("", policy.EVERYBODY),
}


def test_topics_of_the_socket(world):
    assert set(topics._kinds) == set(TOPICS)  # a new kind is declared here first
    for kind, (place, open_to) in TOPICS.items():
        name = str(world.things[place].pk) if place else ""
        for role in making.ROLES:
            allowed = topics._kinds[kind].may_watch(world.user(role), name)
            assert allowed == (role in open_to), f"{role} watches {kind}:{name}"
            assert not place or not topics._kinds[kind].may_watch(world.user(role), "nothing")


def test_logs_and_files_of_a_job_go_to_its_readers(world):
    job = world.things["job_id"].pk
    readers = {role for role in making.ROLES if topics._kinds["job"].may_read(world.user(role), job)}
    assert readers == {"reader", *policy.OWNER}


def test_files(world):
    from jobroom.jobs.models import StoredFile

    stored = world.things["file_id"]
    seen = {role for role in making.ROLES if stored in StoredFile.objects.visible_to(world.user(role))}
    assert seen == policy.FILE
