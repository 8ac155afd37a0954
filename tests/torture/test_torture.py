"""Every nasty task ends with a sentence, every good one succeeds, and no part of the room is started again.

The small size runs with all tests; `python -m tests.torture --seeds 20` runs the whole.
"""

import os
import time
from typing import Any

import pytest
from celery.result import AsyncResult
from kombu.exceptions import EncodeError
from rest_framework.test import APIClient

from jobroom import redis
from jobroom.jobs.models import FINISHED, Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from tests.torture.grammar import GIVEN, Program, programs
from tests.torture.tasks import app

SEEDS = [int(seed) for seed in os.environ.get("TORTURE_SEEDS", "1").split(",")]
COUNT = int(os.environ.get("TORTURE_COUNT", "30"))
# Seconds that a room may take for one seed: longer than any fault that heals itself.
PATIENCE = 60 + 2 * COUNT

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(2 * PATIENCE + 120),
]

# What Celery says of a job in each state.
CELERY = {
    State.SUCCEEDED: {"SUCCESS"},
    State.FAILED: {"FAILURE"},
    State.LOST: {"FAILURE", "PENDING"},
    State.CANCELLED: {"REVOKED"},
}


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def send(program: Program) -> tuple[str, str]:
    """Publish a program; return the job's id, or the sentence with which it was refused."""
    args = [program.saying, program.how, program.what, GIVEN[program.given]]
    try:
        return app.tasks[program.task].apply_async(tuple(args), **program.options()).id, ""
    except (EncodeError, TypeError, ValueError) as error:
        return "", str(error)


def unfinished(ids: list[str]) -> set[str]:
    done = set(Job.objects.filter(pk__in=ids, state__in=FINISHED).values_list("pk", flat=True))
    return set(ids) - done


def disagreements(jobs: dict[str, Program], client: APIClient) -> list[Any]:
    """Return what database, API and Celery do not say alike, and ends without a sentence."""
    wrong: list[Any] = []
    for pk, program in jobs.items():
        job = Job.objects.get(pk=pk)
        shown = client.get(f"/api/jobs/{pk}/").json()
        if shown["state"] != job.state:
            wrong.append((program, "API", shown["state"], job.state))
        said = AsyncResult(pk).state
        # What a task ignores has no result in Celery.
        if program.how != "ignore" and said not in CELERY[State(job.state)]:
            wrong.append((program, "Celery", said, job.state))
        if job.state in {State.FAILED, State.LOST} and not (job.error or job.error_type):
            wrong.append((program, "no sentence", job.state))
        if len(job.error) + len(job.traceback) > 60_000:
            wrong.append((program, "unbounded", len(job.error), len(job.traceback)))
    return wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_harms_another_job(seed, admin_user):
    began = time.monotonic()
    recorder, worker = Recorder(), Worker(concurrency=4, app="tests.torture.tasks", name="torture")
    with running(recorder, worker):
        nasty: dict[str, Program] = {}
        refused, good = [], {}
        for number, program in enumerate(programs(seed, COUNT)):
            job, sentence = send(program)
            if job:
                nasty[job] = program
            else:
                refused.append((program, sentence))
            good[app.tasks["torture.good"].delay(number).id] = number
        ids = [*nasty, *good]
        pids = recorder.pid, worker.pid

        def report() -> str:
            left = {
                nasty.get(pk, "good"): Job.objects.filter(pk=pk).values_list("state", flat=True).first()
                for pk in unfinished(ids)
            }
            return f"seed {seed}: unfinished {left}"

        try:
            wait_until(lambda: not unfinished(ids), PATIENCE)
        except AssertionError:
            raise AssertionError(report()) from None
        assert (recorder.popen.poll(), worker.popen.poll()) == (None, None), f"a part died\n{worker.log[-5000:]}"
        assert (recorder.pid, worker.pid) == pids
        client = APIClient()
        client.force_authenticate(admin_user)
        assert disagreements(nasty, client) == []
        states = dict(Job.objects.filter(pk__in=list(good)).values_list("pk", "state"))
        assert {pk for pk, state in states.items() if state != State.SUCCEEDED} == set()
        assert {pk: AsyncResult(pk).result for pk in good} == {pk: 2 * number for pk, number in good.items()}
        assert all(sentence for _, sentence in refused)
    print(f"seed {seed}: {len(nasty)} nasty, {len(refused)} refused, {time.monotonic() - began:.1f} s")  # noqa: T201
