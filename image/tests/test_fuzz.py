"""Nonsense in every address, query string and form: an answer that helps, never a failure of ours."""

import io
import itertools
import json
import random
import re
import time
from functools import cache
from unittest.mock import Mock
from urllib.parse import quote, quote_plus

import pytest
from django.contrib.admin import site
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import RequestDataTooBig
from django.urls import reverse
from rest_framework.exceptions import ParseError

from image.tests.reads import names_read
from image.tests.routes import Route, routes
from image.tests.world import let_go, send
from jobroom.jobs.api.parsers import BoundedJSONParser
from jobroom.testing.tiers import share, takes_all

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

# What people, programs and attackers have put into fields: characters, numbers and nesting beyond all bounds.
NASTY = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\x1b[31m\r\n",
    "٣",
    "²",
    "1e999",
    "-1",
    "0",
    "NaN",
    "9" * 30,
    "9" * 5000,
    "true",
    "null",
    "[]",
    "{}",
    '{"a": 1e999}',
    '"\\ud800"',
    "[" * 3000 + "]" * 3000,
    "[" * 100_000,
    "{" + ",".join(f'"k{n}": {n}' for n in range(20_000)) + "}",
    "9" * 5000 + "]",
    "[" + "9" * 5000 + "]",
    "\u202e\u2066\ufeff",
    "' OR 1=1 --",
    "<script>",
    "../../etc/passwd",
    "00000000-0000-0000-0000-000000000000",
    "2024-13-45T99:99:99",
    "2024-01-01T00:00:00+00:00~x",
    "9999-12-31T23:59:59+00:00~\ud7ff",
    "0001-01-01T00:00:00+23:59~x",
    "cD14",  # base64 of p=x, as cursors of the framework are written
    "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5",  # p=9999…
    "bz05OTk5OTk5",
    "%s%n%x",
    "x" * 3000,
)
# Names in query strings and forms that no page names in its HTML.
NAMES = (
    "after", "all", "at", "before", "cursor", "field", "from-job", "from-preset", "ids", "job", "level", "name", "next",
    "node", "only", "order", "owner", "page", "part", "q", "queue", "run", "schedule", "state", "tab", "tag", "task",
    "until", "version", "wait", "with-caching", "workflow", "workflows", "o", "p", "e", "_to_field", "_popup",
    "launch-refresh", "launch-when", "launch-run_after", "launch-cron", "launch-priority", "verdict", "note", "tags",
    "args-0", "kwargs-0", "node-0-shown", "node-0-x", "input-shown", "preset-name", "action", "confirmed", "f-state", "f-before",
)  # fmt: skip
QUERY = NAMES[:36]
# More than any column of whole numbers holds.
GREAT = "9" * 30
_ACTION = re.compile(r'<option value="(\w+)"')
_FIELD = re.compile(r'<(?:input|select|textarea)[^>]*?\sname="([^"]+)"')
# The answers of pages that are away on purpose: probes, and what needs Redis or a worker.
AWAY = {"/readyz": {503}}
SEED = 20261128
# Of all pairs of page and value so many are tried, other ones each time the seed is changed.
QUERIES, FORMS, PLACES = 1, 1, 1


def ask(client, address, sent):
    """Return the answer to a query as a browser writes it: brackets and the like as they are, each value quoted once."""
    query = "&".join(f"{_in_query(name)}={_in_query(value)}" for name, value in sent.items())
    return client.get(address, QUERY_STRING=query)


@cache
def _in_query(text):
    return quote_plus(text, safe="[]{}:,")


def check(answer, what, sent):
    """Fail where the answer is a failure of ours."""
    let_go(answer)
    path = what.partition("?")[0].partition(" ")[2]
    good = answer.status_code < 500 or answer.status_code in AWAY.get(path, ())
    assert good, f"{what} with {json.dumps(sent)[:300]} answered {answer.status_code}"
    if path.startswith("/api/") and answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json", f"{what}: {answer['Content-Type']}"


