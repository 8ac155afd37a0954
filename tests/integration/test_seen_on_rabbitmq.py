"""What pages say of waiting jobs is what workers are seen to do, also with RabbitMQ as broker."""

import pytest

from jobroom import redis
from jobroom.testing.brokers import broker
from jobroom.testing.processes import Recorder, Worker
from tests.acceptance.scratch import ScratchApp
from tests.acceptance.test_seen import (
    DOZE,
    test_a_busy_process_is_named,
    test_a_loop_that_stands_still_is_seen,
    test_what_a_rate_limit_holds_back_is_held_also_when_the_limit_changes,
)

__all__ = [
    "test_a_busy_process_is_named",
    "test_a_loop_that_stands_still_is_seen",
    "test_what_a_rate_limit_holds_back_is_held_also_when_the_limit_changes",
]

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory, django_db_setup, rabbitmq_url):
    """One worker for all tests, with one process and a command that blocks its loop."""
    redis.client().flushdb()
    scratch = ScratchApp(tmp_path_factory.mktemp("seen"), DOZE)
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.acceptance.behind_settings",
        "CELERY_BROKER_URL": rabbitmq_url,
        **scratch.env,
    }
    with broker(rabbitmq_url), Worker(name="seen", concurrency=1, env=env) as running, Recorder(env=env):
        yield running
