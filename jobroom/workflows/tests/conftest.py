"""People for the tests of pages, and the beginning of those of repairs."""

import pytest

from jobroom import redis
from jobroom.events import consumer
from jobroom.jobs.tests.conftest import ada, as_ada, as_staff, empty_redis, one_moment, staff
from jobroom.workflows.models import Definition
from jobroom.workflows.repair import sweeper, verification

__all__ = ["ada", "as_ada", "as_staff", "empty_redis", "one_moment", "staff"]


@pytest.fixture(autouse=True)
def _history_keeps_up(monkeypatch):
    """Let no look wait for a recorder, of which there is none here, because a test takes longer than usual."""
    monkeypatch.setattr(consumer, "lag", lambda: consumer.Lag(0, 0.0))


@pytest.fixture
def no_definitions(db, empty_redis):
    """Begin without definitions, also those that come with the project."""
    Definition.objects.all().delete()


@pytest.fixture
def quick_repairs(settings):
    """Begin with nothing in Redis and nothing seen, and repair what is wrong at the first look."""
    settings.JOBROOM = settings.JOBROOM | {"WORKFLOWS_SILENT_AFTER": 0.0}
    redis.client().flushdb()
    sweeper._suspects.seen.clear()
    verification.proofs.done.clear()
