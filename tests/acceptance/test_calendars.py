"""Days of calendars with real beat processes."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom import events, redis
from jobroom.schedules.models import RunState, ScheduledRun
from jobroom.schedules.services import calendars, policy
from jobroom.testing import wait_until
from jobroom.testing.processes import Beat, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

TASK = "common.tasks.clearsessions"
PATIENCE = 90


@pytest.fixture(autouse=True)
def _fresh():
    """Empty queues and streams."""
    redis.client().flushdb()


def _dues(name):
    entries = [json.loads(fields["e"]) for _, fields in redis.client().xrange(events.stream())]
    jobs = {event["job"] for event in entries if event["type"] == "queued" and event["schedule"] == name}
    messages = [json.loads(text)["headers"] for text in redis.client().lrange("default", 0, -1)]
    return [headers["schedule_due"] for headers in messages if headers["id"] in jobs]


def _every_second(name):
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    return PeriodicTask.objects.create(name=name, task=TASK, interval=every)


def test_two_beats_write_each_closed_run_down_once_and_send_none_until_it_opens():
    week = calendars.add(by=None, given={"name": "All week", "days": "every Mon, Tue, Wed, Thu, Fri, Sat, Sun Freeze"})
    closed, free = _every_second("Closed"), _every_second("Free")
    policy.change(closed, by=None, given={"not_on": ["All week"]})
    first, second = Beat(), Beat()
    with running(first, second):
        # Beats that stood still for more than ten seconds have missed a run, on whatever day it was.
        rows = ScheduledRun.objects.filter(row=closed).exclude(state__in=[RunState.SENDING, RunState.MISSED])
        wait_until(lambda: rows.count() >= 4 and len(_dues(free.name)) >= 4, PATIENCE, "closed runs are written down")
        assert _dues(closed.name) == []
        assert set(rows.values_list("state", "reason")) == {(RunState.SKIPPED, "skipped: All week (Freeze)")}
        calendars.change(week, by=None, given={"days": "2020-01-01"})
        wait_until(lambda: len(_dues(closed.name)) >= 3, PATIENCE, "it runs once it is open")
    dues = _dues(closed.name)
    assert len(dues) == len(set(dues))
    assert not set(dues) & {run.due.isoformat() for run in rows}
    closed.refresh_from_db()
    # Beats write the number of their claims down now and then: none of these was neither sent nor written down.
    assert 0 < closed.total_run_count <= ScheduledRun.objects.filter(row=closed).count() + len(dues)


def test_two_beats_send_a_moved_run_once_when_its_time_has_come():
    row = _every_second("Moved")
    PeriodicTask.objects.filter(pk=row.pk).update(enabled=False, one_off=True)
    soon = timezone.now() + timedelta(seconds=6)
    held = [
        ScheduledRun.objects.create(
            row=row, due=timezone.now() - timedelta(hours=number), state=RunState.HELD, not_before=soon, reason="moved"
        )
        for number in range(1, 4)
    ]
    first, second = Beat(), Beat()
    with running(first, second):
        wait_until(lambda: all("Beat has read" in each.log for each in (first, second)), PATIENCE, "both look")
        early = _dues(row.name)
        assert early == [] or timezone.now() >= soon
        wait_until(lambda: len(_dues(row.name)) == len(held), PATIENCE, "they are sent")
        assert timezone.now() >= soon
    assert sorted(_dues(row.name)) == sorted(run.due.isoformat() for run in held)
    assert set(ScheduledRun.objects.values_list("state", flat=True)) == {RunState.SENT}
