"""One attempt of a job is started once, however many messages bring it; what is another attempt starts."""

import json
from typing import Any

import pytest

from jobroom import events, redis


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def start(execution: str, *, retries: int = 0, dispatch: str = "", may_rerun: bool = False) -> bool:
    """Start the job; return whether it may."""
    data = {"task": "t", "retries": retries, "execution": execution, "may_rerun": may_rerun, "dispatch": dispatch}
    return events.write("started", "j", data)[1] != events.REPEATED


def end(kind: str = "finished", **data) -> None:
    events.write(kind, "j", {"execution": "x", **data})


def sent(**data) -> None:
    events.write("queued", "j", {"task": "t", "retries": 0, **data})


def reported() -> list[str]:
    entries: Any = redis.client().xrange(events.stream())
    return [json.loads(fields["e"])["type"] for _, fields in entries]


def test_a_second_message_does_not_start_a_job_that_runs_or_has_ended():
    assert start("x")
    assert not start("y")
    assert redis.client().get(events.running_key("j")).endswith(" x")
    end()
    assert not start("z")
    assert not redis.client().exists(events.running_key("j"))
    assert reported() == ["started", "finished"]


def test_nor_does_one_that_was_sent_once_more():
    sent(dispatch="launch")
    assert start("x", dispatch="launch")
    end()
    sent(dispatch="again-1")
    assert not start("y", dispatch="again-1")


def test_a_retry_is_another_attempt_and_starts_once_too():
    assert start("x")
    end("retrying", error_type="ValueError")
    assert not start("y")
    assert start("y", retries=1)
    assert not start("z", retries=1)
    end()
    assert not start("z", retries=1)


def test_a_run_that_went_back_to_its_queue_starts_again():
    assert start("x")
    end("waiting")
    assert start("y")
    end("retrying", error_type="WorkerLost")
    assert start("z")


def test_a_task_that_may_run_twice_is_delivered_again_but_not_sent_twice():
    assert start("x", may_rerun=True, dispatch="launch")
    assert start("y", may_rerun=True, dispatch="launch")  # its worker vanished, and the broker gives the message again
    assert not start("z", may_rerun=True, dispatch="again-1")
    end()
    assert not start("w", may_rerun=True, dispatch="launch")


def test_an_id_that_someone_uses_again_begins_another_life():
    assert start("x")
    end()
    sent()
    assert start("y")


def test_the_message_of_a_run_that_was_replaced_starts_nothing_and_its_replacement_starts():
    assert start("x", may_rerun=True)
    end("waiting")
    events.note_replaced("j", None)
    sent(dispatch="replacement-1")
    assert not start("y", may_rerun=True), "its worker vanished before it acknowledged the message"
    assert not redis.client().exists(events.running_key("j"))
    assert start("z", may_rerun=True, dispatch="replacement-1")
    end("retrying", error_type="ValueError")
    assert start("z", retries=1, may_rerun=True, dispatch="replacement-1")
    assert not start("y", may_rerun=True)


def test_each_of_several_replacements_is_remembered_until_the_id_begins_another_life():
    for dispatch in ("", "launch", "replacement-1"):
        assert start("x", dispatch=dispatch)
        end("waiting")
        events.note_replaced("j", dispatch)
    assert [start("y", dispatch=one) for one in ("", "launch", "replacement-1")] == [False, False, False]
    sent()
    assert start("y")


def test_the_start_that_was_kept_back_while_redis_was_away_is_no_second_one():
    assert start("x")
    assert start("x")


def test_what_an_older_version_left_refuses_no_one():
    redis.client().set(events.running_key("j"), "1")
    assert start("x")


def test_an_attempt_is_remembered_for_as_long_as_the_setting_says(settings):
    settings.JOBROOM = settings.JOBROOM | {"ATTEMPT_KEPT": 77}
    start("x")
    end()
    assert 70 < redis.client().ttl(events.ran_key("j")) <= 77
