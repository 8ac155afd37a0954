"""A message over which workers die, with RabbitMQ as broker: in a file of its own, as no other worker may take it."""

import pytest

from jobroom import redis
from jobroom.testing.brokers import broker
from tests.acceptance.test_bad_messages import test_a_message_over_which_workers_die_is_not_tried_for_ever

__all__ = ["test_a_message_over_which_workers_die_is_not_tried_for_ever"]

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
]


@pytest.fixture(autouse=True)
def _broker(rabbitmq_url, monkeypatch):
    """Let this process, and all that the test starts, speak to RabbitMQ."""
    monkeypatch.setenv("CELERY_BROKER_URL", rabbitmq_url)
    redis.client().flushdb()
    with broker(rabbitmq_url):
        yield
