"""Waits and durations are counted once in buckets, whatever order events have, and percentiles of any span are within a bucket."""

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from jobroom.jobs import duration_buckets, durations, retention
from jobroom.jobs.models import Attempt, DurationTally, Job
from jobroom.jobs.recorder import writer
from jobroom.jobs.tests.events import BEGINNING, event, finished, queued, record, retrying, started

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.usefixtures("empty_redis")]

SECONDS = st.floats(min_value=0, max_value=80 * 86400, allow_nan=False)


def at(seconds):
    return datetime.fromtimestamp(BEGINNING + seconds, tz=UTC)


def counted(what=None):
    """Return how many there are of each kind and bucket, of those that are not none."""
    rows = DurationTally.objects.filter(**({"what": what} if what else {})).values_list("what", "bucket")
    return {(kind, bucket): number for kind, bucket, number in rows.annotate(sum=Sum("number")) if number}


def exact(values, share):
    """Return the percentile by nearest rank."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


@given(SECONDS)
def test_a_duration_is_within_the_bounds_of_its_bucket(seconds):
    low, high = duration_buckets.bounds_of(duration_buckets.bucket_of(seconds))
    assert low * (1 - 1e-9) <= seconds <= high * (1 + 1e-9)


@settings(max_examples=200)
@given(st.lists(st.lists(SECONDS, max_size=30), min_size=1, max_size=12), st.sampled_from([0.01, 0.5, 0.9, 0.95, 1.0]))
def test_a_percentile_of_merged_slots_is_within_the_bucket_of_the_exact_one(slots, share):
    merged = Counter()
    for slot in slots:
        merged.update(Counter(map(duration_buckets.bucket_of, slot)))
    values = [value for slot in slots for value in slot]
    if not values:
        assert duration_buckets.percentile(merged, share) is None
        return
    found, right = duration_buckets.percentile(merged, share), exact(values, share)
    low, high = duration_buckets.bounds_of(duration_buckets.bucket_of(right))
    assert low <= found <= high
    assert abs(found - right) <= 0.0906 * max(right, found) or max(right, found) <= duration_buckets.FIRST


def test_waits_and_runs_count_once_also_when_events_come_again():
    events = [queued(0), started(3), finished(13)]
    record(*events)
    for one in events:
        record(one)  # after a crash the same events come again
    assert counted() == {("wait", duration_buckets.bucket_of(3)): 1, ("took", duration_buckets.bucket_of(10)): 1}
    assert Attempt.objects.get().waited == 3


def test_a_job_that_waits_for_its_time_waits_from_then_on():
    record(queued(0, eta=at(100).isoformat()), started(102), finished(103))
    assert counted("wait") == {("wait", duration_buckets.bucket_of(2)): 1}


def test_each_attempt_that_was_queued_has_a_wait_of_its_own():
    record(queued(0), started(1), retrying(2), queued(3, retries=1, eta=at(60).isoformat()), started(64, "b"))
    assert counted("wait") == {("wait", duration_buckets.bucket_of(1)): 1, ("wait", duration_buckets.bucket_of(4)): 1}
    record(finished(70, "b"))
    assert counted("took") == {("took", duration_buckets.bucket_of(6)): 1}


def test_a_message_that_is_delivered_once_more_waits_no_second_time():
    record(queued(0), started(1))
    record(started(600, "b"))  # its worker was killed
    assert counted("wait") == {("wait", duration_buckets.bucket_of(1)): 1}


def test_who_only_finds_a_lock_busy_has_not_started():
    record(queued(0), started(1))
    assert sum(counted("wait").values()) == 1
    record(event(2, "waiting", execution="a", lock="l", holder="other"))
    assert counted("wait") == {}
    record(started(30, "b"))
    assert counted("wait") == {("wait", duration_buckets.bucket_of(30)): 1}


@pytest.mark.parametrize("state", ["cancelled", "skipped", "lost"])
def test_what_did_not_end_by_itself_has_no_duration(state):
    record(queued(0), started(1), finished(9, state=state))
    assert counted("took") == {}


def test_an_end_that_is_corrected_moves():
    record(queued(0), started(1), finished(5, state="succeeded", execution=None))
    record(finished(9, state="succeeded"))
    assert sum(counted("took").values()) == 1


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_the_same_in_whatever_batches_the_events_come(seed):
    chance = random.Random(seed)
    events = []
    for n in range(10):
        begin, job = n * 400, {"job": f"j{n}"}
        events += [queued(begin, **job), started(begin + 1 + n, **job)]
        if chance.random() < 0.4:
            events += [
                retrying(begin + 20, **job),
                queued(begin + 21, retries=1, **job),
                started(begin + 60, "b", **job),
            ]
            events.append(finished(begin + 80, "b", state=chance.choice(["succeeded", "failed"]), **job))
        else:
            events.append(finished(begin + 50, state=chance.choice(["succeeded", "failed", "skipped"]), **job))
    writer.write(events)
    whole = counted()
    Job.objects.all().delete()
    DurationTally.objects.all().delete()
    while events:
        size = chance.randint(1, 7)
        writer.write(events[:size])
        writer.write(events[:size])
        events = events[size:]
    assert counted() == whole


def add(begin, number=1, minutes=durations.FINE, **fields):
    values = {"task": "t", "queue": "q", "owner": 0, "what": "took", "bucket": 40, **fields}
    durations.add({durations.Key(begin=int(begin.timestamp()), minutes=minutes, **values): number})


def sizes():
    """Return how many there are in slots of each size."""
    rows = DurationTally.objects.values_list("minutes").annotate(sum=Sum("number"))
    return dict(rows)


def test_slots_are_put_together_to_larger_ones_and_nothing_is_lost():
    now = datetime(2026, 5, 20, 10, 7, tzinfo=UTC)
    for hours in range(24 * 12):
        add(now - timedelta(hours=hours), 2, bucket=hours % 7)
    while durations.roll_up(now):
        pass
    found = sizes()
    assert sum(found.values()) == 24 * 12 * 2
    assert found[durations.FINE] == 2 * 8  # the last seven hours, and the one that they cut
    oldest = {
        minutes: DurationTally.objects.filter(minutes=minutes).order_by("begin").first().begin for minutes in found
    }
    assert oldest[durations.HOUR] == datetime(2026, 5, 19, 6, tzinfo=UTC)
    assert oldest[durations.QUARTER] == datetime(2026, 5, 12, tzinfo=UTC)
    # What comes late to a slot that is put together already is added to it.
    add(now - timedelta(days=10))
    while durations.roll_up(now):
        pass
    assert sum(sizes().values()) == 24 * 12 * 2 + 1
    assert set(sizes()) == set(durations.KEPT)
    days = DurationTally.objects.filter(minutes=durations.DAY).values("begin", "bucket")
    assert days.count() == days.distinct().count()


def test_old_counts_go_with_the_old_jobs():
    add(timezone.now() - durations.KEPT[durations.DAY] - timedelta(days=1), minutes=durations.DAY)
    add(timezone.now())
    retention.cleanup_jobs(days=0, keep=0)
    assert DurationTally.objects.count() == 1
