"""Debounced and batched calls with real workers: all that hangs on them, and a worker that is killed."""

import pytest
from celery import current_app
from celery.result import AsyncResult

from jobroom import redis
from jobroom.jobs.models import Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]
APP = "tests.acceptance.limit_app"
ENV = {"IMAGE_FAIR_QUEUES": "ml"}


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def worker(name="one", **more) -> Worker:
    return Worker(app=APP, name=name, env=ENV, concurrency=2, **more)


def send(task: str, *args, **options) -> str:
    return str(current_app.send_task(f"limits: {task}", args, queue="default", **options).id)


def ended(jobs: list[str], state: State = State.SUCCEEDED) -> bool:
    return Job.objects.filter(pk__in=jobs, state=state).count() == len(jobs)


def result(job: str) -> object:
    return AsyncResult(job).get(timeout=60)


def test_calls_wait_outlive_their_worker_and_end_each_with_its_own(admin_client, tmp_path):
    client = redis.client()
    go = tmp_path / "go"
    with running(Recorder(env=ENV)):
        # They lie in the queue before anyone takes them, one after the other.
        saves = [send("save", "report") for _ in range(4)] + [send("save", "other")]
        runs = [send("index", number, str(go)) for number in range(5)]
        left = send("index", 5)
        with running(doomed := worker("doomed")):
            wait_until(lambda: "5" in client.lrange("indexed", 0, -1), 60, "the full batch runs")
            wait_until(lambda: Job.objects.filter(pk=left).exists(), 60, "the next one is in the history")
            doomed.kill()
        go.touch()
        with running(worker("heir")):
            wait_until(lambda: ended([*runs, left]), 120, "every call has ended")
            assert [result(job) for job in [*runs, left]] == [0, 10, 20, 30, 40, 50]
            wait_until(lambda: ended([saves[3], saves[4]]), 60, "the last of each key has run")
            wait_until(lambda: ended(saves[:3], State.SKIPPED), 60, "the ones before it are skipped")
            assert set(client.lrange("saved", 0, -1)) == {"other", "report"}
            assert str(result(saves[0])).startswith("limits: save superseded by job")
            pages = [admin_client.get(f"/jobs/{job}/").content.decode() for job in runs]
            assert sum("Its call was one of a batch" in page for page in pages) == 4
            assert sum("its batch did the work" in page for page in pages) == 4
            assert sum("Runs a batch of 5 calls." in page for page in pages) == 1
            assert (
                "A later call with the same key took its place"
                in admin_client.get(f"/jobs/{saves[0]}/").content.decode()
            )

            shared = [send("total", number) for number in (1, 2, 3)]
            wait_until(lambda: ended(shared), 60, "a shared result")
            assert {result(job) for job in shared} == {"6 in all"}
            member = next(job for job in shared if Job.objects.get(pk=job).answer_of)
            assert "all calls of it share one result" in admin_client.get(f"/jobs/{member}/").content.decode()

            bad = [send("index", number) for number in range(-1, 4)]
            wait_until(lambda: ended(bad, State.FAILED), 60, "who runs a batch ends the others as itself")
            errors = sorted(Job.objects.filter(pk__in=bad).values_list("error", flat=True))
            assert all(error.startswith("Job ") for error in errors[:4])
            assert errors[4] == "There is no document below zero."
