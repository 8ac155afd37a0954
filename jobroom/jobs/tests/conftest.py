"""People for the tests of pages."""

import math
from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.auth.models import User

from jobroom import redis


@pytest.fixture(autouse=True)
def _no_postman(monkeypatch):
    """Keep housekeeping from the thread that deletes old mails some minutes after the start of a process."""
    monkeypatch.setattr("jobroom.notifications.receivers.postman.cleaning.at", math.inf)


@pytest.fixture(autouse=True)
def _unhurried_rounds(monkeypatch):
    """Let a round do all that there is: the moment that it takes at most is over where the machine has other work."""
    monkeypatch.setattr("jobroom.jobs.durations.SECONDS", 60.0)
    monkeypatch.setattr("jobroom.jobs.staged_retries.SECONDS", 60.0)


@pytest.fixture
def one_moment(monkeypatch):
    """Let our clock and that of Redis stand still: no second, minute or hour ends between two looks at the same numbers."""
    moment = datetime(2026, 11, 29, 12, 20, 30, tzinfo=UTC)
    monkeypatch.setattr(redis, "now", lambda connection=None: moment.timestamp())
    with time_machine.travel(moment, tick=False):
        yield


@pytest.fixture
def ada(db):
    """Return someone who is no staff."""
    return User.objects.create_user("ada", password="lovelace")


@pytest.fixture
def staff(db):
    """Return someone who may see everything."""
    return User.objects.create_superuser("grace", password="hopper")


@pytest.fixture
def as_ada(client, ada):
    """Return a browser of someone who is no staff."""
    client.force_login(ada)
    return client


@pytest.fixture
def as_staff(client, staff):
    """Return a browser of someone who may see everything."""
    client.force_login(staff)
    return client


@pytest.fixture
def empty_redis():
    """Begin with nothing in Redis."""
    redis.client().flushdb()
