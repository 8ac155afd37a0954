"""The catalogue learns from the schedules which tasks run by themselves."""

import pytest
from django.contrib.auth.models import User
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom.jobs.signals import schedules_asked

pytestmark = [pytest.mark.django_db, pytest.mark.sql]


def planned(user):
    found = {}
    for _, answer in schedules_asked.send(sender=None, user=user):
        found |= answer
    return found


def test_enabled_schedules_are_told_with_their_address_for_whom_may_see_it():
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    row = PeriodicTask.objects.create(name="Echo", task="demo.echo", interval=hourly)
    PeriodicTask.objects.create(name="Off", task="demo.add", interval=hourly, enabled=False)
    found = planned(User.objects.create_superuser("grace"))
    assert list(found) == ["demo.echo"]
    ((sentence, address),) = found["demo.echo"]
    assert "hour" in sentence
    assert address == f"/schedules/{row.pk}/"
    assert planned(User.objects.create_user("ada"))["demo.echo"] == [(sentence, "")]
