"""What Jobroom can do in each of Celery's pools, tried with real workers; docs/reference/pools.md has the same table."""

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from celery.result import AsyncResult
from django.conf import settings
from django.utils import timezone

from image.celery import app
from jobroom import events, redis
from jobroom.celery import worker_commands
from jobroom.events import cancellation, heartbeat
from jobroom.events.green import POOLS as GREEN
from jobroom.jobs.models import Attempt, Job, LogLine, StoredFile
from jobroom.locks import holder
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workers import termination
from tests.acceptance.scratch import ScratchApp

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

POOLS = ("prefork", "threads", "solo", "gevent", "eventlet")
# What only some of them can do; the rest is asserted of all.
SOME = {
    "several jobs at once": {"prefork", "threads", "gevent", "eventlet"},
    "soft time limit": {"prefork"},
    "hard time limit": {"prefork", "gevent"},
    "end of a cancelled job that reports nothing": {"prefork", "gevent", "eventlet"},
    "stack of a running job": {"prefork", "threads", "solo", "gevent", "eventlet"},
    "grow and shrink": {"prefork", "gevent", "eventlet"},
}
# A job that nothing hinders works until its file is there, and not for a length of time: a machine may stand still meanwhile.
TASKS = """
import time
from datetime import timedelta
from pathlib import Path
from celery.exceptions import SoftTimeLimitExceeded
from common.tasks import exclusive_task
from image.celery import app

@app.task(bind=True, base=app.Task, name="pools.works")
def works(self, folder):
    for _ in self.track(range(3), "Working"):
        time.sleep(0.02)
    self.log("info", "said")
    self.attach(f"{folder}/file.txt", "file.txt")
    return "worked"

@app.task(bind=True, base=app.Task, name="pools.long")
def long(self):
    for _ in self.track(range(600), "Working"):
        time.sleep(0.1)

@app.task(name="pools.silent")
def silent(secs):
    time.sleep(secs)
    return "slept"

@app.task(name="pools.gated", acks_late=True)
def gated(path):
    Path(f"{path}.waits").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    return "gated"

@app.task(name="pools.computes")
def computes(path):
    while not Path(path).exists():
        pass
    return "computed"

@app.task(name="pools.meets")
def meets(folder, name, other, secs):
    Path(folder, name).touch()
    end = time.monotonic() + secs
    while time.monotonic() < end and not Path(folder, other).exists():
        time.sleep(0.02)
    return Path(folder, other).exists()

@app.task(name="pools.soft", soft_time_limit=1)
def soft(secs):
    try:
        time.sleep(secs)
    except SoftTimeLimitExceeded:
        return "interrupted"
    return "ran on"

@app.task(name="pools.hard", time_limit=1)
def hard(secs):
    time.sleep(secs)
    return "ran on"

@app.task(bind=True, base=app.Task, name="pools.alone")
@exclusive_task(task_name="pools.alone", lock_id="pools.alone")
def alone(self, path):
    while not Path(path).exists():
        time.sleep(0.02)
    return "alone"

@app.task(bind=True, base=app.Task, name="pools.answer", cache_for=timedelta(hours=1))
def answer(self, text):
    return text.upper()

@app.task(bind=True, base=app.Task, name="pools.again", max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=0.1)
    raise ValueError("twice")
"""


def send(name, *args, **options) -> AsyncResult:
    return app.send_task(f"pools.{name}", args, queue="pools", **options)


def ended(job: AsyncResult) -> Job:
    """Return the job's row, once the history knows its end."""
    wait_until(lambda: ended_now(job), 90, str(job.id))
    return Job.objects.get(pk=job.id)


def has_begun(job: AsyncResult) -> None:
    wait_until(lambda: redis.client().exists(events.running_key(job.id)), 60, "it runs")


def said() -> heartbeat.Worker:
    return next(worker for worker in heartbeat.workers() if worker.name == "pools@test")


@pytest.fixture
def scratch(tmp_path):
    redis.client().flushdb()
    (tmp_path / "file.txt").write_text("x")
    return ScratchApp(tmp_path, TASKS)


def worker_of(scratch, pool):
    # Sockets and threads are replaced before anything else is loaded.
    return Worker(name="pools", queues="pools", concurrency=2, pool=pool, env=scratch.env, warm=pool not in GREEN)


