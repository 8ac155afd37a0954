"""A worker runs a task."""

import pytest

from common.tasks import clearsessions
from common.testing.processes import Worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


def test_a_worker_runs_a_decorated_task():
    with Worker():
        result = clearsessions.delay()
        assert result.get(timeout=20) == "Session cleaned with success"
