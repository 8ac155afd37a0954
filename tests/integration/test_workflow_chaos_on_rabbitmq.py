"""Workflows finish whatever dies, with RabbitMQ as broker; `CHAOS_NODES` and `CHAOS_SEEDS` make it larger."""

import os

import pytest

from tests.acceptance.test_workflow_chaos import SEEDS, Size, endure

SIZE = Size(int(os.environ.get("CHAOS_NODES", "30")))

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(int(SIZE.seconds) + 120),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_node_has_its_effect_and_none_twice_that_may_not(seed, tmp_path, settings, rabbitmq_url):
    endure(seed, SIZE, tmp_path, settings, rabbitmq_url)
