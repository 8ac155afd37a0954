"""The task API where no worker is needed."""

import logging
from unittest import mock

import pytest
from celery import current_app

from image.celery import app
from jobroom.celery.tracked import is_tracked
from jobroom.exceptions import JobFailed
from jobroom.tasks import BaseTask, enqueue


@pytest.fixture
def scratch():
    before = set(app.tasks)
    yield app
    for name in set(app.tasks) - before:
        app.tasks.pop(name)


def test_the_apps_own_task_class_is_ours():
    assert issubclass(app.Task, BaseTask)
    assert current_app.main == "proj"


def test_debug_task_is_silent_outside_a_job(scratch, caplog):
    caplog.set_level(logging.DEBUG, logger="jobroom.tasks")

    @app.task(bind=True, base=app.Task, name="scratch.debug", shared=False)
    def debug(self):
        self.debug_task()
        return "done"

    assert debug.run() == "done"
    assert "Request" not in caplog.text
    debug.apply()
    assert "Request" in caplog.text


def test_track_is_an_option_and_a_method(scratch):
    @app.task(bind=True, name="scratch.quick", shared=False, track=False)
    def quick(self):
        return list(self.track([1, 2]))

    @app.task(bind=True, name="scratch.plain", shared=False)
    def plain(self):
        return None

    assert not is_tracked(quick)
    assert is_tracked(plain)
    assert quick.run() == [1, 2]


def test_a_class_may_say_track_false(scratch):
    class Quick(BaseTask):
        name = "scratch.class"
        track = False

        def run(self):
            return list(self.track("ab"))

    app.tasks.register(Quick)
    assert not is_tracked(app.tasks["scratch.class"])
    assert Quick().run() == ["a", "b"]


def test_celerys_own_chores_are_not_tracked():
    assert not is_tracked(app.tasks["celery.chord_unlock"])


def test_a_job_that_says_it_failed_is_expected():
    assert JobFailed in BaseTask.throws
    assert str(JobFailed()) == "The job could not do its work, and says so without a traceback."


@pytest.mark.django_db
def test_enqueue_sends_on_commit(django_capture_on_commit_callbacks):
    task = app.tasks["image.celery.clearsessions"]
    with mock.patch.object(type(task), "apply_async") as send:
        with django_capture_on_commit_callbacks(execute=True):
            result = enqueue("image.celery.clearsessions", queue="heavy")
            assert not send.called
        send.assert_called_once_with((), {}, task_id=result.id, queue="heavy")


@pytest.mark.django_db
def test_enqueue_knows_tasks_that_only_workers_have(django_capture_on_commit_callbacks):
    with mock.patch.object(type(app), "send_task") as send:
        with django_capture_on_commit_callbacks(execute=True):
            enqueue("elsewhere.task", (1,), {"a": 2})
        assert send.call_args.args == ("elsewhere.task", (1,), {"a": 2})
