"""The page says when a running job should end: a range, or nothing."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobroom.jobs import estimates
from jobroom.jobs.models import Job, State
from jobroom.jobs.templatetags.jobroom_jobs import expected

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_moment")]


def ran(task: str, *seconds: float) -> None:
    end = timezone.now() - timedelta(hours=1)
    for number, took in enumerate(seconds):
        Job.objects.create(
            id=f"{task}-{number}",
            task=task,
            state=State.SUCCEEDED,
            started_at=end - timedelta(seconds=took),
            finished_at=end,
            created_at=end - timedelta(hours=1),
        )


def job(task: str, spent: float, fraction: float | None) -> Job:
    return Job(
        id="now",
        task=task,
        state=State.RUNNING,
        started_at=timezone.now() - timedelta(seconds=spent),
        execution="a",
        progress={} if fraction is None else {"execution": "a", "fraction": fraction},
    )


@pytest.mark.parametrize(
    ("spent", "fraction", "seconds"),
    [(10, None, (90, 190)), (10, 0.3, (45, 77)), (500, 0.5, (375, 625)), (500, 1.0, (0, 0)), (500, None, None)],
)
def test_history_and_pace_together(spent, fraction, seconds):
    ran("t", 80, 100, 120, 180, 200, 220)
    found = estimates.remaining(job("t", spent, fraction))
    assert found == (seconds and pytest.approx(seconds, abs=2))


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (None, ""),
        ((0, 0.5), "should end any moment"),
        ((38, 40), "about 40 s left"),
        ((0, 30), "at most 30 s left"),
        ((70, 140), "1 min 10 s to 2 min 20 s left"),
    ],
)
def test_a_range_in_words(left, said, monkeypatch):
    monkeypatch.setattr(estimates, "remaining", lambda job: left)
    assert expected(job("t", 1, None)) == said


def test_nothing_where_no_one_can_know():
    ran("t", 100)
    assert expected(job("t", 10, 0.2)) == ""
    assert expected(job("t", 10, None)) == ""
