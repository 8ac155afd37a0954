"""A job that is not wanted any more does not start, or stops at its next progress call, and says who asked."""

import json

import pytest

from jobroom import events, redis
from jobroom.events import cancellation
from jobroom.events.cancellation import JobCancelled


@pytest.fixture(autouse=True)
def clean():
    redis.client().flushdb()
    yield
    redis.client().flushdb()


def written():
    return [json.loads(fields["e"]) for _, fields in redis.client().xrange(events.stream())]


def test_a_job_that_does_not_run_is_cancelled_at_once():
    assert cancellation.request("j1", "ada") is False
    (event,) = written()
    assert (event["type"], event["state"], event["error"]) == (
        "finished", "cancelled", "Cancelled by ada before it started.",
    )  # fmt: skip


def test_and_does_not_start_any_more():
    cancellation.request("j1", "ada")
    before = len(written())
    sent, asked = events.write("started", "j1", {"task": "t"})
    assert sent
    assert str(JobCancelled(asked)) == "Cancelled by ada."
    assert len(written()) == before
    assert not redis.client().exists(events.running_key("j1"))


def test_a_running_job_is_asked_and_hears_of_it_with_its_progress():
    events.write("started", "j1", {"task": "t"})
    assert events.write("progress", "j1", {"current": 1})[1] is None
    assert cancellation.request("j1", "bob") is True
    assert [event["type"] for event in written()] == ["started", "progress"]
    assert json.loads(events.write("progress", "j1", {"current": 2})[1])["by"] == "bob"


def test_a_finished_job_does_not_count_as_running():
    events.write("started", "j1", {})
    events.write("finished", "j1", {"state": "succeeded"})
    assert not redis.client().exists(events.running_key("j1"))


def test_a_job_that_is_wanted_again_may_start():
    cancellation.request("j1", "ada")
    assert cancellation.requested("j1")["by"] == "ada"
    cancellation.withdraw("j1")
    assert cancellation.requested("j1") is None
    assert events.write("started", "j1", {}) == (True, None)


def test_a_tasks_own_except_lets_a_cancel_pass():
    assert not issubclass(JobCancelled, Exception)
