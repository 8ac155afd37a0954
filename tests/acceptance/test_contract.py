"""The task API as the documentation shows it: each line of it, in an app of its own, against a real worker."""

import json
from typing import Any

import pytest
from celery import chain, chord, group

from common.tasks import clearsessions
from demo import tasks as demo
from image.celery import app
from image.celery import clearsessions as project_clearsessions
from jobroom import redis
from jobroom.events import heartbeat
from jobroom.testing import wait_until
from jobroom.testing.processes import Worker
from tests.acceptance.scratch import ScratchApp

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

SNIPPET = '''
    import time

    from image.celery import app
    from jobroom.tasks import BaseTask, NotifyAdminTaskMixin, exclusive_task, redis_lock


    @app.task(bind=True, base=app.Task)
    def hello(self, name="world"):
        self.debug_task()
        return f"Hello {name}"


    class FetchStatusTask(NotifyAdminTaskMixin, BaseTask):
        name = "Fetch status"
        description = """Fetch biosample using USI API"""

        @exclusive_task(task_name="Fetch status", lock_id="FetchStatus")
        def run(self, seconds=0):
            self.debug_task()
            time.sleep(seconds)
            return "fetched"


    app.tasks.register(FetchStatusTask)


    class Rapid(BaseTask):
        name = "scratch.rapid"
        track = False

        def run(self):
            return "done"


    app.tasks.register(Rapid)


    @app.task(track=False, name="scratch.untracked")
    def untracked():
        return "done"


    @app.task
    def under_lock():
        with redis_lock("scratch-lock") as mine:
            return bool(mine)
'''


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return ScratchApp(tmp_path_factory.mktemp("contract"), SNIPPET)


@pytest.fixture(scope="module")
def worker(scratch, django_db_setup):
    redis.client().flushdb()
    with Worker(concurrency=2, env=scratch.env, warm=False) as process:
        yield process


def events(job_id: str) -> list[str]:
    """Return the types of all events of one job, oldest first."""
    entries: Any = redis.client().xrange(redis.key("events"))
    found = [json.loads(fields["e"]) for _, fields in entries]
    return [event["type"] for event in found if event["job"] == job_id]


def test_the_snippet_of_the_documentation_runs_as_written(scratch, worker):
    printed = scratch.shell("""
        from scratch.tasks import FetchStatusTask, hello, under_lock

        print(FetchStatusTask().run())
        r = FetchStatusTask().delay()
        print(r.get(timeout=60), r.ready(), r.info, r.state)
        print(hello(), hello.delay("Ada").get(timeout=60), hello.name)
        print(under_lock.delay().get(timeout=60))
    """)
    assert printed.splitlines() == [
        "fetched",
        "fetched True fetched SUCCESS",
        "Hello world Hello Ada scratch.tasks.hello",
        "True",
    ]


def test_a_busy_lock_answers_in_words_and_counts_as_success(scratch, worker):
    printed = scratch.shell("""
        from jobroom.tasks import redis_lock
        from scratch.tasks import FetchStatusTask

        with redis_lock("FetchStatus"):
            busy = FetchStatusTask().delay()
            print(busy.get(timeout=60), busy.state)
            print(FetchStatusTask().run())
        print(FetchStatusTask().delay().get(timeout=60))
    """)
    busy = "Fetch status already running!"
    assert printed.splitlines() == [f"{busy} SUCCESS", busy, "fetched"]


def test_a_task_that_is_not_tracked_runs_and_leaves_no_event(scratch, worker):
    printed = scratch.shell("""
        from scratch.tasks import Rapid, hello, untracked

        for task in (Rapid(), untracked, hello):
            result = task.delay()
            result.get(timeout=60)
            print(result.id)
    """)
    rapid, untracked, tracked = printed.split()
    wait_until(lambda: events(tracked) == ["queued", "started", "finished"], 60)
    assert events(rapid) == []
    assert events(untracked) == []


