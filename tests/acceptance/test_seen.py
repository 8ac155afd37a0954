"""What pages say of waiting jobs is what workers are seen to do: a loop that stands still, a rate limit, busy processes."""

import pytest
from django.core.cache import cache

from demo import tasks as demo
from image.celery import app
from jobroom import redis
from jobroom.events import heartbeat
from jobroom.jobs.models import Job, State
from jobroom.jobs.queue_position import waiting
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker
from jobroom.workers.overview import overview
from tests.acceptance.scratch import ScratchApp

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]

DOZE = """
    import time
    from pathlib import Path
    from celery.worker.control import Panel
    from image.celery import app

    @Panel.register
    def doze(state, path):
        while not Path(path).exists():  # as a library would that blocks the loop
            time.sleep(0.05)
        return "slept"

    @app.task(name="scratch.gated")
    def gated(path):
        while not Path(path).exists():
            time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def worker(tmp_path_factory, django_db_setup):
    """One worker for all tests, with one process and a command that blocks its loop."""
    redis.client().flushdb()
    scratch = ScratchApp(tmp_path_factory.mktemp("seen"), DOZE)
    env = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.behind_settings", **scratch.env}
    with Worker(name="seen", concurrency=1, env=env) as running, Recorder(env=env):
        yield running


def seen() -> heartbeat.Worker:
    (worker,) = heartbeat.workers()
    return worker


def place(job: str):
    cache.clear()
    return waiting(list(Job.objects.filter(pk=job))).get(job)


def wait_for(ids: list[str]) -> None:
    wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids), 60)


def test_a_loop_that_stands_still_is_seen(worker, settings, tmp_path):
    settings.JOBROOM = settings.JOBROOM | {"LOOP_TIMEOUT": 3.0}
    wait_until(lambda: seen().loop is not None and seen().loop < 3, 60, "the loop turns")
    app.control.broadcast("doze", arguments={"path": str(tmp_path / "awake")})
    try:
        wait_until(lambda: seen().stuck and seen().alive, 60, "the heartbeat goes on and says that the loop does not")
        job = demo.echo.delay("x").id
        found = wait_until(lambda: place(job), 60, "it is recorded")
        assert found.held_up.startswith("seen@test lives but receives no jobs")
        problems = " ".join(overview().problems)
        assert "seen@test lives, but receives no jobs" in problems
        assert "1 job waits in the queue default, and its worker seen@test receives no jobs." in problems
    finally:
        (tmp_path / "awake").touch()
    wait_for([job])
    wait_until(lambda: not seen().stuck, 60)
    assert Job.objects.get(pk=job).attempts == 1


def test_what_a_rate_limit_holds_back_is_held_also_when_the_limit_changes(worker):
    app.control.rate_limit("demo.echo", "10/m", reply=True, timeout=60, limit=1)
    ids = [demo.echo.delay(str(n)).id for n in range(3)]
    limited = wait_until(lambda: seen().limited.get("demo.echo"), 60)
    assert limited["rate"] == "10/m"
    for held in wait_until(lambda: Job.objects.filter(pk__in=limited["jobs"]), 60):
        if (found := place(held.pk)) is not None:  # else it has been started since
            assert found.limit in {"", "10/m of demo.echo"}
    app.control.rate_limit(
        "demo.echo", "30/m", reply=True, timeout=60, limit=1
    )  # Celery forgets who waits for the old one
    wait_for(ids)
    app.control.rate_limit("demo.echo", "0", reply=True, timeout=60, limit=1)
    assert set(Job.objects.filter(pk__in=ids).values_list("attempts", flat=True)) == {1}
    assert "is back in queue" not in worker.log


def test_a_busy_process_is_named(worker, tmp_path):
    first = app.send_task("scratch.gated", [str(tmp_path / "go")], time_limit=900)
    try:
        wait_until(lambda: [row["job"] for row in seen().running] == [first.id], 60, "the heartbeat names it")
        second = demo.echo.delay("x").id
        found = wait_until(lambda: place(second), 60)
    finally:
        (tmp_path / "go").touch()
    assert found.in_front.startswith(f"scratch.gated ({first.id[:8]}), running for")
    assert "at most" in found.in_front
    wait_for([first.id, second])
