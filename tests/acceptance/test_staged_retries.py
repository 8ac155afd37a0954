"""A retry in stages whose recorder and worker are killed (`kill -9`): others go on, and no job succeeds twice."""

from collections import Counter

import pytest
from celery import current_app

from jobroom import redis
from jobroom.jobs import failure_actions, staged_retries
from jobroom.jobs.failure_models import FailureGroup
from jobroom.jobs.models import Job, State
from jobroom.jobs.staged_models import StagedJob, StagedOutcome, StagedRetry, StagedState
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from tests.acceptance.scratch import ScratchApp

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(720)]

JOBS = 14
TASKS = """
import time
from image.celery import app
from jobroom import redis

@app.task(name="scratch.press", acks_late=True)
def press(number: int):
    client = redis.client()
    if not client.exists("mended"):
        raise ValueError("The press is broken.")
    client.rpush("starts", number)
    while not client.exists("go"):
        time.sleep(0.05)
    client.rpush("pressed", number)
"""


@pytest.fixture
def env(tmp_path) -> dict[str, str]:
    app = ScratchApp(tmp_path, TASKS)
    return {**app.env, "DJANGO_SETTINGS_MODULE": "tests.acceptance.impatient_settings"}


def listed(name: str) -> list[str]:
    return [str(item) for item in redis.client().lrange(name, 0, -1)]


def staged(**values: object) -> int:
    return StagedJob.objects.filter(**values).count()


def test_kills_of_recorder_and_worker_move_nothing_on_and_lose_nothing(env):
    redis.client().flushdb()
    first, doomed = Recorder(env=env), Worker(name="doomed", concurrency=1, env=env)
    with running(first, doomed):
        ids = [str(current_app.send_task("scratch.press", [number]).id) for number in range(JOBS)]
        wait_until(lambda: Job.objects.filter(state=State.FAILED).exclude(fingerprint="").count() == JOBS, 90)
        group = FailureGroup.objects.get()
        redis.client().set("mended", 1)
        failure_actions.act(group=group, action="retry", by=None)
        wait_until(lambda: len(listed("starts")) == 1, 60, "the first stage has sent its one job")
        first.kill()
        doomed.kill()
    assert staged(stage=1) == 1

    with running(second := Recorder(env=env), Worker(name="heir", concurrency=2, env=env)):
        wait_until(lambda: len(listed("starts")) == 2, 90, "the job of the killed worker runs again")
        assert len(set(listed("starts"))) == 1, "and no other was sent while it had not ended"
        redis.client().set("go", 1)
        wait_until(lambda: staged(stage=2) > 4, 60, "the second stage is being sent, or has been already")
        second.kill()
        sent = staged()
        wait_until(lambda: len(listed("pressed")) >= sent - 1, 60, "what was sent runs without a recorder")
        with running(Recorder(env=env)):
            wait_until(lambda: StagedRetry.objects.get().state != StagedState.RUNNING, 200, "a third one ends it")

    found = staged_retries.latest(group.pk)
    assert found.retry.state == StagedState.DONE, str(found)
    assert found.retry.stage == 3
    outcomes = dict(StagedJob.objects.values_list("job_id", "outcome"))
    assert outcomes.keys() == set(ids)
    # One that was claimed, and whose sender was killed before it sent it, is left alone and said to be.
    left = {job for job, outcome in outcomes.items() if outcome == StagedOutcome.LEFT}
    assert len(left) <= 1
    assert {outcomes[job] for job in ids if job not in left} == {StagedOutcome.SUCCEEDED}
    assert set(Job.objects.exclude(pk__in=left).values_list("state", flat=True)) == {State.SUCCEEDED}
    pressed = Counter(listed("pressed"))
    assert set(pressed.values()) == {1}, "no job succeeded twice"
    assert len(pressed) == JOBS - len(left)
