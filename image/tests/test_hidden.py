"""What one may not see does not exist: the same status and the same text as for what there is not."""

import contextlib
import io
import json
import re
from functools import partial
from urllib.parse import quote_plus

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask
from redis import Redis
from rest_framework_simplejwt.tokens import RefreshToken

from image.tests.routes import routes
from image.tests.world import TASK, send
from jobroom import housekeeping_loops
from jobroom.jobs import catalogue, launches
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.jobs.tokens import new_token
from jobroom.live import topics
from jobroom.testing.tiers import share, takes_all
from jobroom.workflows.models import Definition

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

# For each place in an address something that is not there.
UNKNOWN = {
    "job_id": "22222222-bbbb-4bbb-8bbb-222222222222",
    "workflow_id": "33333333-cccc-4ccc-8ccc-333333333333",
    "file_id": "44444444-dddd-4ddd-8ddd-444444444444",
    "mail_id": "55555555-eeee-4eee-8eee-555555555555",
    "preset_id": "987654",
    "rule_id": "987654",
    "schedule_id": "987654",
    "asset_id": "987654",
    "pk": "987654",
    "submission_id": "987654",
    "token_id": "987654",
    "version": "987654",
}
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"|\d{4}-\d\d-\d\dT[\d:.+]+')


def name_of_none(route):
    return "hidden-summs" if "definitions/" in route.pattern else "demo.ecco"


def text_of(answer, values):
    """Return an answer without what is other each time, and without the values that the address had."""
    body = b"" if answer.streaming else answer.content
    text = _TOKEN.sub("", body.decode())
    values = [value for value in values if len(value) > 5]  # a single digit stands everywhere
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "…")
    headers = {
        name: value for name, value in answer.headers.items() if name not in {"Content-Length", "Set-Cookie", "Expires"}
    }
    for value in values:
        headers = {name: header.replace(value, "…") for name, header in headers.items()}
    return answer.status_code, text, headers


# Vocabularies and calendars are seen by all.
SEEN_BY_ALL = ("admin/", "vocabularies/", "api/vocabularies/", "calendars/", "api/calendars/")
PLACED = share([r for r in routes() if r.places and not r.pattern.startswith(SEEN_BY_ALL)])
BODY = {"approve": True, "node": "k0", "verdict": "approve", "note": "x", "changes": {}}


@pytest.mark.parametrize("role", ["nobody", "launcher"])
def test_every_address(world, role):
    client, compared = world.clients[role], 0
    for route in PLACED:
        hidden = world.values(route)
        none = {**hidden, **UNKNOWN, "name": name_of_none(route)}
        for method in sorted(route.methods & {"GET", "POST", "DELETE"}):
            (answer, steps), (absent, usual) = both(partial(asked, client, method, route), hidden, none)
            if answer[0] not in {403, 404, 405} and role == "launcher":
                continue  # it is open to them
            assert answer == absent, f"{role} {method} {route.pattern}"
            assert steps == usual, f"{role} {method} {route.pattern}: {steps}, for what is not there {usual}"
            compared += 1
    assert compared > (60 if takes_all() else 8)


def asked(client, method, route, values):
    """Return the answer to a request with these values in its places, and what it asked the database and Redis."""
    data = json.dumps(BODY) if route.is_api else BODY | {"changes": ""}
    with counted() as steps:
        answer = send(client, method, route.filled(values), data, json=route.is_api)
    return text_of(answer, [values[place] for place in route.places]), steps


def both(ask, hidden, none):
    """Return what `ask` returns for what is hidden and for what there is not.

    Where they differ, what there is not is asked for again: the first request fills what a process remembers.
    """
    absent, found = ask(none), ask(hidden)
    return found, absent if absent == found else ask(none)


@contextlib.contextmanager
def counted():
    """Yield what will say which questions were asked meanwhile: of the database, and how many of Redis.

    How long an answer takes cannot be tested on a busy machine; where the same questions are asked, it takes as long.
    """
    asked, found = [], []
    original = Redis.execute_command

    def counting(self, *words, **options):
        asked.append(words[0])
        return original(self, *words, **options)

    with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as queries:
        patch.setattr(Redis, "execute_command", counting)
        yield found
    sql = [query["sql"] for query in queries.captured_queries]
    # The zone of who asks is remembered for a while, whatever they ask for.
    apart = ("SAVEPOINT", '"jobroom_jobs_profile"."zone"')
    found += [_VALUE.sub("?", text) for text in sql if not any(word in text for word in apart)]
    found += asked


