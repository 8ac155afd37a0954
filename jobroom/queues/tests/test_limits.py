"""Limits on page, API and command: who has a place, who waits; a place is taken away with a reason, and swept when no one has it."""

import io
import json

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobroom import redis
from jobroom.anchors import anchor
from jobroom.audit.models import Act
from jobroom.celery import task_limits
from jobroom.jobs.models import Job, State
from jobroom.jobs.queue_position import waiting
from jobroom.queues import limits, queue_rows
from jobroom.signals import jobs_recorded
from jobroom.testing.tasks import made_task
from jobroom.tests.test_task_limits import Message, next_ones, nothing, starts
from jobroom.workers.tests.engine import worker

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "scratch.limited"


@pytest.fixture(autouse=True)
def _one_of_two(monkeypatch):
    redis.client().flushdb()
    cache.clear()
    monkeypatch.setattr(task_limits, "_limits", {})
    monkeypatch.setattr(task_limits, "_is_jobrooms", lambda app: True)
    with made_task(nothing, name=NAME, limit=1):
        assert starts(Message(NAME, "first"))
        assert not starts(Message(NAME, "second"))
        yield


@pytest.fixture
def operator(client, django_user_model):
    user = django_user_model.objects.create_user("grace", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="operate"))
    client.force_login(user)
    return client


def test_the_page_shows_them_and_takes_a_place_away(operator):
    page = operator.get("/locks/").content.decode()
    assert "1 of 1 places" in page
    form = {"name": NAME, "job": "first", "reason": "it hangs"}
    answer = operator.post("/locks/free/", form, follow=True).content.decode()
    assert "the next one may start" in answer
    assert next_ones() == ["second"]
    act = Act.objects.get()
    assert (act.who, act.kind, act.target, act.reason) == ("grace", "limit", NAME, "it hangs")
    assert "has no place" in operator.post("/locks/free/", form, follow=True).content.decode()


def test_without_a_reason_or_the_right_nothing_happens(operator, client, django_user_model):
    answer = operator.post("/locks/free/", {"name": NAME, "job": "first", "reason": " "}, follow=True)
    assert "Say why" in answer.content.decode()
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    assert client.post("/locks/free/", {"name": NAME, "job": "first", "reason": "x"}).status_code == 403
    assert "Take the place away" not in client.get("/locks/").content.decode()
    assert next_ones() == []


def test_the_api_says_and_does_the_same(operator):
    row = operator.get("/api/limits/").json()[0]
    assert (row["name"], row["most"], row["number"], row["waiting"]) == (NAME, 1, 1, 1)
    assert [holder["job"] for holder in row["holders"]] == ["first"]
    body = {"name": NAME, "job": "second", "reason": "x"}
    assert operator.post("/api/limits/", body, content_type="application/json").status_code == 404
    done = operator.post("/api/limits/", {**body, "job": "first"}, content_type="application/json")
    assert "the next one may start" in done.json()["detail"]


def test_the_command_too():
    out = io.StringIO()
    call_command("locks", limits=True, stdout=out)
    assert "1 of 1 places  1 waiting" in out.getvalue()
    call_command("locks", free=[NAME, "first"], reason="it hangs", stdout=out)
    with pytest.raises(CommandError, match="has no place"):
        call_command("locks", free=[NAME, "first"], reason="it hangs")
    assert next_ones() == ["second"]


def test_the_page_of_a_job_says_why_it_waits(operator):
    worker("one@a/1")
    job = Job.objects.create(id="second", task=NAME, queue="default", state=State.QUEUED)
    assert waiting([job])["second"].short.endswith("limit reached: 1 of 1 running")
    page = operator.get("/jobs/second/").content.decode()
    assert "Limit reached: 1 of 1 running" in page
    assert "the place is held by job first since" in page
    assert f"/locks/?job=second#{anchor('limit', NAME)}" in page


def test_a_job_that_ended_without_a_word_gives_its_place_back():
    jobs_recorded.send(sender=None, job_ids=["first"], ended=[("first", NAME, "lost")])
    assert next_ones() == ["second"]


