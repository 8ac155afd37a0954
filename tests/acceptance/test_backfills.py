"""A backfill with real beat, worker and recorder processes."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobroom import redis
from jobroom.jobs.models import Attempt, Job, State
from jobroom.schedules.models import BackfillState, RunState, ScheduledRun
from jobroom.schedules.services import backfills
from jobroom.schedules.services.backfill_plan import Range
from jobroom.testing import wait_until
from jobroom.testing.processes import Beat, Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

TASK = "common.tasks.clearsessions"
# A run that a killed scheduler had taken is sent a minute later.
PATIENCE = 150


@pytest.fixture(autouse=True)
def _fresh():
    """Empty queues and streams."""
    redis.client().flushdb()


def test_a_backfill_goes_on_when_a_scheduler_is_killed_and_makes_each_due_time_once():
    now = timezone.now()
    # Half an hour away: a run of the schedule itself would be one more job.
    when = CrontabSchedule.objects.create(minute=str((now.minute + 30) % 60), hour="*", timezone="UTC")
    row = PeriodicTask.objects.create(name="Hourly", task=TASK, crontab=when, last_run_at=now)
    made = backfills.start(row, Range(now - timedelta(hours=40), now), by=None, at_once=2)
    assert made.total >= 39
    first, second = Beat(), Beat()
    done = ScheduledRun.objects.filter(backfill=made, state=RunState.SENT)
    most = 0
    with running(Recorder(), Worker(), first, second):
        wait_until(lambda: done.count() >= 6, PATIENCE, "jobs are sent")
        made.refresh_from_db()
        most = len(made.in_flight)
        busy = max((first, second), key=lambda each: each.log.count("Sending Hourly"))
        busy.kill()

        def is_over():
            nonlocal most
            made.refresh_from_db()
            most = max(most, len(made.in_flight))
            return made.state == BackfillState.DONE

        wait_until(is_over, PATIENCE, "the other beat goes on to the end")
    assert most <= 2
    assert backfills.progress(made)["succeeded"] == made.total
    assert set(made.runs.values_list("state", flat=True)) == {RunState.SENT}
    jobs = Job.objects.filter(schedule="Hourly", state=State.SUCCEEDED)
    assert set(jobs.values_list("pk", flat=True)) == set(made.runs.values_list("job", flat=True))
    # By the work that was done: one start for each due time, also of a message that was sent twice.
    assert Attempt.objects.filter(job__in=jobs).count() == made.total
