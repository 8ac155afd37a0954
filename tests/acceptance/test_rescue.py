"""Nothing is lost whatever is killed: workers, their processes, Redis, the recorder, beat."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from demo import tasks as demo
from image.celery import app
from jobroom import redis
from jobroom.celery.beat import last_beat_tick
from jobroom.events import consumer, heartbeat
from jobroom.jobs.models import Attempt, Job, State
from jobroom.runner.redis_server import PrivateServer
from jobroom.testing import wait_until
from jobroom.testing.brokers import broker
from jobroom.testing.processes import Beat, Recorder, Worker
from jobroom.workers.rescue import rescue
from tests.acceptance import gated
from tests.acceptance.scratch import ScratchApp

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]

COUNT = 20


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def quick(settings):
    """Believe earlier what looks abandoned; the heartbeat of the worker processes is that of production."""
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 1.0}
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_REPLACED_AFTER": 4.5}


def rescued_until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    """Do rounds of rescue until `condition` is true."""
    return wait_until(lambda: (rescue(), condition())[1], seconds)


def states(ids: list[str]) -> dict[str, int]:
    """Return how many of the jobs are in which state."""
    found = Job.objects.filter(pk__in=ids).values_list("state", flat=True)
    return {state: list(found).count(state) for state in set(found)}


def all_succeeded(ids: list[str]) -> bool:
    return states(ids) == {State.SUCCEEDED: len(ids)}


def running(ids: list[str]) -> list[Attempt]:
    """Return the attempts that the database says are running."""
    return list(Attempt.objects.filter(job__in=ids, state=State.RUNNING))


def stopped_at_work(ids: list[str]) -> Attempt:
    """Suspend a pool process while it runs one of the jobs, and return the attempt: one that has just ended is no victim."""
    while True:
        victim = wait_until(lambda: running(ids), 60)[0]
        assert victim.pid
        os.kill(victim.pid, signal.SIGSTOP)
        wait_until(lambda: consumer.lag().entries == 0, 60)
        if Attempt.objects.filter(pk=victim.pk, state=State.RUNNING).exists():
            return victim
        os.kill(victim.pid, signal.SIGCONT)


def leftovers() -> dict[str, Any]:
    """Return what would be left in Redis of work that is done: messages and locks."""
    client = redis.client()
    found = {"unacked": client.hlen("unacked"), "index": client.zcard("unacked_index"), "queue": client.llen("default")}
    found["locks"] = len(list(client.scan_iter(redis.key("lock", "*"))))
    return {name: number for name, number in found.items() if number}


def is_there(group: int) -> bool:
    """Return whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def twenty(seconds: float = 0.4) -> list[str]:
    return [demo.wait.delay(seconds).id for _ in range(COUNT)]


def test_twenty_jobs_survive_their_worker_with_the_times_of_production(tmp_path):
    with Recorder():
        with Worker(concurrency=4, app=gated.APP) as first:
            ids = [app.send_task(gated.NAME, [str(tmp_path / "go")]).id for _ in range(COUNT)]
            wait_until(lambda: len(running(ids)) == 4, 60)
            first.kill_main()
            wait_until(lambda: not is_there(first.pid), 60, "the pool's processes end with their worker")
        died = timezone.now()
        (tmp_path / "go").touch()
        with Worker(concurrency=4, app=gated.APP):
            wait_until(lambda: all_succeeded(ids), 90)
            wait_until(lambda: not leftovers(), 60)
    interrupted = Job.objects.filter(pk__in=ids, attempts=2)
    assert interrupted.count() == 4
    for job in interrupted:
        before, after = job.attempt_set.order_by("number")
        assert before.finished_at - died < timedelta(seconds=60), "noticed within a minute"
        assert (before.state, before.error_type) == (State.RETRYING, "WorkerLost")
        assert (after.state, after.error) == (State.SUCCEEDED, "")


def test_twenty_jobs_survive_a_pool_process():
    with Recorder(), Worker(concurrency=2):
        ids = twenty()
        victim = stopped_at_work(ids)
        os.kill(victim.pid, signal.SIGKILL)
        wait_until(lambda: all_succeeded(ids), 60)
        wait_until(lambda: not leftovers(), 60)
    assert sorted(Job.objects.filter(pk__in=ids).values_list("attempts", flat=True)) == [1] * (COUNT - 1) + [2]
    assert Attempt.objects.get(pk=victim.pk).error_type == "WorkerLost"