def addresses(world):
    """Yield each route with an address that leads to something."""
    for route in share(routes()):
        yield route, route.filled(world.values(route))


@pytest.mark.timeout(300)  # every address with one query: a minute and more while the machine is busy
def test_query_strings(world, boss):
    chance = random.Random(SEED)
    for route, address in addresses(world):
        if not {"GET"} & route.methods or "logout" in address:
            continue
        for _ in range(QUERIES if not address.startswith("/admin/") else 1):
            sent = {name: chance.choice(NASTY) for name in chance.sample(NAMES, 12)}
            check(ask(boss, address, sent), f"GET {address}", sent)


def test_every_name_of_a_query_alone(world, boss):
    """One at a time, so that one that is refused does not hide the next: all names that the page looks at.

    Of a page that takes the whole of the query some names. One that looks at no name without any looks at none when one is there.
    """
    chance, tried = random.Random(SEED + 1), 0
    for route, address in addresses(world):
        if address.startswith(("/admin/", "/logout", "/password")) or not {"GET"} & route.methods:
            continue
        with names_read(QUERY) as read:
            check(boss.get(address), f"GET {address}", {})
        names = sorted(read) if len(read) < len(QUERY) else chance.sample(QUERY, 4)
        for name in names:
            sent = {name: chance.choice(NASTY)}
            check(ask(boss, address, sent), f"GET {address}", sent)
        tried += len(names)
    assert tried > 90 or not takes_all()


def test_forms(world, boss):
    chance = random.Random(SEED + 2)
    for route, address in addresses(world):
        if route.is_api or "logout" in address or not {"POST"} & route.methods:
            continue
        page = let_go(boss.get(address))
        html = page.content.decode() if page.status_code == 200 and not page.streaming else ""
        fields = sorted(set(_FIELD.findall(html)) - {"csrfmiddlewaretoken"}) or list(NAMES)
        for _ in range(FORMS if not address.startswith("/admin/") else 1):
            chosen = chance.sample(fields, min(len(fields), 8))
            sent = {name: chance.choice(NASTY) for name in chosen}
            check(send(boss, "POST", address, sent, json=False), f"POST {address}", sent)
        # What chance gives to one field of many: each kind of field has its own way to the database.
        great = dict.fromkeys(fields, GREAT)
        check(send(boss, "POST", address, great, json=False), f"POST {address}", great)
        for action in set(_ACTION.findall(html)) if "/admin/" in address else ():
            sent = {"action": action, "_selected_action": GREAT, "index": "0"}
            check(send(boss, "POST", address, sent, json=False), f"POST {address}", sent)


LOOKUPS = ("", "__exact", "__in", "__gt", "__isnull", "__id__exact")


def test_lookups_of_the_admin(boss):
    """A value that does not fit its column is no error of ours: each column once, with any of the lookups that Django takes."""
    chance = random.Random(SEED + 3)
    known = [("/admin/jobroom_workflows/storedworkflow/", "idle"), ("/admin/jobroom_notifications/mail/", "content"),
             ("/admin/jobroom_jobs/job/", "owner__gt")]  # fmt: skip
    tried = [
        (
            reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"),
            field.name + chance.choice(LOOKUPS),
        )
        for model in share(list(site._registry))
        for field in model._meta.get_fields()
    ]
    for address, name in [*known, *tried]:
        answer = ask(boss, address, {name: GREAT})
        check(answer, f"GET {address}", {name: GREAT})
        assert (address, name) not in known or answer.url.endswith("?e=1"), "the whole list, as Django does it"


def test_a_failing_list_without_parameters_is_no_one_elses_fault(boss, monkeypatch):
    monkeypatch.setattr(ChangeList, "get_results", Mock(side_effect=TypeError("of ours")))
    monkeypatch.setattr(boss, "raise_request_exception", True)
    with pytest.raises(TypeError, match="of ours"):
        boss.get("/admin/jobroom_jobs/job/")
    assert boss.get("/admin/jobroom_jobs/job/?q=x").url.endswith("?e=1")