@pytest.mark.parametrize("pool", POOLS)
def test_what_a_pool_can_do(pool, scratch, tmp_path):
    with running(Recorder(), worker_of(scratch, pool)):
        works(tmp_path)
        assert {name for name, check in CHECKS.items() if check(pool, tmp_path)} == {
            name for name, pools in SOME.items() if pool in pools
        }
        a_cancel_is_noticed()
        assert said().pool == {"threads": "thread"}.get(pool, pool)
        assert send("silent", 0).get(timeout=60) == "slept"  # the worker is as good as new


def works(folder: Path) -> None:
    """Try what each pool must do: history, progress, files, retries, exclusive tasks, kept answers, jobs for later."""
    job, later = send("works", str(folder)), send("silent", 0, countdown=2)
    assert job.get(timeout=60) == "worked"
    assert ended(job).fraction == 1.0
    assert LogLine.objects.get(job_id=job.id).message == "said"
    assert StoredFile.objects.get(job_id=job.id).name == "file.txt"
    failing = send("again")
    with pytest.raises(ValueError, match="twice"):
        failing.get(timeout=60)
    assert (ended(failing).error, ended(failing).attempts) == ("twice", 2)
    first = send("alone", str(folder / "go"))
    wait_until(lambda: (found := holder("pools.alone")) and found.job == first.id, 60, "it runs, and has its lock")
    second = send("alone", str(folder / "go"))
    if said().pool != "solo":  # in which the second one waits until the first one has ended
        assert second.get(timeout=60) == "pools.alone already running!"
    (folder / "go").touch()
    assert first.get(timeout=60) == "alone"
    assert second.get(timeout=60) in {"alone", "pools.alone already running!"}
    assert send("answer", "x").get(timeout=60) == send("answer", "x").get(timeout=60) == "X"
    wait_until(lambda: Job.objects.filter(task="pools.answer", answer_of__gt="").exists(), 60)
    assert later.get(timeout=60) == "slept"


def a_cancel_is_noticed() -> None:
    job = send("long")
    has_begun(job)
    cancellation.request(job.id, "ada")
    assert (ended(job).state, ended(job).error) == ("cancelled", "Cancelled by ada.")


def secs(pool: str, name: str) -> float:
    """Return how long to wait for what a pool can do: very long where it can, and shortly where it has to be waited for."""
    return 60 if pool in SOME[name] else 2


def at_once(pool: str, folder: Path) -> bool:
    how_long = secs(pool, "several jobs at once")
    jobs = [send("meets", str(folder), *names, how_long) for names in (("one", "other"), ("other", "one"))]
    return bool(jobs[0].get(timeout=90)) and bool(jobs[1].get(timeout=90))


def soft_limit(pool: str, folder: Path) -> bool:
    return str(send("soft", secs(pool, "soft time limit")).get(timeout=90)) == "interrupted"


def hard_limit(pool: str, folder: Path) -> bool:
    row = ended(send("hard", secs(pool, "hard time limit")))
    assert (row.state, row.error_type) in {("failed", "TimeLimitExceeded"), ("succeeded", "")}
    return row.state == "failed"


def silent_ends(pool: str, folder: Path) -> bool:
    # Where nothing ends it, it has to be waited for.
    job = send("silent", 60 if pool in SOME["end of a cancelled job that reports nothing"] else 6)
    has_begun(job)
    wait_until(lambda: Attempt.objects.filter(job_id=job.id).exists(), 60)
    cancellation.request(job.id, "ada")
    Job.objects.filter(pk=job.id).update(cancel_by="ada", cancel_at=timezone.now() - timedelta(hours=1))
    ordered = termination.terminate_overdue()  # the recorder looks as well, and may be the one that orders it
    row = ended(job)
    assert ordered in ([], [job.id])
    assert row.state == "cancelled" or not ordered
    return row.state == "cancelled"


def stack(pool: str, folder: Path) -> bool:
    job = send("gated", str(folder / "seen"))
    has_begun(job)
    wait_until((folder / "seen.waits").exists, 60)
    wait_until(lambda: any(row["job"] == job.id for row in said().running), 60)
    try:
        text = worker_commands.give(said().instance, "stack", job.id, seconds=60)["done"]
    except worker_commands.NoAnswer:
        return False
    finally:
        (folder / "seen").touch()
        assert job.get(timeout=60) == "gated"
    return "in gated" in text


def sizes(pool: str, folder: Path) -> bool:
    if pool not in worker_commands.SIZABLE:
        return False
    for what, number in (("grow", 3), ("shrink", 2)):
        with suppress(worker_commands.NoAnswer):  # it is carried out all the same
            worker_commands.give(said().instance, what, "1", seconds=9)
        wait_until(lambda: said().concurrency == number, 60)  # noqa: B023 — asked at once
    return True


