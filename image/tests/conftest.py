"""The world that the tests of rights share."""

import logging

import pytest

from image.tests import world as making
from jobroom import redis


@pytest.fixture
def world(db, tmp_path, settings):
    """Return people of all roles, and one of everything that belongs to someone."""
    settings.MEDIA_ROOT = tmp_path
    # Thousands of requests by the same few sessions: to read each from its table every time is a third of their cost.
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    redis.client().flushdb()
    yield making.build(tmp_path)
    redis.client().flushdb()


@pytest.fixture
def quiet():
    """Have Django say nothing of the requests that are refused, of which there are thousands."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def empty_redis():
    """Begin with nothing in Redis."""
    redis.client().flushdb()
