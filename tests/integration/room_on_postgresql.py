"""The whole room on PostgreSQL. Run by `test_postgresql`, which gives the database; pytest finds it by its path only."""

import pytest
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_results.models import TaskResult

from image.celery import app
from jobroom import redis
from jobroom.jobs.models import Attempt, Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Beat, Recorder, Worker
from tests.acceptance import gated

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql, pytest.mark.timeout(480)]

COUNT = 20


def test_twenty_jobs_survive_their_worker(tmp_path):
    assert connection.vendor == "postgresql"
    redis.client().flushdb()
    with Recorder(), Beat():
        every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
        PeriodicTask.objects.create(name="Each second", task="demo.echo", interval=every)
        with Worker(concurrency=4, app=gated.APP) as first:
            ids = [app.send_task(gated.NAME, [str(tmp_path / "go")]).id for _ in range(COUNT)]
            wait_until(lambda: Attempt.objects.filter(job__in=ids, state=State.RUNNING).count() == 4, 60)
            first.kill()
        (tmp_path / "go").touch()
        with Worker(concurrency=4, app=gated.APP):
            mine = Job.objects.filter(pk__in=ids)
            wait_until(lambda: mine.filter(state=State.SUCCEEDED).count() == COUNT, 120)
            scheduled = Job.objects.filter(task="demo.echo", state=State.SUCCEEDED)
            wait_until(scheduled.exists, 60, "a job of beat's is in the database")
            wait_until(lambda: TaskResult.objects.filter(task_id__in=ids, status="SUCCESS").count() == COUNT, 60)
    attempts = mine.values_list("attempts", flat=True)
    assert sorted(attempts) == [1] * (COUNT - 4) + [2] * 4
    assert Attempt.objects.filter(job__in=ids, state=State.RETRYING, error_type="WorkerLost").exists()
