"""A worker whose database is away fails no job of it, and runs none unasked."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from jobroom import redis
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="hides the file of the database"),
]


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def test_a_job_for_later_runs_once_the_database_answers(admin_user, tmp_path):
    database = Path(connection.settings_dict["NAME"])
    away = tmp_path / "away"
    there = {"DATABASE_URL": f"sqlite:///{away / database.name}"}
    with running(Recorder()), Worker(concurrency=1, env=there) as worker:
        job = launch(
            task="demo.add", arguments={"x": 2, "y": 3}, by=admin_user, source=Source.PAGE,
            run_after=timezone.now() + timedelta(seconds=9),
        )  # fmt: skip
        wait_until(lambda: worker.log.count(f"Job {job.pk} goes back to its queue") >= 2, 60)
        wait_until(lambda: Job.objects.get(pk=job.pk).state in {State.QUEUED, State.RUNNING}, 60)
        away.symlink_to(database.parent)
        wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED, 60, worker.log[-3000:])
    done = Job.objects.get(pk=job.pk)
    assert (done.result, done.attempts) == (5, 1)