_VALUE = re.compile(r"'[^']*'|\b\d+(?:\.\d+)?\b|\bx\d+\b|s\d+_x\d+")

# Of each list what may be looked for: once what there is and is hidden, once what there is not.
FLOW, OWNER, SCHEDULE = (
    ("hidden-flow", "absent-flow"),
    ("zoe-hidden", "zoe-absent"),
    ("Hidden schedule", "Absent schedule"),
)
JOB, WORKFLOW = ("{job_id}", UNKNOWN["job_id"]), ("{workflow_id}", UNKNOWN["workflow_id"])
FILTERS = {
    "jobs/": [
        ("q", "hushed-word", "absent-word"), ("q", *JOB), ("owner", *OWNER), ("task", TASK, "demo.ecco"), ("queue", "heavy", "heaps"),
        ("schedule", *SCHEDULE), ("tag", "hidtag", "abstag"), ("workflow", *WORKFLOW), ("state", "failed", "failed"),
    ],
    "workflows/": [("q", *FLOW), ("q", *WORKFLOW), ("owner", *OWNER), ("name", *FLOW), ("state", "failure", "failure")],
    "tasks/": [("q", "demo.echo", "demo.ecco")],
    "assets/": [("q", "Hidden cube", "Absent cube"), ("owner", *OWNER)],
    "submissions/": [("q", "Hidden cows", "Absent cows")],
    "workflows/definitions/": [("q", "hidden-sums", "hidden-summs")],
    "tasks/<path:name>/": [("from-job", *JOB), ("from-preset", "876543", "987654")],
}  # fmt: skip
FILTERS |= {f"api/{name}": FILTERS[name] for name in ("jobs/", "workflows/", "assets/")}
# To those who may launch the task and the definition, these are not hidden.
OPEN_TO_LAUNCHERS = {"demo.echo", "hidden-sums"}


@pytest.mark.parametrize("role", ["nobody", "launcher"])
@pytest.mark.parametrize("pattern", FILTERS)
def test_filters(world, role, pattern):
    """Who looks for what is hidden gets the page, and costs the questions, of who looks for what there is not."""
    job, flow = world.things["job_id"], world.things["workflow_id"]
    Job.objects.filter(pk=job.pk).update(
        queue="heavy", schedule=SCHEDULE[0], tags=["hidtag"], workflow_id=flow.pk, label="text=hushed-word"
    )
    type(job.owner).objects.filter(pk=job.owner_id).update(username=OWNER[0])
    type(flow).objects.filter(pk=flow.pk).update(name=FLOW[0])
    preset = world.things["preset"]
    type(preset).objects.create(pk=876543, owner=preset.owner, task=TASK, name="Hidden too", arguments={"text": "x"})
    client = world.clients[role]
    (route,) = [route for route in routes() if route.pattern == pattern]
    values = world.values(route)
    for name, hidden, none in FILTERS[pattern]:
        if role == "launcher" and hidden in OPEN_TO_LAUNCHERS:
            continue

        def ask(value, name=name):
            with counted() as steps:
                answer = client.get(route.filled(values), {name: value})
            status, text, _ = text_of(answer, [value, quote_plus(value)])
            return (status, _CLOCK.sub("", text.replace(value, "…"))), steps

        (answer, steps), (absent, usual) = both(ask, hidden.format_map(values), none.format_map(values))
        assert answer == absent, f"{role} {pattern}?{name}={hidden}"
        assert steps == usual, f"{role} {pattern}?{name}={hidden}"


# Names of tasks as a page writes them; a part of a longer word is none.
_NAME = re.compile(r"[\w.]*\w")
_CLOCK = re.compile(r"\d\d:\d\d:\d\d")


def post(client, address, data):
    answer = send(client, "POST", address, json.dumps(data), json=True)
    return answer.status_code, answer.content.decode()


