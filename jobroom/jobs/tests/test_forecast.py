"""When a running job should end: a range from history and pace, or nothing."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobroom.jobs import forecast


def test_no_one_knows_the_end_of_a_first_job_that_has_just_begun():
    assert forecast.left([], None, 3) is None
    assert forecast.left([], 0.1, 3) is None
    assert forecast.left([10, 11], None, 3) is None


def test_fast_first_steps_do_not_promise_a_near_end():
    # Five sixths of the steps within 10 s of a job that took 106 s: by pace alone "2 s left".
    low, high = forecast.left([100, 104, 106, 110], 5 / 6, 10)
    assert high > 6
    assert forecast.left([100, 104, 106, 110], 0.3, 10)[0] > 60
    assert low <= high


def test_a_job_longer_than_any_before_is_judged_by_its_pace_or_not_at_all():
    assert forecast.left([10, 11, 12], None, 20) is None
    assert forecast.left([10, 11, 12], 0.5, 20) == (15, 25)


def test_the_pace_is_that_of_the_moment_at_which_a_step_ended():
    # Two of five steps were done after 40 s; it is 55 s now, and the third goes on.
    assert (
        forecast.left([], 0.4, 55, 40) == forecast.left([], 0.4, 55, 40.0) == (pytest.approx(31.5), pytest.approx(58.5))
    )
    low, high = forecast.left([], 0.4, 200, 40)
    assert 0 < low < high < 300, "a step that takes long is not the last moment of a job"


@given(
    st.lists(st.floats(0.1, 1e5), max_size=30),
    st.none() | st.floats(0, 1),
    st.floats(0, 1e5),
)
def test_a_range_is_one(times, fraction, spent):
    found = forecast.left(times, fraction, spent)
    if found is not None:
        assert 0 <= found[0] <= found[1]


def error_at_half_time(rng: random.Random) -> float:
    """Return the share by which the middle of the range misses, of a job with uneven steps and a like history."""

    def took() -> float:
        return rng.lognormvariate(3, 0.3)

    total, bend = took(), rng.uniform(0.7, 1.4)
    half = total / 2
    expected = forecast.left([took() for _ in range(25)], 0.5**bend, half)
    assert expected is not None
    low, high = expected
    return abs((low + high) / 2 - half) / total


def test_half_of_all_estimates_at_half_time_miss_by_less_than_a_fifth():
    rng = random.Random(7)
    assert statistics.median(error_at_half_time(rng) for _ in range(200)) < 0.2


@pytest.mark.parametrize("fraction", [0.0, None])
def test_history_alone_until_it_says_something(fraction):
    assert forecast.left([10, 20, 30, 40], fraction, 5) == (15, 35)


def test_one_number_for_the_queue_blends_what_is_usual_with_the_pace():
    # The first tenth went by in two seconds, but such jobs take a hundred: "18 s" would be the pace alone.
    assert forecast.single(100.0, 0.1, 2.0) == pytest.approx(90.0, abs=1)
    assert forecast.single(100.0, 0.9, 90.0) == pytest.approx(10.0, abs=1)
    assert forecast.single(None, 0.1, 2.0) is None  # no one knows yet
    assert forecast.single(None, 0.5, 10.0) == 10.0
    assert forecast.single(100.0, None, 40.0) == 60.0
    assert forecast.single(100.0, None, 140.0) is None
    assert forecast.single(100.0, 0.5, 140.0) == 140.0
