"""A class-based task that no worker would find is named."""

import gc
from unittest import mock

import pytest
from celery import current_app
from django.contrib.sessions.models import Session
from django.db import connections

from jobroom import checks
from jobroom.tasks import BaseTask


@pytest.fixture
def scratch_class():
    class ForgottenTask(BaseTask):
        name = "forgotten"

        def run(self):
            return None

    yield ForgottenTask
    current_app.tasks.pop("forgotten", None)


def test_an_unregistered_task_is_named(scratch_class):
    (message,) = [m for m in checks.unregistered_tasks() if m.obj is scratch_class]
    assert "ForgottenTask is a task that is not registered" in message.msg
    assert "app.tasks.register(ForgottenTask)" in message.hint


def test_a_registered_task_is_not_named(scratch_class):
    current_app.tasks.register(scratch_class)
    assert scratch_class not in [m.obj for m in checks.unregistered_tasks()]


def test_a_base_without_run_is_not_named():
    class OnlyABase(BaseTask):
        action = "nothing yet"

    assert OnlyABase not in [m.obj for m in checks.unregistered_tasks()]


def test_the_base_of_a_registered_task_is_not_named(scratch_class):
    class Child(scratch_class):
        name = "forgotten"

    current_app.tasks.register(Child)
    assert scratch_class not in [m.obj for m in checks.unregistered_tasks()]


@pytest.fixture(autouse=True, scope="module")
def no_leftovers():
    """Leave no scratch class to the tests of other files; once for all tests, for it takes as long as twenty of them."""
    yield
    gc.collect()


def test_a_database_without_our_statements_is_refused(monkeypatch):
    assert checks.known_database() == []
    monkeypatch.setattr(connections["default"], "vendor", "mysql")
    (message,) = checks.known_database()
    assert "Jobroom writes its history into PostgreSQL or SQLite" in message.msg
    assert message.id == "jobroom.E010"


@pytest.mark.parametrize("version", ["5.6.3", "5.70.0", "6.0.0", "5.8.0rc1"])
def test_a_celery_that_was_not_tried_is_named(monkeypatch, version):
    monkeypatch.setattr("celery.__version__", version)
    (message,) = checks.tried_celery()
    assert message.msg == f"Jobroom was tried with Celery 5.7, and {version} is installed."


def test_the_celery_of_this_installation_was_tried():
    assert checks.tried_celery() == []


def test_users_without_a_number_are_named(monkeypatch):
    """Messages, counts and limits name people by a whole number."""
    assert checks.numbered_users() == []
    monkeypatch.setattr(checks, "get_user_model", lambda: Session)  # its primary key is a text
    (message,) = checks.numbered_users()
    assert (message.id, "is a CharField" in message.msg) == ("jobroom.E007", True)


@pytest.mark.parametrize(
    ("pool", "ids"), [("prefork", []), ("gevent", ["jobroom.W007"]), ("eventlet", ["jobroom.W007"])]
)
def test_a_pool_of_greenlets_in_the_settings_comes_too_late(pool, ids):
    from celery import current_app

    with mock.patch.object(type(current_app.conf), "worker_pool", pool, create=True):
        assert [message.id for message in checks.pool_of_settings()] == ids
