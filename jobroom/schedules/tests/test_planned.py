"""The catalogue learns from the schedules which tasks run by themselves."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom.jobs.models import Job
from jobroom.jobs.signals import schedules_asked
from jobroom.schedules import receivers
from jobroom.schedules.models import RunState, ScheduledRun

pytestmark = [pytest.mark.django_db, pytest.mark.sql]


def planned(user):
    found = {}
    for _, answer in schedules_asked.send(sender=None, user=user):
        found |= answer
    return found


def test_enabled_schedules_are_shown_with_their_address_for_whom_may_see_it():
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    row = PeriodicTask.objects.create(name="Echo", task="demo.echo", interval=hourly)
    PeriodicTask.objects.create(name="Off", task="demo.add", interval=hourly, enabled=False)
    found = planned(User.objects.create_superuser("grace"))
    assert list(found) == ["demo.echo"]
    ((sentence, address),) = found["demo.echo"]
    assert "hour" in sentence
    assert address == f"/schedules/{row.pk}/"
    assert planned(User.objects.create_user("ada"))["demo.echo"] == [(sentence, "")]


def test_a_missed_run_is_one_until_a_job_of_its_schedule_is_sent():
    staff = User.objects.create_superuser("grace")
    every = IntervalSchedule.objects.create(every=1, period="days")
    row = PeriodicTask.objects.create(name="nightly", task="demo.echo", interval=every)
    now = timezone.now()
    for hours in (5, 3):
        ScheduledRun.objects.create(row=row, due=now - timedelta(hours=hours), state=RunState.MISSED, reason="away")
    since = now - timedelta(hours=1)
    ((schedule, pk, due),) = receivers._missed(staff, since)
    assert (schedule, pk, due) == ("nightly", row.pk, now - timedelta(hours=3))
    assert receivers._missed(staff, since, "other") == []
    Job.objects.create(id="j", task="demo.echo", schedule="nightly", created_at=timezone.now() + timedelta(seconds=1))
    assert receivers._missed(staff, since) == []


def test_missed_runs_of_many_schedules_cost_one_query(django_assert_num_queries):
    staff = User.objects.create_superuser("grace")
    every = IntervalSchedule.objects.create(every=1, period="days")
    now = timezone.now()
    for name in ("a", "b", "c"):
        row = PeriodicTask.objects.create(name=name, task="demo.echo", interval=every)
        for hours in (3, 2):
            ScheduledRun.objects.create(row=row, due=now - timedelta(hours=hours), state=RunState.MISSED, reason="away")
    with django_assert_num_queries(1):
        found = receivers._missed(staff, now - timedelta(hours=1))
    assert found == [
        (row.name, row.pk, now - timedelta(hours=2))
        for row in PeriodicTask.objects.filter(task="demo.echo").order_by("pk")
    ]
