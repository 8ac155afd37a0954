"""Tasks that tests declare, and what apps of later tests see of them."""

import pytest
from celery import Celery, shared_task

from jobroom.testing.tasks import forget_local_tasks


@shared_task(name="test.of_a_module")
def of_a_module():
    """Stand for a task of an installed app."""


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
