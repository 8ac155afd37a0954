"""Pauses: kept in the database, held by workers, shown on the pages of the jobs that wait."""

import pytest
from django.core.cache import cache
from django.utils import timezone

from image.celery import app
from jobroom import redis
from jobroom.anchors import anchor
from jobroom.audit.models import Act
from jobroom.celery import delayed
from jobroom.celery import pauses as held
from jobroom.jobs.models import Job, State
from jobroom.jobs.number_formats import clock
from jobroom.jobs.queue_position import waiting
from jobroom.queues import pauses
from jobroom.queues.exceptions import NotThere, Refused
from jobroom.resources.gate import Gate
from jobroom.testing import transactions
from jobroom.workers import broker
from jobroom.workers.tests.engine import worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()
    cache.clear()
    held._tasks = frozenset()
    yield
    held._tasks = frozenset()


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    def do(action, *args, **kwargs):
        with django_capture_on_commit_callbacks(execute=True):
            return action(*args, **kwargs)

    return do


def received(**options):
    """Return a message as a worker gets it."""
    app.send_task("demo.echo", ["x"], queue="default", **options)
    return taken()


def taken():
    channel = app.connection_for_read().channel()
    message = channel.basic_get("default")
    channel.qos._delivered.clear()  # nothing is put back when the process ends
    return message


def test_a_pause_is_kept_and_audited_and_read_by_workers(committed):
    said = committed(pauses.pause, "queue", "default", by="grace", reason="deploy")
    assert "is paused" in said
    (found,) = held.current().values()
    assert (found.kind, found.name, found.by, found.reason) == ("queue", "default", "grace", "deploy")
    committed(pauses.resume, "queue", "default", by="ada")
    assert held.current() == {}
    assert list(Act.objects.order_by("pk").values_list("who", "action", "target")) == [
        ("grace", "paused", "default"),
        ("ada", "resumed", "default"),
    ]


def test_it_needs_a_reason_and_is_done_once(committed):
    with pytest.raises(Refused, match="Say why"):
        pauses.pause("queue", "default", by="grace", reason=" ")
    committed(pauses.pause, "queue", "default", by="grace", reason="deploy")
    with pytest.raises(Refused, match="paused already, by grace"):
        pauses.pause("queue", "default", by="ada", reason="me too")
    with pytest.raises(Refused, match="a queue or a task"):
        pauses.pause("worker", "default", by="ada", reason="x")
    with pytest.raises(NotThere):
        pauses.resume("task", "default", by="ada")


def test_an_emptied_redis_learns_again_what_is_paused(committed):
    committed(pauses.pause, "queue", "default", by="grace", reason="deploy")
    redis.client().flushdb()
    pauses.reconcile()
    assert ("queue", "default") in held.current()


def test_what_no_one_has_paused_by_the_database_goes_on():
    held.put([held.Paused("queue", "default", "x", "", 1.0)])
    pauses.reconcile()
    assert held.current() == {}


def test_a_worker_does_not_consume_a_paused_queue_and_gets_it_back():
    chosen = app.amqp.queues
    before = chosen._consume_from
    chosen.select(["ml", "default"])
    try:
        gate = Gate(app)
        gate.pause(["ml", "elsewhere"])
        gate.close_before_start({})
        assert set(chosen.consume_from) == {"default"}
        gate.consumer = Consumer()
        gate.open_to({"ml": ["model"]})
        gate.pause([])
        assert set(chosen.consume_from) == {"default"}  # the resource is not there
        gate.open_to({})
        assert set(chosen.consume_from) == {"default", "ml"}
    finally:
        chosen._consume_from = before


class Consumer:
    """Celery's, as far as the gate needs it."""

    task_consumer = None

    def call_soon(self, function, *args):
        function(*args)


def test_the_message_of_a_paused_task_waits_aside_and_goes_on_in_order(committed):
    committed(pauses.pause, "task", "demo.echo", by="grace", reason="bug")
    held._tasks = frozenset({"demo.echo"})
    messages = [received(), received()]
    for message in messages:
        assert held.park(message)
        assert message.acknowledged
    assert redis.client().llen("default") == 0
    assert broker.jobs_known(["default"]) == {message.headers["id"] for message in messages}
    assert delayed.release(app) == 0
    committed(pauses.resume, "task", "demo.echo", by="grace")
    assert delayed.release(app) == 2
    again = [taken() for _ in messages]
    assert [m.headers["id"] for m in again] == [m.headers["id"] for m in messages]
    assert again[0].headers == messages[0].headers
    assert again[0].decode() == messages[0].decode()


def test_how_many_wait_is_asked_before_the_transaction(monkeypatch):
    monkeypatch.setattr(delayed, "parked", lambda group: 1234)
    asked = transactions.noted(monkeypatch, delayed, "parked")
    pauses.pause("task", "demo.echo", by="grace", reason="bug")
    assert "1,234 of its jobs go on." in pauses.resume("task", "demo.echo", by="grace")
    pauses.pause("queue", "default", by="grace", reason="bug")
    assert "go on" not in pauses.resume("queue", "default", by="grace")
    assert asked == [False]


def test_other_tasks_are_left_alone():
    held._tasks = frozenset({"demo.wait"})
    assert not held.park(received())


def test_a_worker_that_has_not_heard_of_the_resume_puts_nothing_aside(committed):
    """It looks once a second: what it received in between would wait for a second resume."""
    committed(pauses.pause, "task", "demo.echo", by="grace", reason="bug")
    committed(pauses.resume, "task", "demo.echo", by="grace")
    held._tasks = frozenset({"demo.echo"})
    message = received()
    assert not held.park(message)
    assert not message.acknowledged
    assert delayed.groups_parked() == set()


def test_what_was_put_aside_for_a_pause_without_a_row_goes_on_too():
    held.put([held.Paused("task", "demo.echo", "grace", "bug", 1.0)])
    held._tasks = frozenset({"demo.echo"})
    assert held.park(received())
    pauses.reconcile()
    assert held.current() == {}
    assert delayed.release(app) == 1


@pytest.mark.parametrize("kind", ["queue", "task"])
def test_the_job_says_who_paused_it_since_when_and_why(committed, kind, client, django_user_model):
    worker("w@test/1", paused=["default"] if kind == "queue" else [])
    name = "default" if kind == "queue" else "demo.echo"
    committed(pauses.pause, kind, name, by="grace", reason="the new model")
    job = Job.objects.create(
        pk="a", task="demo.echo", queue="default", state=State.QUEUED, queued_at=timezone.now(), queued_event=1
    )
    assert waiting([job])["a"].short == f"the {kind} {name} is paused by grace: the new model"
    client.force_login(django_user_model.objects.create_superuser("boss"))
    page = client.get("/jobs/a/").content.decode()
    (paused,) = held.current().values()
    assert f"The {kind} {name} is paused by grace since {clock(paused.moment)}: the new model." in page
    where = f"/queues/of/{name}/" if kind == "queue" else f"/queues/#{anchor('pause', 'task:demo.echo')}"
    assert f'href="{where}"' in page
    assert f"Resume {kind} {name}" in page


def test_the_list_of_queues_asks_the_database_little(client, django_user_model, django_assert_max_num_queries):
    client.force_login(django_user_model.objects.create_superuser("boss"))
    with django_assert_max_num_queries(8):
        assert client.get("/queues/").status_code == 200
