"""Real workers run jobs, a real recorder keeps the database."""

import json
import signal
import subprocess
import time
from typing import Any

import pytest
from celery import current_app, signature
from django_celery_results import models as results

from jobroom import events, redis
from jobroom.celery import traces
from jobroom.events import consumer
from jobroom.jobs.models import Attempt, Job, State
from jobroom.runner import redis_server
from jobroom.tasks import redis_lock
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]
APP = "tests.acceptance.recorded_tasks"


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def send(name: str, *args, **options) -> str:
    """Send a task that only the worker knows; return the job's id."""
    return signature(f"recorded.{name}", args=args, app=current_app).apply_async(**options).id


def finished(job_id: str) -> Any:
    """Wait until the database says that the job is over; return it."""
    return wait_until(lambda: next((j for j in Job.objects.filter(pk=job_id) if j.is_finished), None), 60)


def test_every_end_is_in_the_database_and_all_attempts_in_one_trace(tmp_path):
    spans, trace = tmp_path / "spans", "a" * 32
    worker = Worker(app=APP, env={"TRACING": "1", "SPANS": str(spans)})
    with redis_lock("recorded-skips") as mine, running(worker, Recorder()):
        assert mine
        ids = {name: send(name, 3) for name in ("succeeds", "fails", "skips", "reports")}
        ids["retries"] = send("retries", 3, headers={"traceparent": f"00-{trace}-{'b' * 16}-01"})
        jobs = {name: finished(pk) for name, pk in ids.items()}
        states = {name: job.state for name, job in jobs.items()}
        assert states == {
            "succeeds": State.SUCCEEDED,
            "fails": State.FAILED,
            "retries": State.SUCCEEDED,
            "skips": State.SKIPPED,
            "reports": State.SUCCEEDED,
        }
        wait_until(lambda: consumer.lag().entries == 0, 60)
    assert (jobs["succeeds"].result, jobs["succeeds"].args, jobs["succeeds"].label) == (6, [3], "3")
    assert (jobs["fails"].error_type, jobs["fails"].error) == ("ValueError", "no 3")
    assert "raise ValueError" in jobs["fails"].traceback
    assert "already running" in str(jobs["skips"].result)
    assert jobs["retries"].attempts == 3
    attempts = Attempt.objects.filter(job=ids["retries"]).order_by("number")
    assert [(a.number, a.state) for a in attempts] == [(1, "retrying"), (2, "retrying"), (3, "succeeded")]
    of_job = [
        span for span in map(json.loads, spans.read_text().splitlines()) if span["context"]["trace_id"] == f"0x{trace}"
    ]
    runs = [span["attributes"] for span in of_job if span["name"] == "run/recorded.retries"]
    assert sorted((run["jobroom.job"], run["jobroom.attempt"]) for run in runs) == [
        (ids["retries"], n) for n in (1, 2, 3)
    ]
    assert traces.trace_of(jobs["retries"].facts["trace"]["header"]) == trace
    reported = Job.objects.get(pk=ids["reports"])
    assert [line.message for line in reported.log_lines.all()] == ["0", "1", "2"]
    assert (reported.progress["current"], reported.progress["total"], reported.fraction) == (3, 3, 1.0)
    assert all(job.worker == "worker@test" and job.queue == "default" for job in jobs.values())
    archive = dict(results.TaskResult.objects.values_list("task_id", "status"))
    assert {name: archive[pk] for name, pk in ids.items()} == {
        "succeeds": "SUCCESS",
        "fails": "FAILURE",
        "retries": "SUCCESS",
        "skips": "SUCCESS",
        "reports": "SUCCESS",
    }


def test_a_killed_recorder_loses_nothing_and_another_goes_on():
    with Worker(app=APP):
        first = Recorder()
        with running(first):
            ids = [send("succeeds", n) for n in range(30)]
            wait_until(Job.objects.exists, 60)
            first.kill()
        ids += [send("succeeds", n) for n in range(30)]
        second = Recorder()
        with running(second):
            wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 60, 90)
            wait_until(lambda: consumer.lag().entries == 0, 60)
            assert second.stop() == 0
    assert Attempt.objects.count() == Job.objects.count() == 60


def test_the_recorder_ends_at_once_and_well():
    with running(recorder := Recorder()):
        wait_until(lambda: redis.client().exists("image:events"), 60)
        began = time.monotonic()
        recorder.popen.send_signal(signal.SIGTERM)
        assert recorder.popen.wait(60) == 0
        assert time.monotonic() - began < 30
        assert "Traceback" not in recorder.log


def test_a_redis_that_restarts_and_forgets_all_is_waited_for(tmp_path, settings):
    server = redis_server.PrivateServer(tmp_path / "redis", persist=False)

    def start():
        process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server.wait(process)
        return process

    process = start()
    try:
        with running(recorder := Recorder(env={"REDIS_URL": server.url})):
            settings_url = settings.JOBROOM["REDIS_URL"]
            settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": server.url}
            try:
                events.emit("queued", "before", task="add", args=[], kwargs={})
                wait_until(lambda: Job.objects.filter(pk="before").exists(), 60)
                process.kill()
                process.wait()
                wait_until(lambda: "The recorder waits for Redis" in recorder.log, 60)
                process = start()
                events.emit("queued", "after", task="add", args=[], kwargs={})
                wait_until(lambda: Job.objects.filter(pk="after").exists(), 60)
                wait_until(lambda: "The recorder continues" in recorder.log, 60)
                # Once for each time that it waits, and not with each try: it also waits for one that stands still for long.
                waited = recorder.log.count("The recorder waits for Redis")
                wait_until(lambda: recorder.log.count("The recorder continues") == waited, 60, recorder.log)
            finally:
                settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": settings_url}
    finally:
        process.kill()
        process.wait()
