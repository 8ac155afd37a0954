"""The clean-up deletes what is old, and nothing else."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobroom.jobs import retention
from jobroom.jobs.models import ArchivedResult, Attempt, Job, LogLine, State

pytestmark = pytest.mark.django_db


def make(pk: str, age: float, state: State = State.SUCCEEDED, finished: float | None = None) -> Job:
    """Return a job created `age` days ago, finished then or `finished` days ago."""
    now = timezone.now()
    job = Job.objects.create(
        pk=pk,
        state=state,
        created_at=now - timedelta(days=age),
        finished_at=now - timedelta(days=age if finished is None else finished),
    )
    Attempt.objects.create(job=job, execution="a")
    LogLine.objects.create(id=Job.objects.count(), job=job, at=now)
    return job


def left() -> set[str]:
    """Return the ids in the database."""
    return set(Job.objects.values_list("pk", flat=True))


def test_old_finished_jobs_go_with_all_that_is_theirs():
    make("old", 31)
    make("young", 29)
    make("old but active", 31, State.RUNNING)
    make("old but finished lately", 31, finished=1)
    assert retention.cleanup_jobs() == 1
    assert left() == {"young", "old but active", "old but finished lately"}
    assert Attempt.objects.count() == LogLine.objects.count() == 3


def test_only_the_newest_are_kept():
    for age in range(10):
        make(f"{age}", age + 1)
    make("active", 20, State.QUEUED)
    assert retention.cleanup_jobs(keep=4) == 6
    assert left() == {"0", "1", "2", "3", "active"}


def test_zero_keeps_all():
    make("ancient", 10_000)
    assert retention.cleanup_jobs(days=0, keep=0) == 0
    assert retention.cleanup_results(days=0) == 0


def test_rows_go_in_chunks_and_the_count_is_reported(settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_CLEANUP_CHUNK": 2}
    for n in range(5):
        make(f"{n}", 40)
    heard: list[int] = []
    assert retention.cleanup_jobs(notify=heard.append) == 5
    assert heard == [2, 4, 5]


def test_old_results_go():
    for days in (29, 31):
        at = timezone.now() - timedelta(days=days)
        ArchivedResult.objects.create(task_id=f"{days}", status="SUCCESS", date_created=at, date_done=at)
    assert retention.cleanup_results() == 1
    assert ArchivedResult.objects.get().task_id == "29"
