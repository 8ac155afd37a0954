"""Every role at every address with every method, every topic of the socket and every command: as declared, or the test fails.

Of the methods that an address does not have each role asks with one, another role with another, and every second role with HEAD,
which is GET to all views; `--long` asks with all.
"""

from functools import partial

import pytest
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
from jobroom.testing.tiers import share

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]

# Answers of who is let in: done, found elsewhere, or answered what is wrong with the empty request.
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
    return {rule.refused if role in rule.viewers else rule.hidden}


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


def methods_of(number, route, *, all_cases):
    """Return the methods that are declared, HEAD for every second number, and one that is not declared. Or all."""
    left_out = set() if number % 2 else {"HEAD"}
    declared = [method for method in METHODS if method in policy.LINES[route.pattern] and method not in left_out]
    others = [method for method in METHODS if method not in policy.LINES[route.pattern]]
    return METHODS if all_cases or not others else [*declared, others[number % len(others)]]


@pytest.fixture
def asked(statuses_alone, known, world):
    """Return what asks every role for each address with some methods, and says where they got what they should not."""

    def ask(chosen, want, methods):
        wrong = []
        for place, route in enumerate(chosen):
            address = route.filled(world.values(route))
            for number, (role, client) in enumerate(world.clients.items(), place):
                for method in methods(number, route):
                    answer = making.send(client, method, address, {} if not route.is_api else "{}", json=route.is_api)
                    wanted = want(route, method, role)
                    if answer.status_code not in wanted:
                        wrong.append(f"{role} {method} {address}: {answer.status_code}, not {sorted(wanted)}")
                    if "logout" in route.pattern and role != "anonymous":
                        client.force_login(world.people[role])
        assert list(world.clients) == list(making.ROLES)
        return "\n".join(wrong)

    return ask


@pytest.mark.long
def test_pages_and_the_api(asked, all_cases):
    wrong = asked(share(OTHERS), expected, partial(methods_of, all_cases=all_cases))
    assert not wrong, wrong


def of_the_admin(route, method, role):
    """Return the statuses of the admin: none of its pages for who is no staff, and none of a model for mere staff."""
    if role in {"anonymous", "left"} | policy.EVERYONE - policy.STAFF:
        if route.pattern in {"admin/login/", "admin/logout/"}:
            return {302, 200, 403, 405, 404}
        return {302} if role in {"anonymous", "left"} else {403}
    if route.pattern in policy.CLERKS_ADMIN or role == "boss":
        return LET_IN | {302, 403, 404, 405}
    return {302, 403, 404, 405}


def test_the_admin(asked):
    wrong = asked(share(ADMIN), of_the_admin, lambda *_: ("GET", "POST"))
    assert not wrong, wrong


@pytest.mark.long
def test_the_admin_with_other_methods(world, all_cases):
    """It takes every other method for GET, so here its views are called without what stands before them.

    Each role takes one method at each address, and the next one at the next; with `--long` all.
    """
    wrong, others = [], sorted(set(METHODS) - {"GET", "POST"})
    for place, route in enumerate(share(ADMIN)):
        address = route.filled(world.values(route))
        for number, role in enumerate(making.ROLES):
            user = world.user(role)
            for method in others if all_cases else [others[(place + number) % len(others)]]:
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
    "jobs": ("", policy.EVERYONE),
    "workflow": ("workflow_id", policy.OWNER),
    "workflows": ("", policy.EVERYONE),
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
