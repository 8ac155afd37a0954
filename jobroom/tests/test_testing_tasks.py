"""Tasks that tests declare, and what apps of later tests see of them."""

import pytest
from celery import Celery, _state, current_app, shared_task

from jobroom.testing.tasks import forget_local_tasks, unregister_local_tasks


def of_a_module():
    """Stand for the function of a task of an installed app."""


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Have a task of an installed app, for as long as the test runs: pages would list it."""
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    shared_task(name="test.of_a_module")(of_a_module)
    yield
    current_app.tasks.unregister("test.of_a_module")


def _names():
    with Celery("later", broker="memory://", set_as_current=False) as app:
        app.finalize()
        return set(app.tasks)


@pytest.fixture
def app():
    with Celery("now", broker="memory://", set_as_current=False) as made:
        yield made


def test_a_task_of_a_test_is_in_no_app_of_a_later_one(app):
    @shared_task(name="test.shared")
    def shared():
        pass

    @app.task(name="test.of_an_app")
    def of_an_app():
        pass

    assert {"test.shared", "test.of_an_app", "test.of_a_module"} <= _names()
    forget_local_tasks()
    assert not {"test.shared", "test.of_an_app"} & _names()
    assert "test.of_a_module" in _names()


def test_two_tests_may_give_their_tasks_the_same_name(app):
    for number in range(2):

        @app.task(name="test.twice")
        def twice(given=number):
            return given

        app.finalize()
        app.tasks.unregister("test.twice")
        forget_local_tasks()
    assert "test.twice" not in _names()


def test_a_task_of_a_test_is_taken_out_of_the_projects_app_and_no_other():
    @current_app.task(name="test.left", shared=False)
    def left():
        pass

    assert left.name in current_app.tasks
    before = set(current_app.tasks)
    unregister_local_tasks()
    assert "test.left" in before - set(current_app.tasks)
    assert all(name.startswith("test.") for name in before - set(current_app.tasks))
    assert "test.of_a_module" in current_app.tasks