def test_twenty_jobs_survive_the_recorder():
    with Worker(concurrency=4):
        with Recorder() as recorder:
            ids = twenty(0.2)
            wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).exists(), 60)
            recorder.kill()
        with Recorder():
            wait_until(lambda: all_succeeded(ids), 60)
    assert set(Job.objects.filter(pk__in=ids).values_list("attempts", flat=True)) == {1}


def test_twenty_jobs_survive_beat():
    with Recorder(), Worker(concurrency=4):
        with Beat() as beat:
            wait_until(last_beat_tick, 60)
            ids = twenty(0.2)
            beat.kill()
        with Beat():
            killed_at = last_beat_tick() or 0.0
            wait_until(lambda: (last_beat_tick() or 0.0) > killed_at, 60)
            wait_until(lambda: all_succeeded(ids), 60)
            wait_until(lambda: not leftovers(), 60)
    assert set(Job.objects.filter(pk__in=ids).values_list("attempts", flat=True)) == {1}


class PersistentRedis:
    """A Redis that keeps its data, and can be killed and started again."""

    def __init__(self, server: PrivateServer) -> None:
        self.server = server
        self.start()

    def start(self) -> None:
        command = self.server.command()
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.server.wait(self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def persistent(tmp_path, settings):
    """A persistent Redis that this process and all it starts use."""
    server = PersistentRedis(PrivateServer(tmp_path / "redis"))
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": server.server.url}
    with broker(server.server.url):
        yield server
    server.kill()


def launch(*seconds: float) -> list[str]:
    """Send jobs whose results this process will not ask for."""
    return [demo.wait.apply_async((secs,), ignore_result=True).id for secs in seconds]


def test_twenty_jobs_survive_redis_and_none_runs_twice(persistent, quick):
    with Recorder(), Worker(concurrency=2):
        ids = launch(*[0.5] * COUNT)
        wait_until(lambda: len(running(ids)) == 2, 60)
        persistent.kill()
        persistent.start()
        rescued_until(lambda: all_succeeded(ids))
        rescued_until(lambda: not leftovers())
    assert set(Job.objects.filter(pk__in=ids).values_list("attempts", flat=True)) == {1}


def test_a_job_that_ends_while_redis_is_away_does_not_run_again(persistent, quick, tmp_path):
    with Recorder(), Worker(concurrency=1, app=gated.APP, env={"LOG_LEVEL": "DEBUG"}) as worker:
        job = app.send_task(gated.NAME, [str(tmp_path / "go")], ignore_result=True).id
        wait_until(lambda: running([job]), 60)
        persistent.kill()
        (tmp_path / "go").touch()
        wait_until(
            lambda: f"Task {gated.NAME}[{job}] succeeded" in worker.log, 60, "it ends, and no one can be notified"
        )
        persistent.start()
        rescued_until(lambda: all_succeeded([job]))
        rescued_until(lambda: not leftovers())
        (after,) = launch(0.0)
        rescued_until(lambda: all_succeeded([after]))
    assert Job.objects.get(pk=job).attempts == 1


def test_a_cut_connection_starts_no_second_run(quick, tmp_path):
    client = redis.client()
    with Recorder(), Worker(concurrency=2, app=gated.APP) as worker:
        job = app.send_task(gated.NAME, [str(tmp_path / "go")])
        wait_until(lambda: running([job.id]), 60)

        def is_cut():
            for connection in client.client_list():
                if connection["cmd"] == "brpop" and "b" in connection["flags"]:  # the worker's, which waits
                    client.client_kill_filter(_id=connection["id"])
            return "Trying to re-establish" in worker.log

        wait_until(is_cut, 60)
        cut = time.monotonic()
        rescued_until(lambda: time.monotonic() - cut > 3)  # in which it would be believed to be no one's
        (tmp_path / "go").touch()
        rescued_until(lambda: all_succeeded([job.id]))
        rescued_until(lambda: not leftovers())
    assert Job.objects.get(pk=job.id).attempts == 1


def test_a_job_that_may_not_run_twice_is_lost_once_and_mailed_once(quick, settings, mailoutbox):
    settings.ADMINS = [("Ada", "ada@example.org")]
    # It leaves the rescue to this process, whose mails can be read, however long the second worker takes to start.
    with Recorder(env={"DJANGO_SETTINGS_MODULE": "tests.acceptance.trusting_settings"}):
        with Worker(concurrency=1) as first:
            job = demo.ignores_time_limit.apply_async((60,), time_limit=90, soft_time_limit=80)
            wait_until(lambda: running([job.id]), 60)
            first.kill()
        with Worker(concurrency=1):
            rescued_until(lambda: states([job.id]) == {State.LOST: 1})
            wait_until(lambda: mailoutbox, 60)
            after = demo.echo.delay()
            rescued_until(lambda: all_succeeded([after.id]))
            rescued_until(lambda: not leftovers())
    lost = Job.objects.get(pk=job.id)
    assert (lost.attempts, lost.error_type) == (1, "WorkerLost")
    assert "vanished" in lost.error
    assert [message.to for message in mailoutbox] == [["ada@example.org"]]
    assert job.id in mailoutbox[0].body


def test_a_job_that_waits_for_its_time_in_a_killed_worker_runs_at_that_time(quick):
    with Recorder():
        with Worker(concurrency=1) as first:
            job = demo.echo.apply_async(countdown=14)
            due = timezone.now() + timedelta(seconds=14)
            wait_until(lambda: any(job.id in worker.held for worker in heartbeat.workers()), 60)
            first.kill()
        with Worker(concurrency=1):
            rescued_until(lambda: all_succeeded([job.id]))
    started = Job.objects.get(pk=job.id).started_at
    assert started is not None
    assert -0.5 < (started - due).total_seconds() < 40  # its time is due on a machine that stands still for a while too


DEADLY = """
    import os, signal

    from jobroom.tasks import BaseTask, NotifyAdminTaskMixin
    from image.celery import app

    class Notifying(NotifyAdminTaskMixin, BaseTask):
        abstract = True

    @app.task(base=Notifying, name="scratch.deadly", acks_late=True)
    def deadly():
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_that_kills_every_process_is_given_up_with_one_mail(tmp_path, settings):
    scratch = ScratchApp(tmp_path, DEADLY)

    def mails():
        return [path for path in (settings.VAR / "mail").glob("*.log") if job.id in path.read_text()]

    with Recorder(), Worker(concurrency=1, env={**scratch.env, "ADMINS": "ada@example.org"}):
        job = app.send_task("scratch.deadly")
        wait_until(lambda: states([job.id]) in ({State.FAILED: 1}, {State.LOST: 1}), 60)
        after = demo.echo.delay()
        wait_until(lambda: all_succeeded([after.id]), 60)
        wait_until(lambda: not leftovers(), 60)
        wait_until(mails, 60, "its mail, which is sent beside all that")
    found = Job.objects.get(pk=job.id)
    assert found.attempts == 3
    assert "not run again" in found.error
    assert len(mails()) == 1


def test_a_worker_that_is_asked_to_hurry_puts_its_jobs_back_at_once(tmp_path):
    with Recorder():
        with Worker(concurrency=1, app=gated.APP) as first:
            job = app.send_task(gated.NAME, [str(tmp_path / "go")])
            wait_until(lambda: running([job.id]), 60)
            os.kill(first.pid, signal.SIGQUIT)
            wait_until(lambda: first.popen and first.popen.poll() is not None, 60)
            assert leftovers() == {"queue": 1}
            assert heartbeat.workers() == []
        (tmp_path / "go").touch()
        with Worker(concurrency=1, app=gated.APP):
            wait_until(lambda: all_succeeded([job.id]), 60)
    runs = [(a.state, a.error, a.worker) for a in Attempt.objects.filter(job_id=job.id).order_by("number")]
    assert [state for state, _, _ in runs] == [State.LOST, State.SUCCEEDED], runs


def test_a_worker_reports_what_waits_for_a_rate_limit(tmp_path):
    scratch = ScratchApp(
        tmp_path,
        """
        from image.celery import app

        @app.task(name="scratch.rare", rate_limit="1/h")
        def rare():
            return "done"
        """,
    )
    with Worker(concurrency=1, env=scratch.env):
        first, second = app.send_task("scratch.rare"), app.send_task("scratch.rare")
        assert first.get(timeout=60) == "done"
        wait_until(lambda: heartbeat.workers()[0].held == [second.id], 60)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_reports_what_it_holds(pool, settings, tmp_path):
    settings.JOBROOM = settings.JOBROOM | {"HELD_AT_MOST": 1200.0}
    with Worker(concurrency=1, pool=pool, app=gated.APP) as process:
        later = demo.echo.apply_async(countdown=600)
        wait_until(lambda: later.id in heartbeat.workers()[0].held, 60)
        now = app.send_task(gated.NAME, [str(tmp_path / "go")])
        wait_until(lambda: heartbeat.workers()[0].held == sorted([later.id, now.id]), 60)
        assert len(heartbeat.workers()[0].tags) == 2
        (tmp_path / "go").touch()
        now.get(timeout=60)
        wait_until(lambda: heartbeat.workers()[0].held == [later.id], 60)
        process.stop()
        assert heartbeat.workers() == []
