"""The recorder counts the ends of jobs by hour, task, owner and state, each once, whatever order its events have."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from jobroom.jobs import hourly_counts, retention
from jobroom.jobs.models import FINISHED, HourTally, Job
from jobroom.jobs.recorder import writer
from jobroom.jobs.tests.events import BEGINNING, finished, queued, record, started

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.usefixtures("empty_redis")]


def numbers():
    """Return how many ended in each hour, by state, of those that are not none."""
    rows = HourTally.objects.exclude(number=0).values_list("hour", "state")
    return {(hour, state): number for hour, state, number in rows.annotate(sum=Sum("number"))}


def hour(seconds):
    return hourly_counts.hour_of(datetime.fromtimestamp(BEGINNING + seconds, tz=UTC))


def test_an_end_counts_in_its_hour_and_once():
    events = [queued(0), started(1), finished(2)]
    record(*events)
    record(*events)  # after a crash the same events come again
    assert numbers() == {(hour(2), "succeeded"): 1}


def test_an_end_that_is_corrected_moves():
    record(queued(0), started(1), finished(5, execution=None, state="lost"))
    assert numbers() == {(hour(5), "lost"): 1}
    record(finished(6, state="succeeded"))  # the worker had not vanished
    assert numbers() == {(hour(6), Job.objects.get().state): 1}


def test_a_job_that_is_run_again_ends_again():
    record(queued(0), started(1), finished(2, state="failed"))
    Job.objects.update(state="queued", finished_at=None)  # as a retry does
    record(queued(7300), started(7301, "b"), finished(7302, "b"))
    assert numbers() == {(hour(2), "failed"): 1, (hour(7302), "succeeded"): 1}


@pytest.mark.parametrize("seed", range(5))
def test_tallies_agree_with_the_jobs_in_whatever_batches_they_come(seed, ada):
    chance = random.Random(seed)
    events = []
    for n in range(12):
        at = n * 1500
        states = ["succeeded", "failed", "cancelled", "skipped"]
        job = {"job": f"j{n}"}
        life = [queued(at, **job), started(at + 1, **job), finished(at + 2, state=chance.choice(states), **job)]
        events += life[: chance.randint(1, 3)]
    chance.shuffle(events)
    while events:
        size = chance.randint(1, 6)
        writer.write(events[:size])
        events = events[size:]
    kept = numbers()
    hourly_counts.recount(datetime.fromtimestamp(BEGINNING, tz=UTC) - timedelta(hours=1))
    assert kept == numbers()
    assert sum(kept.values()) == Job.objects.filter(state__in=FINISHED).count()


def test_what_another_job_answered_is_not_counted(ada):
    now = timezone.now()
    Job.objects.create(id="a", task="t", state="succeeded", finished_at=now, answer_of="b")
    Job.objects.create(id="c", task="t", state="succeeded", finished_at=now, owner=ada)
    hourly_counts.recount(now)
    assert list(HourTally.objects.values_list("task", "owner_id", "number")) == [("t", ada.pk, 1)]


def test_old_tallies_go_with_the_old_jobs():
    old = hourly_counts.hour_of(timezone.now() - hourly_counts.KEPT - timedelta(hours=2))
    HourTally.objects.create(hour=old, task="t", state="failed", number=1)
    HourTally.objects.create(hour=hourly_counts.hour_of(timezone.now()), task="t", state="failed", number=1)
    retention.cleanup_jobs(days=0, keep=0)
    assert HourTally.objects.count() == 1
