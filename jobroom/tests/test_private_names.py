"""Which private names of Celery and kombu are used: each is listed with what happens without it, and a new one fails."""

import ast
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import current_app
from celery.app.amqp import AMQP
from celery.app.task import Task
from celery.backends.redis import RedisBackend
from celery.beat import Scheduler
from celery.canvas import _chord  # type: ignore[attr-defined]
from celery.concurrency.prefork import TaskPool
from celery.worker import WorkController
from celery.worker.request import Request
from kombu.transport import redis, virtual

import jobroom
from jobroom import current_task
from jobroom.celery import message_fetch
from jobroom.celery.message_fetch import Take
from jobroom.tasks import BaseTask
from jobroom.testing.tasks import made_task

# Names that are faster, or do more, than public ones. Without one of them Jobroom does what is said here.
OPTIONAL = {
    "_state": (current_task, "celery._state.get_current_task: the public proxy is asked"),
    "_local": (Task, "a task's request is read by Celery's own method"),
    "_get_request": (Task, "the property of Celery is used"),
    "_create_task_sender": (AMQP, "messages for later go to a worker at once, as with Celery"),
    "_brpop_start": (redis.Channel, "messages are taken as kombu takes them"),
    "_flush_brpop_reauth": (redis.Channel, "messages are taken as kombu takes them"),
    "_create_client": (redis.Channel, "messages are taken as kombu takes them"),
    "_deliver": (virtual.Transport, "messages are taken as kombu takes them"),
    "_process_task": (WorkController, "a request that cannot be handed to the pool is Celery's to deal with"),
    "_quick_release": (WorkController, "the place of a request that failed is free after the next one"),
    "_call_task_errbacks": (RedisBackend, "an errback that cannot be called is logged"),
    "_get_result_meta": (RedisBackend, "asked for with `result_extended` alone"),
    "_set_with_state": (RedisBackend, "Celery's own way to keep a result"),
}
# What reads a Redis broker, whose lists have no public interface, and beat, which computes its moments there: `jobroom.W005` warns of releases that were not tried.
BROKER = {
    "_q_for_pri": redis.Channel, "_get_message_priority": redis.Channel, "_remove_from_indices": redis.QoS,
    "_channels": redis.MultiChannelPoller, "_delivered": virtual.QoS, "_queue_cycle": redis.Channel,
    "_already_revoked": Request, "_payload": Request, "_unroll_body": _chord, "_pool": TaskPool,
    "_when": Scheduler,
}  # fmt: skip
# Made in `__init__`, not in the class.
OF_INSTANCES = {
    "_state",
    "_local",
    "_channels",
    "_delivered",
    "_queue_cycle",
    "_already_revoked",
    "_payload",
    "_pool",
    "_quick_release",
}
# Of Python, Django, REST framework, crontab's text, and our own from another module.
OTHERS = {
    "_MAX_STR_VALUE_SIZE", "_active_tick", "_asdict", "_current_frames", "_default_manager", "_exit", "_keys", "_meta", "_new",
    "_orig_hour", "_orig_minute", "_reader", "_replace", "_request",
}  # fmt: skip


def private_names():
    """Return the private names that the package takes from elsewhere: those that the module itself never defines."""
    found = set()
    for path in Path(jobroom.__file__).parent.rglob("*.py"):
        if {"tests", "testing", "migrations"} & set(path.parts):
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        own = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
        own |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
        used = {n.attr for n in nodes if isinstance(n, ast.Attribute) and n.attr.startswith("_")}
        found |= {name for name in used - own if not name.endswith("__")}
    return found


def test_each_private_name_is_listed_and_there():
    assert private_names() - OPTIONAL.keys() - BROKER.keys() - OTHERS == set()
    owners = {name: owner for name, (owner, _) in OPTIONAL.items()} | BROKER
    assert [name for name, owner in owners.items() if name not in OF_INSTANCES and not hasattr(owner, name)] == []


def test_without_its_fast_name_the_running_task_is_asked_by_the_public_one(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "celery._state", SimpleNamespace())
        slow = importlib.reload(current_task).get_current_task
    importlib.reload(current_task)
    assert slow is not current_task.get_current_task
    assert slow() is None

    def run(): ...

    with made_task(run, name="test.running") as task:
        from celery._state import _task_stack

        _task_stack.push(task)
        try:
            assert slow().name == current_task.get_current_task().name == "test.running"
        finally:
            _task_stack.pop()


def test_without_its_stack_a_request_is_read_by_celerys_own_method(monkeypatch):
    def run(): ...

    with made_task(run, name="test.request") as task:
        task.push_request(id="a")
        try:
            fast = task.request
            monkeypatch.setattr(type(task), "request_stack", SimpleNamespace(top=fast), raising=False)
            vars(task).pop("request_stack", None)
            assert task.request is fast
        finally:
            monkeypatch.undo()
            task.pop_request()
    assert isinstance(task, BaseTask)


@pytest.mark.parametrize("supported", [True, False])
def test_without_one_of_kombus_parts_messages_are_taken_as_kombu_takes_them(monkeypatch, supported):
    assert message_fetch.SUPPORTED
    monkeypatch.setattr(message_fetch, "SUPPORTED", supported)
    with current_app.connection_for_read() as connection:
        assert Take(connection.default_channel, on=True).on is supported
