"""One more message of an attempt queues nothing again, in whatever order the history hears of it."""

import itertools

import pytest

from jobroom.jobs.models import Job, State
from jobroom.jobs.recorder.job_state import conclude
from jobroom.jobs.recorder.state_machine import Life
from jobroom.jobs.tests.events import finished, queued, started
from jobroom.jobs.tests.test_state_machine import NOW

FIRST, AGAIN = queued(1, dispatch="launch"), queued(4, dispatch="again-1")


@pytest.mark.parametrize("order", list(itertools.permutations([FIRST, started(2), finished(3), AGAIN])))
def test_a_job_that_has_ended_stays_so_when_its_message_was_sent_again(order):
    assert state(order) == State.SUCCEEDED


@pytest.mark.parametrize("order", list(itertools.permutations([queued(1), started(2), finished(3), queued(4)])))
def test_another_life_of_the_job_queues_it(order):
    assert state(order) == State.QUEUED


@pytest.mark.parametrize(
    "order", list(itertools.permutations([queued(1, dispatch="again-1"), started(2), finished(3), queued(4)]))
)
def test_also_after_a_message_that_was_sent_again(order):
    assert state(order) == State.QUEUED


def state(events):
    life = Life(Job(pk="job", created_at=events[0].at), {}, True, "")
    for item in events:
        life.apply(item)
    conclude(life, NOW)
    return life.job.state
