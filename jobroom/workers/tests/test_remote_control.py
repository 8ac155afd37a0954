"""Commands to workers: what is said of one that is carried out, and of one that is not seen to be. Real workers: tests/acceptance/test_operator.py."""

import pytest

from jobroom import redis
from jobroom.celery import worker_commands as given
from jobroom.workers import remote_control
from jobroom.workers.tests.engine import worker

pytestmark = pytest.mark.django_db
NAME, INSTANCE = "default@a", "default@a/1"


@pytest.fixture(autouse=True)
def _worker_that_agrees(monkeypatch):
    """A worker that says yes to all commands."""
    redis.client().flushdb()
    worker(INSTANCE)
    monkeypatch.setattr(given, "give", lambda *args, **kwargs: {"done": True})


def test_a_command_that_the_heartbeat_shows_is_said_to_be_done():
    worker(INSTANCE, quiet=True)
    said = remote_control.give(NAME, "quiet", by="grace")
    assert said == "default@a was asked to take no more jobs, and its heartbeat says that it has."
    assert remote_control.pending() == {}


def test_a_command_that_the_heartbeat_does_not_show_is_shown_until_it_does(monkeypatch):
    monkeypatch.setattr(remote_control, "PATIENCE", 0.0)
    said = remote_control.give(NAME, "quiet", by="grace")
    assert (
        said == "default@a was asked to take no more jobs. It has not said yet that it has; its row shows when it does."
    )
    assert [command.words for command in remote_control.pending()[INSTANCE]] == ["take no more jobs"]
    worker(INSTANCE, quiet=True)
    assert remote_control.pending() == {}