@pytest.mark.parametrize("role", ["nobody", "launcher"])
def test_tasks_and_definitions_in_bodies(world, role):
    TaskRule.objects.all().delete()
    world.things.clear()
    Definition.objects.get(name="hidden-sums").launch.clear()
    client = world.clients[role]
    for address, key, hidden, none in (
        ("/api/jobs/", "task", TASK, "demo.ecco"),
        ("/api/jobs/", "task", TASK, "celery.chord"),
        ("/api/workflows/", "definition", "hidden-sums", "hidden-summs"),
    ):
        seen = post(client, address, {key: hidden, "version": 77})
        unknown = post(client, address, {key: none, "version": 77})
        assert seen[0] == unknown[0] == 403
        assert seen[1] == unknown[1].replace(none, hidden)
        assert "Did you mean" not in seen[1]


def test_suggestions_are_among_what_is_open(world):
    text = post(world.clients["launcher"], "/api/jobs/", {"task": "demo.ech"})[1]
    assert "Did you mean demo.echo?" in text
    assert "demo.add" not in post(world.clients["launcher"], "/api/jobs/", {"task": "demo.ad"})[1]
    assert "Did you mean" not in post(world.clients["nobody"], "/api/jobs/", {"task": "demo.ech"})[1]


def said(*words):
    with pytest.raises(CommandError) as refused:
        call_command(*words, stdout=io.StringIO())
    return str(refused.value), refused.value.returncode


def test_commands_in_the_name_of_a_person(world):
    job, flow = world.things["job_id"].pk, world.things["workflow_id"].pk
    none = UNKNOWN["job_id"]
    for words in (("cancel",), ("retry",)):
        hidden, unknown = said(*words, job, "--as", "nobody"), said(*words, none, "--as", "nobody")
        assert hidden == (unknown[0].replace(none, job), unknown[1])
    for words in (("show",), ("cancel",), ("pause",), ("unpause",), ("resume",)):
        hidden = said("workflow", *words, flow, "--as", "nobody")
        assert hidden == (said("workflow", *words, none, "--as", "nobody")[0].replace(none, flow), hidden[1])
    assert said("launch", TASK, "--as", "nobody")[0] == said("launch", "demo.ecco", "--as", "nobody")[0].replace(
        "demo.ecco", TASK
    )
    out = io.StringIO()
    call_command("workflow", "definitions", "--as", "nobody", stdout=out)
    assert "hidden" not in out.getvalue()


def test_names_of_schedules(world):
    """To choose the name of a hidden schedule does what it does with a name that is free."""
    launcher = world.people["launcher"]
    addresses = [
        launches.repeat(task=TASK, arguments={"text": "x"}, by=launcher, cron="0 6 * * *", name=name)
        for name in ("Hidden schedule", "Another schedule")
    ]
    assert {re.sub(r"\d+", "…", address) for address in addresses} == {"/schedules/…/"}
    assert PeriodicTask.objects.filter(name="Hidden schedule (launcher)").count() == 1


def test_what_is_shown_of_a_task_to_those_who_may_only_launch_it(world):
    Job.objects.create(id="slow", task=TASK, state=State.SUCCEEDED)
    page = world.clients["launcher"].get(f"/tasks/{TASK}/").content.decode()
    assert "not known yet" in page
    (entry,) = catalogue.open_to(world.user("launcher"))
    assert entry.schedules == []
    assert entry.lately.outcomes == []
    (seen,) = catalogue.open_to(world.user("viewer"))
    assert len(seen.schedules) == 1


def test_ids_of_hidden_jobs_do_not_stand_in_answers(world):
    hidden = world.things["job_id"].pk
    mine = Job.objects.create(
        id="mine", task="demo.add", owner=world.people["nobody"], state=State.SKIPPED, lock="gate", holder=hidden,
        parent_id=hidden, root_id=hidden, answer_of=hidden,
    )  # fmt: skip
    for address in (f"/api/jobs/{mine.pk}/", f"/jobs/{mine.pk}/"):
        assert hidden not in world.clients["nobody"].get(address).content.decode()
        assert hidden in world.clients["boss"].get(address).content.decode()


