"""The task contract and the database with RabbitMQ as broker; results, events and locks stay in Redis."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from celery import chain
from django.conf import settings

from demo import tasks as demo
from image.celery import app
from jobroom import redis
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Attempt, Job, Source, State
from jobroom.testing import wait_until
from jobroom.testing.brokers import broker
from jobroom.testing.processes import Beat, Recorder, Worker, running
from jobroom.workers.rescue import rescue
from tests.acceptance.scratch import ScratchApp

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
]

SLOW = 120.0  # at the beginning of a run nine processes warm up beside the broker

TASKS = """
    import time
    from pathlib import Path

    from image.celery import app
    from jobroom.tasks import BaseTask, NotifyAdminTaskMixin, exclusive_task


    @app.task(bind=True, base=app.Task)
    def hello(self, name="world"):
        self.debug_task()
        return f"Hello {name}"


    @app.task(name="scratch.gated", acks_late=True)
    def gated(path):
        while not Path(path).exists():
            time.sleep(0.02)
        return "fetched"


    class FetchStatusTask(NotifyAdminTaskMixin, BaseTask):
        name = "Fetch status"

        @exclusive_task(task_name="Fetch status", lock_id="FetchStatus")
        def run(self, path):
            return gated(path)


    app.tasks.register(FetchStatusTask)


    class Patient(BaseTask):
        name = "scratch.patient"

        @exclusive_task(task_name="Patient", lock_id="patient", blocking=True)
        def run(self, seconds=0):
            began = time.time()
            time.sleep(seconds)
            return [began, time.time()]


    app.tasks.register(Patient)
"""


@pytest.fixture
def rabbit(rabbitmq_url, monkeypatch):
    """Send this process's messages to RabbitMQ; return the environment in which others do."""
    redis.client().flushdb()
    monkeypatch.setitem(app.conf.broker_transport_options, "confirm_publish", True)
    with broker(rabbitmq_url):
        with app.connection_for_write() as connection:
            for queue in settings.JOBROOM["QUEUES"]:
                connection.default_channel.queue_declare(queue, durable=True, auto_delete=False)
                connection.default_channel.queue_purge(queue)
        yield {"CELERY_BROKER_URL": rabbitmq_url}


@pytest.fixture
def env(rabbit, tmp_path) -> dict[str, str]:
    """Return the environment of workers that know the tasks above and may send mail."""
    scratch = ScratchApp(tmp_path, TASKS)
    return {**scratch.env, **rabbit, "ADMINS": "ada@example.org"}


def waiting(queue: str = "default") -> int:
    """Return how many messages no worker has received."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue, passive=True).message_count)


def states(ids: list[str]) -> Counter:
    return Counter(Job.objects.filter(pk__in=ids).values_list("state", flat=True))


def mails_about(job: str, box: Sequence[Any] = ()) -> int:
    """Return how many mails about the job were sent, by this process into `box` or by others into files."""
    texts = [path.read_text() for path in (settings.VAR / "mail").glob("*.log")]
    return sum(job in text for text in [*texts, *(mail.body for mail in box)])


def running_attempts(ids: list[str]) -> int:
    return Attempt.objects.filter(job__in=ids, state=State.RUNNING).count()


def test_the_contract_holds(env, tmp_path):
    with Worker(concurrency=2, env=env) as worker:
        assert app.send_task("scratch.tasks.hello", ["Ada"]).get(timeout=SLOW) == "Hello Ada"
        assert chain(demo.add.s(1, 4), demo.add.s(10), demo.mul.s(7)).delay().get(timeout=SLOW) == 105

        first = app.send_task("Fetch status", [str(tmp_path / "go")])
        wait_until(lambda: redis.client().keys(redis.key("lock", "*")), SLOW)
        assert app.send_task("Fetch status", [""]).get(timeout=SLOW) == "Fetch status already running!"
        (tmp_path / "go").touch()
        assert first.get(timeout=SLOW) == "fetched"

        turns: list[Any] = [app.send_task("scratch.patient", [1]) for _ in range(2)]
        (_, end), (begin, _) = sorted(turn.get(timeout=SLOW) for turn in turns)
        assert end <= begin

        failed = demo.fail.delay("on purpose")
        assert "on purpose" in str(failed.get(timeout=SLOW, propagate=False))
        wait_until(lambda: mails_about(failed.id), SLOW)
        assert demo.echo.delay("after").get(timeout=SLOW) == "after"
        assert mails_about(failed.id) == 1
    assert "Ignoring disable_prefetch" not in worker.log


def test_jobs_survive_their_worker_and_rescue_does_no_harm(env, settings, mailoutbox, tmp_path):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 1.0}
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_REPLACED_AFTER": 4.5}
    settings.ADMINS = [("Ada", "ada@example.org")]
    with Recorder(env=env):
        with Worker(concurrency=3, env=env) as first:
            fragile = demo.ignores_time_limit.apply_async((60,), time_limit=90, soft_time_limit=80).id
            ids = [app.send_task("scratch.gated", [str(tmp_path / "go")]).id for _ in range(6)]
            wait_until(lambda: running_attempts([fragile, *ids]) == 3, SLOW)
            first.kill()
        (tmp_path / "go").touch()
        with Worker(concurrency=3, env=env):
            wait_until(lambda: (rescue(), states(ids) == {State.SUCCEEDED: 6})[1], SLOW)
            wait_until(lambda: (rescue(), states([fragile]) == {State.LOST: 1})[1], SLOW)
            wait_until(lambda: mails_about(fragile, mailoutbox), SLOW)
            assert demo.echo.delay("after").get(timeout=SLOW) == "after"
            wait_until(lambda: waiting() == 0, SLOW)
    assert sorted(Job.objects.filter(pk__in=ids).values_list("attempts", flat=True)) == [1, 1, 1, 1, 2, 2]
    assert Job.objects.get(pk=fragile).attempts == 1
    assert mails_about(fragile, mailoutbox) == 1


def test_a_launch_is_in_the_database_and_the_room_is_ready(rabbit, admin_user, client):
    queues = ",".join(settings.JOBROOM["QUEUES"])
    with running(Recorder(env=rabbit), Beat(env=rabbit), Worker(queues=queues, env=rabbit)):
        job = launch(task="demo.add", arguments={"x": 2, "y": 3}, by=admin_user, source=Source.API)
        wait_until(lambda: states([job.pk]) == {State.SUCCEEDED: 1}, SLOW)
        ready = wait_until(lambda: (answer := client.get("/readyz")).status_code == 200 and answer, SLOW)
    assert Job.objects.get(pk=job.pk).result == 5
    assert all(part["ok"] for part in ready.json()["parts"].values())
