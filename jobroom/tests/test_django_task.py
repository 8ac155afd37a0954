"""Celery's integration of Django: everything of `celery.contrib.django` works on our tasks."""

import pytest
from celery.contrib.django.task import DjangoTask
from celery.signals import before_task_publish
from django.db import transaction

from image.celery import app
from jobroom.tasks import BaseTask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def published():
    found = []

    def collect(sender, body, **kwargs):
        found.append((sender, body[0], body[1], kwargs["routing_key"]))

    before_task_publish.connect(collect)
    yield found
    before_task_publish.disconnect(collect)
    app.control.purge()


class Greet(BaseTask):
    name = "scratch.greet_on_commit"

    def run(self, name: str) -> str:
        return f"Hello {name}"


@pytest.fixture(params=["decorated", "class"])
def task(request):
    if request.param == "class":
        yield app.tasks.get(Greet.name) or app.register_task(Greet())
        app.tasks.pop(Greet.name)
        return

    @app.task(name="scratch.decorated_on_commit", shared=False)
    def greet(name: str) -> str:
        return f"Hello {name}"

    yield greet
    app.tasks.pop(greet.name)


def test_it_is_a_django_task(task):
    assert isinstance(task, DjangoTask)
    assert issubclass(app.Task, DjangoTask)


def test_it_is_sent_when_the_transaction_commits_and_not_before(task, published):
    with transaction.atomic():
        task.delay_on_commit("Ada")
        task.apply_async_on_commit(("Grace",), queue="heavy")
        assert published == []
    assert [(sender, list(args), queue) for sender, args, _, queue in published] == [
        (task.name, ["Ada"], "default"),
        (task.name, ["Grace"], "heavy"),
    ]


def test_a_transaction_that_is_rolled_back_sends_nothing(task, published):
    with transaction.atomic():
        task.delay_on_commit("Ada")
        transaction.set_rollback(True)
    assert published == []


def test_without_a_transaction_it_is_sent_at_once(task, published):
    task.delay_on_commit(name="Ada")
    assert [(sender, kwargs) for sender, _, kwargs, _ in published] == [(task.name, {"name": "Ada"})]
