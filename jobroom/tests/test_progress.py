"""Progress is throttled, ends where the work ends, and stays silent outside a job."""

from types import SimpleNamespace
from unittest import mock

import pytest
import time_machine

from jobroom import events
from jobroom.celery.tracker import Execution
from jobroom.events.cancellation import JobCancelled
from jobroom.exceptions import LockLost
from jobroom.tasks.progress import ProgressMixin


class Job(ProgressMixin):
    """A task as far as progress knows it."""

    def __init__(self, execution):
        self.request = SimpleNamespace(id="j1", execution=execution)


@pytest.fixture
def sent():
    with mock.patch.object(events, "write", return_value=(True, None)) as write:
        yield lambda: [call.args[2] for call in write.call_args_list]


@pytest.fixture
def job():
    return Job(Execution(id="e1", began=0.0))


def test_outside_a_job_nothing_happens(sent):
    job = Job(None)
    job.progress(1, 2)
    job.log("info", "hello")
    with job.stage("x"):
        assert list(job.track([1, 2])) == [1, 2]
    assert sent() == []


def test_the_first_and_the_last_state_always_go_out(job, sent):
    for n in range(1001):
        job.progress(n, 1000)
    states = sent()
    assert (states[0]["current"], states[0]["fraction"]) == (0, 0.0)
    assert (states[-1]["current"], states[-1]["fraction"]) == (1000, 1.0)
    assert states[0]["memory"] is None or states[0]["memory"] > 1_000_000
    assert len(states) < 20


def test_the_throttle_opens_with_time(job, sent):
    with mock.patch("jobroom.tasks.progress.time.monotonic", side_effect=[0.0, 0.1, 0.25, 0.3]):
        for n in range(4):
            job.progress(n, 10)
    assert [state["current"] for state in sent()] == [0, 2]


def test_what_the_throttle_holds_back_is_sent_at_the_end(job, sent):
    job.progress(0, 10)
    job.progress(5, 10, "half")
    job.request.execution.progress.flush()
    assert sent()[-1]["message"] == "half"


def test_a_job_that_repeats_itself_still_hears_that_it_must_stop(job):
    asked = '{"by": "ada"}'
    answers = mock.patch.object(events, "write", side_effect=[(True, None), (True, asked)])
    times = mock.patch("jobroom.tasks.progress.time.monotonic", side_effect=[0.0, 0.1, 0.3])
    with answers, times:
        job.progress(1, 2)
        job.progress(1, 2)
        with pytest.raises(JobCancelled):
            job.progress(1, 2)


def test_the_last_state_said_again_is_throttled(job, sent):
    for _ in range(1000):
        job.progress(2, 2)
    assert len(sent()) < 10


def test_what_was_said_in_between_does_not_follow_the_last_state(job, sent):
    job.progress(2, 2)
    job.progress(1, 2)
    job.progress(2, 2)
    job.request.execution.progress.flush()
    assert [data["current"] for data in sent()] == [2]


def test_an_unknown_total_has_no_fraction(job, sent):
    job.progress(7)
    assert sent()[0]["fraction"] is None


def test_a_total_of_zero_does_not_divide(job, sent):
    job.progress(0, 0)
    assert sent()[0]["fraction"] is None


@time_machine.travel(0)
def test_track_counts_rows_and_ends_full(job, sent):
    assert list(job.track(["a", "b", "c"], "Importing")) == ["a", "b", "c"]
    assert sent()[-1]["current"] == 3
    assert sent()[-1]["fraction"] == 1.0
    assert {state["message"] for state in sent()} == {"Importing"}


def test_track_of_a_generator_learns_its_total_at_the_end(job, sent):
    list(job.track((n for n in range(5)), "Reading"))
    assert (sent()[-1]["current"], sent()[-1]["total"]) == (5, 5)


def test_stages_share_the_whole_by_weight(job, sent):
    with job.stage("Read", weight=1, of=4):
        job.progress(1, 1)
    with job.stage("Decimate", weight=3, of=4):
        job.progress(1, 3)
        job.request.execution.progress.flush()
    shares = {(state["stage"], state["current"]): state["fraction"] for state in sent()}
    assert shares["Read", 1] == pytest.approx(0.25)
    assert shares["Decimate", 1] == pytest.approx(0.5)


def test_a_stage_that_fails_leaves_its_name_behind(job, sent):
    def broken():
        with job.stage("Read"):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 — the error is our own
        broken()
    assert job.request.execution.progress.stage == ""


def test_a_job_whose_lock_has_passed_on_learns_of_it(job, sent):
    passed_on = mock.patch("jobroom.locks.lost", return_value=[SimpleNamespace(name="the-lock")])
    with passed_on, pytest.raises(LockLost, match="The lock the-lock has passed"):
        job.progress(1, 2)


def test_a_log_line_is_an_event(job, sent):
    job.log("warning", "odd row", obj="row 7")
    assert sent() == [{"execution": "e1", "level": "warning", "message": "odd row", "obj": "row 7"}]
