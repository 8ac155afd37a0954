"""Jobs are compared by the size of their input: the bytes of files, the number of rows, or what the author names."""

import contextlib
import uuid
from datetime import timedelta
from typing import Annotated

import pytest
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone

from jobroom.arguments import Argument, File
from jobroom.jobs import estimates, forecast, input_sizes, lateness, queue_position
from jobroom.jobs.models import Expectation, Job, Lateness, State, StoredFile
from jobroom.jobs.pools import Busy
from jobroom.testing.tasks import made_task

pytestmark = pytest.mark.django_db


def approx(seconds: float):
    return pytest.approx(seconds, rel=0.02)


def stored(size: int) -> str:
    return str(StoredFile.objects.create(name="readings.csv", size=size).pk)


def sizes(run, *calls):
    with made_task(run) as task:
        return input_sizes.sizes(task.name, {str(number): ([], call) for number, call in enumerate(calls)})


def test_files_count_by_their_bytes_and_one_that_is_gone_tells_nothing():
    def run(table: File, others: list[File] = (), groups: list[Group] = ()) -> None: ...  # type: ignore[assignment]

    small, large = stored(10), stored(1000)
    calls = [{"table": small}, {"table": large, "others": [small, small]}, {"table": str(uuid.uuid4())}, {"table": "x"}]
    assert sizes(run, *calls) == {"0": 10, "1": 1020}


def test_rows_count_by_their_number_where_there_are_no_files():
    def run(groups: list[Group], more: Annotated[models.QuerySet, Group], names: list[str]) -> None: ...

    assert sizes(run, {"groups": [1, 2], "more": [3], "names": ["a"] * 9}) == {"0": 3}


def test_what_the_author_names_counts_alone(caplog):
    def by_column(group: Annotated[Group | None, Argument(size="pk")], table: File) -> None: ...
    def by_function(table: File, pages: Annotated[list, Argument(size=len)]) -> None: ...
    def misspelt(group: Annotated[Group, Argument(size="sise")]) -> None: ...

    group = Group.objects.create(name="one")
    file = stored(5)
    assert sizes(by_column, {"group": group.pk, "table": file}, {"group": 999_999}, {"group": None}) == {"0": group.pk}
    assert not caplog.records
    assert sizes(by_function, {"pages": [1, 2]}, {"pages": None}, {"unknown": 1}) == {"0": 2}
    assert sizes(misspelt, {"group": group.pk}) == {}
    assert "sise" in caplog.text


def test_a_task_that_is_not_known_here_has_no_sizes():
    assert input_sizes.sizes("nowhere.task", {"1": ([], {"a": 1})}) == {}


@contextlib.contextmanager
def with_history(power: float):
    """Give a task whose jobs took ten seconds for a hundred bytes, and its running job with an input of 800."""

    def run(table: File) -> None: ...

    now = timezone.now()
    with made_task(run) as task:
        for number in range(12):
            size = 100 * (number + 1)
            begin, took = now - timedelta(hours=1), timedelta(seconds=10 * (size / 100) ** power)
            Job.objects.create(
                id=f"j{number}",
                task=task.name,
                kwargs={"table": stored(size)},
                state=State.SUCCEEDED,
                started_at=begin,
                finished_at=begin + took,
            )
        yield Job.objects.create(
            id="now", task=task.name, kwargs={"table": stored(800)}, state=State.RUNNING, started_at=now
        )


@pytest.mark.usefixtures("one_moment")
@pytest.mark.parametrize(("power", "seconds"), [(0, 10), (1, 80), (2, 640)])
def test_the_expected_end_is_that_of_jobs_alike_in_size(power, seconds):
    with with_history(power) as job:
        assert estimates.remaining(job) == pytest.approx((seconds, seconds), abs=1)


def test_history_and_sizes_are_read_once(django_assert_num_queries):
    with with_history(1) as job:
        estimates.remaining(job)
        with django_assert_num_queries(0):
            estimates.remaining(job)


def test_every_forecast_knows_the_size_of_the_input():
    now = timezone.now()
    with with_history(1) as job:
        large = Job.objects.create(
            id="large", task=job.task, kwargs={"table": stored(2000)}, state=State.QUEUED, queue="q", queued_at=now
        )
        unknown = Job.objects.create(id="unknown", task=job.task, state=State.QUEUED, queue="q", queued_at=now)
        tasks = {one.pk: one.task for one in (job, large, unknown)}
        assert estimates.usual(tasks) == {"now": approx(80), "large": approx(200), "unknown": approx(70)}
        assert {pk: len(found) for pk, found in estimates.times(tasks).items()} == {
            "now": 12,
            "large": 12,
            "unknown": 12,
        }
        assert queue_position._left(Busy(job.task, 0.0, None, "now"), estimates.usual(tasks)) == approx(80)
        Expectation.objects.create(of="task", name=job.task, within=100)
        lateness.look(now)
        assert list(Lateness.objects.values_list("job_id", "kind")) == [("large", "late")]


def test_sizes_of_many_waiting_jobs_are_read_in_few_queries(django_assert_max_num_queries):
    with with_history(1) as job:
        rows = [
            Job(id=f"w{n}", task=job.task, kwargs={"table": stored(50 + n)}, state=State.QUEUED) for n in range(600)
        ]
        Job.objects.bulk_create(rows)
        with django_assert_max_num_queries(6):
            found = estimates.usual({row.pk: row.task for row in rows})
    assert (found["w0"], found["w550"]) == (approx(5), approx(60))


def test_few_jobs_or_jobs_all_alike_leave_the_times_as_they_are():
    assert forecast.Growth([1, 2, 3], [10, 20, 30]).times(40) == [1, 2, 3]
    assert forecast.Growth([1, 2, 3, 4, 5], [None, 0, 30, 40, 50]).times(40) == [1, 2, 3, 4, 5]
    assert sorted(forecast.Growth([5, 4, 3, 2, 1], [10, 10, 10, 10, 11]).times(40)) == [1, 2, 3, 4, 5]


def test_a_job_that_was_held_up_hardly_changes_what_the_others_tell():
    times = [float(size) for size in range(1, 21)]
    times[3] = 900.0
    low, *_, high = sorted(forecast.Growth(times, list(range(1, 21))).times(40))
    assert low == pytest.approx(40, rel=0.05)
    assert high < 45