CHECKS = dict(zip(SOME, (at_once, soft_limit, hard_limit, silent_ends, stack, sizes), strict=True))


@pytest.mark.parametrize("pool", sorted(GREEN))
def test_a_worker_whose_greenlets_stand_still_is_no_lost_worker(pool, scratch, tmp_path):
    with running(Recorder(), worker_of(scratch, pool)):
        job = send("computes", str(tmp_path / "go"))
        has_begun(job)
        # What stands still for so long, and says so, beats all the same.
        first = wait_until(
            lambda: (found := said()).loop and found.loop > 4 and found, 90, "it says that it stands still"
        )
        wait_until(lambda: (said().loop or 0.0) > first.loop, 60, "and says it again")
        (tmp_path / "go").touch()
        assert ended(job).state == "succeeded"
        wait_until(lambda: said().loop is None, 60, "it beats by itself again")


def ended_now(job: AsyncResult) -> Job | None:
    return Job.objects.filter(pk=job.id, finished_at__isnull=False).first()


@pytest.mark.parametrize("pool", POOLS[1:])  # of prefork it is tried in many other places
def test_what_a_killed_worker_ran_is_run_again_by_another(pool, scratch, tmp_path):
    dying = worker_of(scratch, pool)
    with running(Recorder()):
        dying.start()
        job = send("gated", str(tmp_path / "go"))
        has_begun(job)
        dying.kill()
        (tmp_path / "go").touch()
        with worker_of(scratch, pool):
            assert ended(job).state == "succeeded"
    states = Attempt.objects.filter(job_id=job.id).order_by("number").values_list("state", flat=True)
    assert list(states) in (["lost", "succeeded"], ["retrying", "succeeded"])


def test_the_documentation_has_the_same_table():
    text = (Path(settings.BASE_DIR) / "docs/reference/pools.md").read_text()
    head, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    assert [re.sub("`", "", cell) for cell in head[1:]] == list(POOLS)
    found = {
        row[0]: {pool for pool, cell in zip(POOLS, row[1:], strict=True) if cell.startswith("yes")} for row in rows
    }
    assert {name: found[name] for name in SOME} == SOME


def test_a_pool_that_gets_smaller_ends_no_process_under_a_job(scratch):
    """Each job succeeds, whenever the command comes: Celery ended one that had just been handed to a process."""
    with running(worker_of(scratch, "prefork")):
        assert send("silent", 0).get(timeout=60) == "slept"
        instance = said().instance
        for _ in range(12):
            worker_commands.give(instance, "grow", "1", seconds=60)
            jobs = [send("silent", 0) for _ in range(3)]
            answer = worker_commands.give(instance, "shrink", "1", seconds=60)
            jobs += [send("silent", 0) for _ in range(8)]
            assert answer.get("done") or answer["error"] == worker_commands.BUSY
            assert [job.get(timeout=60) for job in jobs] == ["slept"] * len(jobs)


def test_a_pool_whose_processes_are_all_busy_stays_as_large_and_says_why(scratch, tmp_path):
    with running(worker_of(scratch, "prefork")):
        jobs = [send("gated", str(tmp_path / f"go{number}")) for number in range(2)]
        wait_until(lambda: all((tmp_path / f"go{number}.waits").exists() for number in range(2)), 60)
        answer = worker_commands.give(said().instance, "shrink", "1", seconds=60)
        assert answer == {"error": worker_commands.BUSY}
        for number in range(2):
            (tmp_path / f"go{number}").touch()
        assert [job.get(timeout=60) for job in jobs] == ["gated", "gated"]
        assert said().concurrency == 2


def test_of_several_processes_only_the_idle_ones_end_and_each_is_counted_once(scratch, tmp_path):
    """Celery ends some, says that it could not, and would end as many again when it is asked again."""
    with running(worker_of(scratch, "prefork")):
        worker_commands.give(said().instance, "grow", "1", seconds=60)
        *jobs, third = [send("gated", str(tmp_path / f"go{number}")) for number in range(3)]
        wait_until(lambda: all((tmp_path / f"go{number}.waits").exists() for number in range(3)), 60)
        (tmp_path / "go2").touch()
        assert third.get(timeout=60) == "gated"
        answer = worker_commands.give(said().instance, "shrink", "2", seconds=60)
        assert answer == {"error": f"{worker_commands.BUSY} Ended: 1 of 2."}
        wait_until(lambda: said().concurrency == 2, 60)
        for number in range(2):
            (tmp_path / f"go{number}").touch()
        assert [job.get(timeout=60) for job in jobs] == ["gated", "gated"]
        assert said().concurrency == 2
