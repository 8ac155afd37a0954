"""A launch is checked, written and sent; nothing is sent for what is not in the database."""

import base64
import json
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from kombu.exceptions import OperationalError

from image.celery import app
from jobroom import redis
from jobroom.arguments import WrongArguments, encryption
from jobroom.arguments.redaction import HIDDEN
from jobroom.celery import delayed
from jobroom.jobs import launches
from jobroom.jobs.exceptions import NotAllowed, SecretsNotKept, UnknownTask
from jobroom.jobs.launches import launch, launch_again, send_due
from jobroom.jobs.models import Job, Source, State, TaskRule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


def sent(queue="default"):
    """Return the messages in the queue, oldest first: (id, task, arguments)."""
    texts = redis.client().lrange(queue, 0, -1)
    messages = [json.loads(text) for text in reversed(texts)]
    return [(message["headers"]["id"], message["headers"]["task"]) for message in messages]


def start(by, committed, task="demo.echo", source=Source.PAGE, **options):
    arguments = options.pop("arguments", {"text": "hello"})
    with committed():
        return launch(task=task, arguments=arguments, by=by, source=source, **options)


def test_the_job_is_in_the_database_before_it_is_sent(staff, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        job = launch(
            task="demo.echo", arguments={"text": "hello"}, by=staff, source=Source.PAGE, note="why", tags=["a"]
        )
        assert sent() == []
    found = Job.objects.get(pk=job.pk)
    assert (found.state, found.owner, found.source, found.queue) == (State.QUEUED, staff, "page", "default")
    assert (found.note, found.tags, found.label) == ("why", ["a"], "text=hello")
    for callback in callbacks:
        callback()
    assert sent() == [(job.pk, "demo.echo")]


def test_a_stranger_to_the_task_is_refused(ada, committed):
    with pytest.raises(NotAllowed, match="Ask an administrator"):
        start(ada, committed)
    assert not Job.objects.exists()


def test_a_rule_opens_a_task_to_a_group(ada, committed):
    group = Group.objects.create(name="curators")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").launch.add(group)
    assert start(ada, committed).owner == ada
    with pytest.raises(WrongArguments, match=r"“heavy” cannot be chosen for this task\. Allowed: default"):
        start(ada, committed, queue="heavy")
    TaskRule.objects.update(queues=["heavy"])
    assert start(ada, committed, queue="heavy").queue == "heavy"


def test_every_wrong_field_is_named(staff, committed):
    with pytest.raises(WrongArguments) as caught:
        start(staff, committed, arguments={"text": "x", "txet": 1})
    assert "txet" in caught.value.errors
    with pytest.raises(WrongArguments) as caught:
        start(staff, committed, queue="nowhere", priority=77)
    assert set(caught.value.errors) == {"queue", "priority"}
    assert sent() == []


def test_an_unknown_task_is_named_with_a_suggestion(staff, committed):
    with pytest.raises(UnknownTask, match=r"Did you mean demo\.echo"):
        start(staff, committed, task="demo.ecko")
    with pytest.raises(UnknownTask):
        start(staff, committed, task="celery.chord_unlock")


def test_a_job_for_later_is_sent_shortly_before_its_time(staff, committed):
    job = start(staff, committed, run_after=timezone.now() + timedelta(hours=2))
    assert (job.state, sent()) == (State.SCHEDULED, [])
    assert send_due() == 0
    Job.objects.update(run_after=timezone.now() + timedelta(seconds=5))
    assert send_due() == 1
    assert send_due() == 0
    assert sent() == [(job.pk, "demo.echo")]


def test_a_job_for_the_past_runs_now(staff, committed):
    assert start(staff, committed, run_after=timezone.now() - timedelta(days=1)).state == State.QUEUED
    assert len(sent()) == 1


def test_a_broker_that_is_away_delays_the_job_and_loses_nothing(staff, committed):
    with mock.patch.object(type(app.tasks["demo.echo"]), "apply_async", side_effect=OperationalError("away")):
        job = start(staff, committed)
    assert (Job.objects.get(pk=job.pk).state, sent()) == (State.QUEUED, [])
    assert send_due() == 0
    Job.objects.update(queued_at=timezone.now() - timedelta(minutes=5))
    assert send_due() == 1
    assert sent() == [(job.pk, "demo.echo")]
    assert send_due() == 0


def test_a_job_whose_message_was_seen_is_not_sent_again(staff, committed):
    start(staff, committed)
    Job.objects.update(queued_at=timezone.now() - timedelta(minutes=5), queued_event=7)
    assert send_due() == 0


@pytest.fixture
def secretive():
    @app.task(name="scratch.secretive", shared=False)
    def secretive(user: str, password: str):
        return None

    yield secretive
    app.tasks.pop("scratch.secretive")


def test_secrets_reach_the_worker_and_not_the_database(staff, committed, secretive):
    job = start(staff, committed, task="scratch.secretive", arguments={"user": "ada", "password": "s3cret-word"})
    assert job.kwargs == {"user": "ada", "password": HIDDEN}
    (text,) = redis.client().lrange("default", 0, -1)
    body = base64.b64decode(json.loads(text)["body"]).decode()
    assert "s3cret-word" not in body
    assert encryption.opened(json.loads(body))[1] == {"user": "ada", "password": "s3cret-word"}
    assert launches.arguments_of(job) == {"user": "ada"}
    with pytest.raises(SecretsNotKept):
        launch_again(job=job, by=staff, source=Source.PAGE)


def test_a_job_with_secrets_for_later_is_published_at_once_because_they_are_kept_nowhere_else(
    staff, committed, secretive
):
    later = timezone.now() + timedelta(days=1)
    job = start(staff, committed, task="scratch.secretive", arguments={"user": "a", "password": "b"}, run_after=later)
    assert (sent(), delayed.all_kept()) == ([], {job.pk})
    redis.client().zadd(redis.key("later"), {job.pk: 0})
    delayed.release(app)
    assert sent() == [(job.pk, "scratch.secretive")]


def test_the_same_again_is_a_new_job(staff, committed):
    first = start(staff, committed, queue="heavy", note="why")
    with committed():
        second = launch_again(job=first, by=staff, source=Source.API)
    assert second.pk != first.pk
    assert (second.kwargs, second.queue, second.note, second.source) == (first.kwargs, "heavy", "why", "api")


def test_a_task_goes_to_the_queue_that_it_names_itself(staff, committed):
    """As `delay` sends it: what the task says counts before the project's routes."""
    base = type("Heavy", (app.Task,), {"abstract": True, "queue": "heavy"})

    @app.task(name="scratch.heavy", base=base)
    def task():
        """Do nothing."""

    try:
        with committed():
            job = launch(task="scratch.heavy", arguments={}, by=staff, source=Source.PAGE)
    finally:
        app.tasks.unregister("scratch.heavy")
    assert (job.queue, sent("heavy")) == ("heavy", [(job.pk, "scratch.heavy")])
