"""A node goes to the queue that it names, else to that of its task, else by the routes of the settings."""

import pytest

from image.celery import app
from jobroom.celery.routes import queue_of
from jobroom.testing.tasks import made_task
from jobroom.workflows.workflows import Workflow


@pytest.fixture
def routes(monkeypatch):
    """Route all tasks of these tests to the queue `email`."""
    with monkeypatch.context() as changed:
        changed.setitem(app.conf.task_routes, "scratch.*", {"queue": "email"})
        _read_routes()
        yield
    _read_routes()


def _read_routes():
    app.amqp.flush_routes()
    app.amqp.__dict__.pop("router", None)  # it keeps those that it was made with


def run():
    return None


def queues(workflow):
    return [node.options["queue"] for node in workflow.frozen().graph.nodes]


def test_what_a_task_declares_comes_before_the_routes_of_the_settings(routes):
    # As a class it declares it without a warning: Celery means to drop the option of the decorator.
    base = type("Heavy", (app.Task,), {"abstract": True, "queue": "heavy"})
    with made_task(run, name="scratch.own", base=base), made_task(run, name="scratch.other"):
        workflow = Workflow()
        for name, options in (("own", {}), ("other", {}), ("own", {"queue": "ml"})):
            workflow.add_signature(app.signature(f"scratch.{name}", **options))
        assert queues(workflow) == ["heavy", "email", "ml"]
        assert [queue_of(f"scratch.{name}") for name in ("own", "other", "unknown")] == ["heavy", "email", "email"]
    assert queue_of("nowhere.routed") == "default"