def test_a_round_finds_places_that_no_one_has(monkeypatch):
    monkeypatch.setattr(limits, "STALE", -1.0)
    Job.objects.create(id="first", task=NAME, state=State.RUNNING)
    limits.sweep()
    assert next_ones() == [], "it is said to run"
    Job.objects.update(state=State.QUEUED)
    worker("one@a/1", held=["first"])
    limits.sweep()
    assert next_ones() == [], "a worker has it"
    worker("one@a/1")
    limits.sweep()
    assert next_ones() == ["second"]


def test_json():
    out = io.StringIO()
    from unittest import mock

    with mock.patch("sys.stdout", out):
        call_command("locks", limits=True, json=True)
    assert json.loads(out.getvalue())[0]["name"] == NAME


def test_the_page_shows_the_limits_for_which_most_jobs_wait(operator, monkeypatch):
    with made_task(nothing, name="scratch.quieter", limit=1):
        assert starts(Message("scratch.quieter", "third"))
        assert [row.name for row in limits.limits()] == [NAME, "scratch.quieter"]
        assert "lists all" not in operator.get("/locks/").content.decode()
        monkeypatch.setattr("jobroom.queues.views.locks.LIMITS", 1)
        page = operator.get("/locks/").content.decode()
    assert "scratch.quieter" not in page
    assert "lists all" in page


def test_the_list_of_queues_shows_what_waits_beside_the_broker(operator):
    Job.objects.create(id="second", task=NAME, state=State.QUEUED, queue="default")
    for number, (name, key, value) in enumerate(
        [("turns:parked", "f", "queue:default"), ("batch:waits", "b", "g"), ("debounce:waits", "d", "g")]
    ):
        redis.client().hset(redis.key(*name.split(":")), key, value)
        Job.objects.create(id=key, task=NAME, state=State.QUEUED, queue="default", priority=number)
    redis.client().hset(redis.key("batch", "waits"), "gone", "g")  # of a job that has ended
    words = "1 for a batch, 1 for a last call, 1 for a limit, 1 for a turn"
    assert words in operator.get("/queues/").content.decode()
    rows = {row["name"]: row for row in operator.get("/api/queues/").json()}
    assert rows["default"]["held"] == {"batch": 1, "debounce": 1, "limit": 1, "turn": 1}
    assert rows["heavy"]["held"] == {}
    out = io.StringIO()
    call_command("queues", stdout=out)
    assert f"and {words}" in out.getvalue()


def test_no_number_of_jobs_beside_the_broker_costs_more_questions(django_assert_max_num_queries):
    Job.objects.bulk_create(
        Job(id=f"{kind}-{number}", task=NAME, state=State.QUEUED, queue="default", queued_at=timezone.now())
        for kind in ("limit", "batch", "debounce")
        for number in range(3000)
    )
    redis.client().delete(redis.key("turns", "parked"))
    for kind, key in (("limit", "turns:parked"), ("batch", "batch:waits"), ("debounce", "debounce:waits")):
        redis.client().hset(redis.key(*key.split(":")), mapping={f"{kind}-{number}": "g" for number in range(3000)})
    with django_assert_max_num_queries(10):
        row = next(row for row in queue_rows.rows() if row.name == "default")
    assert row.held_words == "1,000+ for a batch, 1,000+ for a last call, 1,000+ for a limit"


def test_a_job_is_let_be_the_next_on_page_api_and_command(operator):
    Job.objects.create(id="third", task=NAME, state=State.QUEUED, queue="default")
    assert not starts(Message(NAME, "third"))
    assert "1 is before it" in " ".join(operator.get("/locks/?job=third").content.decode().split())
    form = {"job": "third", "next": "/locks/?job=third"}
    page = " ".join(operator.post("/locks/next/", form, follow=True).content.decode().split())
    assert "it is the next" in page
    assert "The job third is the next of" in page
    answer = operator.post("/api/limits/next/", {"job": "second"}, content_type="application/json")
    assert answer.json()["detail"].startswith("The job second is the next of")
    out = io.StringIO()
    call_command("locks", job="third", stdout=out)
    assert "The job third is the next of" in out.getvalue()
    with pytest.raises(CommandError, match="waits for no limit"):
        call_command("locks", job="first")
    assert [act.action for act in Act.objects.all()] == ["let be next"] * 3
    limits.free(NAME, "first", by="grace", reason="x")
    assert next_ones() == ["third"]
