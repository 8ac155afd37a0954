"""What must not harm other jobs, with RabbitMQ as broker: emptied queues, far countdowns, messages that come twice or kill."""

from typing import Any

import pytest

from demo import tasks as demo
from image.celery import app
from jobroom import redis
from jobroom.jobs.models import Attempt, Job, State
from jobroom.testing import wait_until
from jobroom.testing.brokers import broker
from jobroom.testing.processes import Recorder, Worker
from tests.acceptance.test_once import (
    SOON,
    are_known,
    launched,
    suspended,
    test_a_far_countdown_is_kept_by_no_one_and_runs_once,
    test_a_message_that_was_sent_twice_starts_once,
    test_a_recorder_that_was_suspended_sends_nothing_again,
    test_what_a_program_sends_on_commit_runs_once_it_has_committed,
)

__all__ = [
    "test_a_far_countdown_is_kept_by_no_one_and_runs_once",
    "test_a_message_that_was_sent_twice_starts_once",
    "test_a_recorder_that_was_suspended_sends_nothing_again",
    "test_what_a_program_sends_on_commit_runs_once_it_has_committed",
]

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
]


@pytest.fixture(scope="module")
def env(rabbitmq_url):
    """Return the environment of processes whose broker is RabbitMQ, and who act soon."""
    return {**SOON, "CELERY_BROKER_URL": rabbitmq_url}


@pytest.fixture(autouse=True)
def _broker(rabbitmq_url, monkeypatch):
    """Let this process and all that the tests start speak to RabbitMQ: the tests of the other modules know nothing of it."""
    monkeypatch.setenv("CELERY_BROKER_URL", rabbitmq_url)
    redis.client().flushdb()
    with broker(rabbitmq_url):
        purge()
        yield
        purge()


@pytest.fixture(scope="module")
def worker(django_db_setup, env):
    """One worker for all tests that do not kill it."""
    with Worker(name="once", env=env) as running:
        yield running


def purge() -> None:
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        channel.queue_declare("default", durable=True, auto_delete=False)
        channel.queue_purge("default")


def test_an_emptied_queue_of_rabbitmq_leaves_no_job_queued(worker, env):
    """Those that can be are sent again, once they are seen to be nowhere; a link of a chain is said to be lost."""
    with Recorder(env=env):
        first = launched(1)
        wait_until(lambda: are_known(first), 60)
        with suspended(worker):
            ids = launched(8)  # some of them are the worker's already
            bound = (demo.echo.s("a") | demo.echo.si("b")).apply_async().parent.id
            wait_until(lambda: Job.objects.filter(pk__in=[*ids, bound], queued_event__gt=0).count() == 9, 60)
            purge()
        wait_until(lambda: are_known(ids), 60)
        wait_until(lambda: Job.objects.filter(pk=bound, state__in=[State.LOST, State.SUCCEEDED]).exists(), 60)
    assert sorted(Attempt.objects.filter(job__in=ids).values_list("job", flat=True)) == sorted(ids)