def test_check_names_a_class_that_no_one_registered(tmp_path):
    forgetful = ScratchApp(
        tmp_path,
        """
        from jobroom.tasks import BaseTask

        class Forgotten(BaseTask):
            name = "Forgotten"

            def run(self):
                return 1
        """,
    )
    done = forgetful.manage("check")
    assert done.returncode == 1
    assert "scratch.tasks.Forgotten" in done.stderr
    assert "app.tasks.register(Forgotten)" in done.stderr


def test_check_has_nothing_to_say_about_the_snippet(scratch):
    done = scratch.manage("check")
    assert done.returncode == 0, done.stderr


def test_the_samples_are_switched_off_by_a_setting(scratch):
    code = "from image.celery import app; print(any(name.startswith('demo.') for name in app.tasks))"
    assert scratch.shell(code) == "True\n"
    off = ScratchApp.__new__(ScratchApp)
    off.env = {"IMAGE_DEMO": "0"}
    assert off.shell(code) == "False\n"


def test_the_same_setting_takes_all_examples_and_their_schedules(tmp_path):
    off = ScratchApp.__new__(ScratchApp)
    off.env = {"IMAGE_DEMO": "0"}
    code = """
        from django.urls import reverse
        from image.celery import app
        from django.apps import apps

        names = {name.partition(".")[0] for name in app.tasks}
        print(sorted(names & {"demo", "biosample", "assets", "text", "ontology"}))
        print(sorted({"Fetch USI status", "Annotate All"} & {*app.tasks, *app.conf.beat_schedule}))
        print("Clear sessions" in app.conf.beat_schedule, reverse("jobroom:jobs:overview"))
        print([name for name in ("demo", "biosample", "assets", "text", "ontology") if apps.is_installed(name)])
    """
    assert off.shell(code) == "[]\n[]\nTrue /\n[]\n"
    assert off.manage("check").returncode == 0
    off.env = {"IMAGE_DEMO": "0", "IMAGE_EXTRA_APPS": "assets"}
    assert off.shell(code).splitlines()[0] == "['assets']"


def test_clearsessions_has_both_names(worker):
    assert project_clearsessions.name == "image.celery.clearsessions"
    assert clearsessions.name == "common.tasks.clearsessions"
    assert clearsessions.delay().get(timeout=60) == "Session cleaned with success"
    assert project_clearsessions.delay().get(timeout=60) == "Session cleaned with success"
    assert app.send_task("image.celery.clearsessions").get(timeout=60) == "Session cleaned with success"


def test_canvases_of_the_samples(worker):
    assert chain(demo.add.s(1, 4), demo.add.s(10), demo.mul.s(7)).delay().get(timeout=60) == 105
    assert chord([demo.add.s(n, n) for n in range(5)], demo.xsum.s()).delay().get(timeout=60) == 20
    assert group(demo.mul.s(n, 2) for n in range(3)).delay().get(timeout=60) == [0, 2, 4]
    counted = demo.map_reduce.delay(["to be or", "not to be"]).get(timeout=60)
    assert counted == {"to": 2, "be": 2, "or": 1, "not": 1}


def test_the_other_samples(worker):
    assert demo.echo.delay("tree").get(timeout=60) == "tree"
    assert demo.wait.delay(0.01).get(timeout=60) == 0.01
    assert demo.progress.delay(0.1, 4).get(timeout=60) == 4
    assert demo.Countdown().delay(2).get(timeout=60) == "Lift-off"
    said = demo.log.delay("a line", "warning")
    assert said.get(timeout=60) is None
    wait_until(lambda: "log" in events(said.id), 60)


def test_samples_that_end_badly(worker):
    failing, killed, deaf = demo.fail.delay("on purpose"), demo.killed.delay(), demo.ignores_time_limit.delay()
    assert "on purpose" in str(failing.get(timeout=60, propagate=False))
    assert "SIGKILL" in str(killed.get(timeout=60, propagate=False))
    assert type(deaf.get(timeout=60, propagate=False)).__name__ == "TimeLimitExceeded"
    assert [result.state for result in (failing, killed, deaf)] == ["FAILURE"] * 3
    assert demo.echo.delay("still here").get(timeout=60) == "still here"
    assert [found.alive for found in heartbeat.workers() if found.pid == worker.pid] == [True]