HIDDEN_WORDS = ("hidden", "Hidden", "hush", TASK, "owner")


def test_pages_and_lists_of_no_one_name_nothing_hidden(world):
    """Menus, badges, lists, searches and the description of the API, for a person without rights."""
    client = world.clients["nobody"]
    for route in share(routes()):
        if route.places or route.pattern.startswith(("admin/", "logout")) or "GET" not in route.methods:
            continue
        address = route.filled({})
        for query in ("", "?q=hidden", "?owner=owner", f"?task={TASK}"):
            answer = client.get(address + query)
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            # What was asked is repeated in the answer, and the description of the API and of forms speak of owners.
            words = [w for w in HIDDEN_WORDS if w not in query and w.lower() not in {"hidden", "owner"}]
            found = [word for word in (*words, "Hidden cube", "Hidden cows", "hidden-sums") if word in body.decode()]
            text = set(_NAME.findall(body.decode()))
            found += [name for name in current_app.tasks if name in text and name not in query]
            assert not found, f"{address}{query} speaks of {found}"


@pytest.mark.parametrize("role", ["nobody", "launcher"])
@pytest.mark.parametrize("kind", ["job", "workflow"])
def test_topics_of_the_socket(world, role, kind):
    """A subscription to what is hidden is refused after the same questions as one to what there is not."""
    steps = []
    for name in (UNKNOWN[f"{kind}_id"], world.things[f"{kind}_id"].pk, UNKNOWN[f"{kind}_id"]):
        user = world.user(role)
        with counted() as found:
            assert not topics._kinds[kind].may_watch(user, str(name))
        steps.append(found)
    assert steps[1] == steps[2]


@pytest.mark.parametrize("way", ["token", "web token", "nothing"])
def test_every_address_of_the_api_for_programs(world, way):
    """As a person without rights, by each way to say who one is, and as a stranger."""
    headers = {}
    if way == "token":
        headers["Authorization"] = f"Token {new_token(world.people['nobody'], 'mine')[1]}"
    elif way == "web token":
        headers["Authorization"] = f"Bearer {RefreshToken.for_user(world.people['nobody']).access_token}"
    client, statuses = Client(raise_request_exception=False, headers=headers), set()
    for route in PLACED:
        if not route.is_api:
            continue
        hidden = world.values(route)
        none = {**hidden, **UNKNOWN, "name": name_of_none(route)}
        for method in sorted(route.methods & {"GET", "POST", "DELETE"}):
            (answer, steps), (absent, usual) = both(partial(asked, client, method, route), hidden, none)
            assert answer == absent, f"{method} {route.pattern}"
            assert steps == usual, f"{method} {route.pattern}"
            statuses.add(answer[0])
    assert statuses <= ({401, 404} if way == "nothing" else {403, 404, 405})


def test_what_is_wrong_with_a_row_is_for_staff(world):
    """Probes are open to strangers, and the line about health stands on every page."""
    hidden = world.things["job_id"].pk
    with housekeeping_loops.isolated("sending what is due", f"job {hidden}"):
        raise ValueError("hush")
    for role in ("anonymous", "nobody", "launcher", "clerk"):
        for address in ("/readyz", "/health/", "/health/line/"):
            body = world.clients[role].get(address).content.decode()
            statuses = hidden in body or "hush" in body
            assert statuses == (role == "clerk" and address == "/health/"), f"{role} {address}"
    assert "could not process 1" in world.clients["nobody"].get("/health/").content.decode()


def test_pages_of_ones_own_name_no_task_that_is_hidden(world):
    """To own something opens none of the tasks that work with it."""
    person, things = world.people["nobody"], world.things
    for thing in ("asset_id", "submission_id"):
        type(things[thing]).objects.filter(pk=things[thing].pk).update(owner=person)
    for address in (f"/assets/{things['asset_id'].pk}/", f"/submissions/{things['submission_id'].pk}/",
                    "/vocabularies/breed/", "/assets/", "/submissions/"):  # fmt: skip
        answer = world.clients["nobody"].get(address)
        assert answer.status_code == 200
        assert [name for name in current_app.tasks if name in answer.content.decode()] == [], address
