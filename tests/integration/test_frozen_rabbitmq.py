"""The same as on Redis, with a RabbitMQ that stands still."""

import pytest

from jobroom import redis
from jobroom.testing import rabbitmq
from tests.acceptance.test_frozen_broker import Site, launch_while_frozen

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]


def test_a_launch_is_answered_while_rabbitmq_stands_still_and_its_job_runs_once(admin_user, rabbitmq_url):
    if (group := rabbitmq.groups.get(rabbitmq_url)) is None:
        pytest.skip("only a private RabbitMQ can be made to stand still")
    redis.client().flushdb()
    env = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.unsent_settings", "CELERY_BROKER_URL": rabbitmq_url}
    launch_while_frozen(Site(admin_user, env), env, group)