BODIES = (
    "", "{", "[]", '"x"', "null", "NaN", '{"task": "\\u0000"}', '{"a": "\\ud800"}', '{"a": 1e999}', "[" * 100_000,
    "[" * 3000 + "]" * 3000, "9" * 5000, '{"arguments": ' + "9" * 5000 + "}", "\xff\xfe",
    '{"arguments": {' + ",".join(f'"k{n}": {n}' for n in range(20_000)) + "}}",
    '{"arguments": {' + ",".join(f'"k{n}": {n}' for n in range(9_000)) + '}, "task": "demo.echo"}',
    '{"payload": {' + ",".join(f'"k{n}": {n}' for n in range(9_000)) + '}, "definition": "hidden-sums"}',
    '{"payload": {"a": 1e300}, "definition": "hidden-sums", "version": 99999999999999999999}',
    '{"changes": {"k0": {"args": [[[[1]]]], "kwargs": {"": ""}}}, "done": {"k0": []}}',
    '{"text": "a: [*x]"}', '{"text": "a: &a [*a]"}', '{"text": "{name: x, nodes: {a: {task: 1}}}"}',
    '{"name": ""}', '{"approve": "maybe"}', '{"username": [], "password": {}}', '{"refresh": "x.y.z"}',
)  # fmt: skip


@pytest.mark.long
def test_bodies(world, boss, all_cases):
    """Each address with all that comes as far as its view; what the parser refuses before, with a third in turn."""
    refused, turn = [body for body in BODIES if is_refused(body)], itertools.count()
    for route, address in addresses(world):
        for method in sorted(route.methods & {"POST", "PUT", "PATCH", "DELETE"} if route.is_api else ()):
            of_all = not all_cases and parsers(route) == (BoundedJSONParser,)
            left_out = set(refused) - set(refused[next(turn) % 3 :: 3]) if of_all else set()
            for body in BODIES:
                if body not in left_out:
                    check(send(boss, method, address, body, json=True), f"{method} {address}", body[:100])


def parsers(route):
    """Return what reads the bodies of a view of the API."""
    return getattr(getattr(route.view, "cls", None), "parser_classes", None)


def is_refused(body):
    """Return whether the parser of the API refuses a body, so that no view gets it."""
    try:
        BoundedJSONParser().parse(io.BytesIO(body.encode()))
    except (ParseError, RequestDataTooBig):
        return True
    return False


def test_some_bodies_come_as_far_as_views_and_some_do_not():
    refused = [is_refused(body) for body in BODIES]
    assert min(refused.count(True), refused.count(False)) > 5


def test_places(world, boss):
    """In an address: what stands there may be anything that a browser can send."""
    chance = random.Random(SEED + 3)
    for route in share(routes()):
        values = world.values(route)
        for _ in range(PLACES if route.places else 0):
            odd = {name: chance.choice([n for n in NASTY if n and len(n) < 2000]) for name in route.places}
            address = "/" + "/".join(_quoted(part) for part in route.filled({**values, **odd})[1:].split("/"))
            check(boss.get(address), f"GET {address}", odd)


def _quoted(text):
    return quote(text, safe="%")


@pytest.mark.parametrize("count", [9_000, 100_000])
def test_many_names_are_refused_soon(boss, count):
    body = json.dumps({"task": "demo.echo", "arguments": {f"k{n}": n for n in range(count)}})
    began = time.process_time()
    answer = boss.post("/api/jobs/", body, content_type="application/json")
    assert answer.status_code == 400
    assert len(answer.content) < 20_000
    assert time.process_time() - began < 2  # of the processor; it was 8 and more


def test_a_route_without_a_way_to_fill_it_is_noticed():
    with pytest.raises(KeyError):
        Route("things/<int:thing_id>/", "", None).filled({})
