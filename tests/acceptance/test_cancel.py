"""Cancelling against a real worker: what the page says is what happened."""

import json

import pytest
from celery.exceptions import TaskRevokedError

from image.celery import app
from jobroom import events, redis
from jobroom.events import cancellation
from jobroom.testing import wait_until
from jobroom.testing.processes import Worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _empty_redis():
    """Begin without the queues and events that other tests leave."""
    redis.client().flushdb()


def ends(job):
    rows = redis.client().xrange(events.stream())
    return [
        (event["state"], event["error"])
        for event in (json.loads(fields["e"]) for _, fields in rows)
        if event["job"] == job and event["type"] == "finished"
    ]


def test_a_queued_job_never_starts_even_in_a_worker_that_starts_later():
    result = app.tasks["demo.echo"].delay("hello")
    assert cancellation.request(result.id, "ada") is False
    with Worker(), pytest.raises(TaskRevokedError, match=r"Cancelled by ada\."):
        result.get(timeout=60)
    wait_until(lambda: len(ends(result.id)) == 2, 60, "the worker says so too")
    assert ends(result.id) == [("cancelled", "Cancelled by ada before it started."), ("cancelled", "Cancelled by ada.")]


def test_a_running_job_stops_at_its_next_progress_call_and_frees_its_worker():
    with Worker(concurrency=1):
        result = app.tasks["demo.progress"].delay(60)
        wait_until(lambda: redis.client().exists(events.running_key(result.id)), 60, "it runs")
        assert cancellation.request(result.id, "bob") is True
        with pytest.raises(TaskRevokedError, match=r"Cancelled by bob\."):
            result.get(timeout=60)
        assert app.tasks["demo.echo"].delay("next").get(timeout=60) is not None
    assert ends(result.id) == [("cancelled", "Cancelled by bob.")]
