"""Private names of other packages: each is in the list, there in the pinned releases, and can be missing."""

import ast
import importlib
import inspect
import json
import pkgutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import chain, chord, current_app, group
from celery.app.amqp import AMQP
from celery.schedules import crontab
from celery.worker import state
from kombu.transport import redis, virtual
from rest_framework import serializers

import jobroom
from jobroom import checks, current_task, private_names
from jobroom.celery import message_fetch, queue_messages
from jobroom.celery.message_fetch import Take
from jobroom.celery.redeliveries import Request
from jobroom.celery.results import ResultBackend
from jobroom.celery.signatures import is_chain
from jobroom.jobs.kept_serializers import Kept
from jobroom.private_names import NAMES
from jobroom.resources import pool_process
from jobroom.schedules.services import settings_schedules
from jobroom.testing.tasks import made_task
from jobroom.workers.broker import QoS
from jobroom.workflows import canvas
from jobroom.workflows.engine import effects

ROOT = Path(jobroom.__file__).parent

# What others document although it begins with an underscore, or what a subclass is asked to override.
DOCUMENTED = {
    "_meta", "_default_manager", "_state", "_request",  # Django, REST framework
    "_replace", "_asdict", "_exit", "_current_frames",  # Python
}  # fmt: skip
# Names of our own classes, used by a module beside the one that has them.
OURS = {
    ("workflows/dictionaries", "_value"), ("workflows/dictionaries", "_returns"), ("workflows/dictionaries", "_keys"),
    ("workflows/external_nodes", "_new"), ("workflows/subworkflow", "_new"), ("workflows/services", "_active_tick"),
    ("workflows/dyrygent_compatibility", "_active_tick"), ("workflows/node_forms", "_answers"), ("workflows/node_forms", "_read"), ("workflows/nodes", "_waits"),
    ("workflows/commands/workflow", "_"), ("schedules/receivers", "_schedules_restart"), ("celery/tracker", "_take"),
    ("events/heartbeat", "_pool"),
}  # fmt: skip
BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter"}


def is_private(name):
    return name in {"__storage__", "__ident_func__"} or (name.startswith("_") and not name.endswith("_"))


def reaches(tree):
    """Yield the private names that a module takes from what is not its own."""
    nodes = list(ast.walk(tree))
    own = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    own |= {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and is_self(n.value)}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            if is_private(node.attr) and (node.attr not in own or ast.unparse(node.value) in {"super()", "base"}):
                yield node.attr
        elif isinstance(node, ast.ImportFrom | ast.Import):
            whole = f".{getattr(node, 'module', '')}"
            yield from (a.name for a in node.names if is_private(a.name) or "._" in f"{whole}.{a.name}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME:
            yield from named(node.args)


def is_self(node):
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def named(arguments):
    """Yield the private names among arguments of `getattr` and the like; of f"_one_{this}" its beginning."""
    for said in arguments:
        if isinstance(said, ast.Constant) and isinstance(said.value, str) and is_private(said.value):
            yield said.value
        elif isinstance(said, ast.JoinedStr) and getattr(said.values[0], "value", "").startswith("_"):
            yield said.values[0].value


def overridden():
    """Yield the private methods of others that a class of ours replaces."""
    for found in pkgutil.walk_packages(jobroom.__path__, "jobroom."):
        if {"tests", "testing", "migrations"} & set(found.name.split(".")):
            continue
        module = importlib.import_module(found.name)
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == found.name:
                for name, value in vars(kind).items():
                    if is_private(name) and inspect.isfunction(value):
                        others = [base for base in kind.__mro__[1:] if not base.__module__.startswith("jobroom")]
                        if any(name in vars(base) and inspect.isfunction(vars(base)[name]) for base in others):
                            yield found.name.removeprefix("jobroom.").replace(".", "/"), name


def test_the_list_names_each_private_name_of_others_that_is_used():
    found = set(overridden())
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).with_suffix("")
        if {"tests", "testing", "migrations"} & set(place.parts):
            continue
        found |= {(place.as_posix(), name) for name in reaches(ast.parse(path.read_text()))}
    listed = {(place, name.name) for name in NAMES for place in name.used_in.split(", ")}
    assert {pair for pair in found if pair[1] not in DOCUMENTED} - OURS == listed


def test_what_is_listed_is_there_in_the_pinned_releases():
    assert private_names.missing() == checks.names_of_others() == []


def test_a_name_that_is_gone_is_warned_of(monkeypatch):
    monkeypatch.delattr(AMQP, "_create_task_sender")
    (warning,) = checks.names_of_others()
    assert "celery.app.amqp.AMQP has no _create_task_sender" in warning.msg
    assert "messages for later go to a worker at once" in warning.msg


def places(name):
    return ", ".join(f"`{place}.py`" for place in name.used_in.split(", "))


def test_the_reference_lists_them():
    rows = [f"| `{n.name}` | `{n.owner.replace(':', '.')}` | {places(n)} | {n.without} |" for n in NAMES]
    text = (ROOT.parent / "docs/reference/supported-versions.md").read_text()
    section = text.partition("## Private names")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows


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


@pytest.mark.parametrize("stack", ["no _local", "no __storage__", "no __ident_func__"])
def test_without_its_stack_a_request_is_read_by_celerys_public_property(monkeypatch, stack):
    def run(): ...

    with made_task(run, name="test.request") as task:
        task.push_request(id="a")
        try:
            fast, local = task.request, SimpleNamespace(__storage__={}, __ident_func__=lambda: 1)
            if stack.startswith("no __"):
                delattr(local, stack[3:])
            without = SimpleNamespace(top=fast) if stack == "no _local" else SimpleNamespace(top=fast, _local=local)
            monkeypatch.setattr(task, "request_stack", without)
            assert task.request is fast
        finally:
            monkeypatch.undo()
            task.pop_request()


@pytest.mark.parametrize("supported", [True, False])
def test_without_one_of_kombus_parts_messages_are_taken_as_kombu_takes_them(monkeypatch, supported):
    assert message_fetch.SUPPORTED
    monkeypatch.setattr(message_fetch, "SUPPORTED", supported)
    with current_app.connection_for_read() as connection:
        channel = connection.default_channel
        assert Take(channel, on=True).on is supported
        monkeypatch.delattr(channel, "_queue_cycle")
        assert not Take(channel, on=True).on


def test_names_of_lists_and_priorities_are_kombus(monkeypatch):
    with current_app.connection_for_read() as connection:
        channel = connection.default_channel

        def made():
            messages = [{"properties": {"priority": given}} for given in (0, 4, "9", 77, -3, None, "x")] + [{}]
            return (
                [queue_messages.list_key(channel, "q", step) for step in range(10)],
                [queue_messages._priority(channel, message) for message in messages],
            )

        fast = made()
        monkeypatch.delattr(redis.Channel, "_q_for_pri")
        monkeypatch.delattr(virtual.Channel, "_get_message_priority")
        assert made() == fast


def test_without_kombus_table_all_is_put_back_as_with_kombu(monkeypatch):
    monkeypatch.setattr(state, "active_requests", [SimpleNamespace(message=SimpleNamespace(delivery_tag="a"))])
    given_back = []
    monkeypatch.setattr(message_fetch.QoS, "restore_unacked", lambda self, client=None: given_back.append(self))
    qos = object.__new__(QoS)
    qos.restore_unacked()
    assert given_back == [qos]


def test_without_its_table_a_request_knows_all_the_same_that_it_was_revoked(monkeypatch):
    request = SimpleNamespace(id="r", task=SimpleNamespace(acks_late=True, reject_on_worker_lost=True))
    lost = SystemExit()
    assert Request._goes_back(request, lost)
    monkeypatch.setattr(state, "revoked", {"r"})
    assert not Request._goes_back(request, lost)


@pytest.mark.parametrize(
    "given", [{"minute": "*/20", "hour": "3,4"}, {"day_of_week": "mon-fri"}, {"day_of_month": "1"}]
)
def test_without_its_text_a_crontab_of_the_settings_names_the_same_moments(given):
    def fields(row):
        return {
            name: getattr(crontab(**{name: getattr(row, name)}), name) for name in settings_schedules.CRONTAB_FIELDS
        }

    value = crontab(**given, app=current_app)
    fast = settings_schedules._crontab(value)
    for field in settings_schedules.CRONTAB_FIELDS:
        delattr(value, f"_orig_{field}")
    slow = settings_schedules._crontab(value)
    assert fields(slow) == fields(fast)
    assert slow.timezone == fast.timezone


def test_a_serializer_that_keeps_its_context_elsewhere_is_made_for_each_row():
    class Shown(serializers.Serializer):
        name = serializers.SerializerMethodField()

        def get_name(self, row):
            return f"{row} {self.context['user']}"

    class Elsewhere(Shown):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.kept = vars(self).pop("_context")

        @property
        def context(self):
            return self.kept

    kept = Kept()
    for _ in range(2):
        assert kept.shown(Elsewhere, 1, user="ada") == kept.shown(Shown, 1, user="ada") == {"name": "1 ada"}


def test_without_billiards_pipe_a_pool_process_receives_as_billiard_does(monkeypatch):
    def receive(): ...

    def methods(self):
        self.wait_for_job = receive

    monkeypatch.setattr(pool_process.asynpool.Worker, "_make_child_methods", methods)
    child = object.__new__(pool_process.Child)
    child.inq = SimpleNamespace()
    child._make_child_methods()
    assert child.wait_for_job is receive


def test_without_celerys_way_of_taking_it_apart_a_chord_stays_one_step(monkeypatch):
    def run(*args): ...

    with made_task(run) as task:
        steps = [chord([task.s(), task.s()], chain(task.s(), group(task.s(), task.s()))), task.s()]
        assert len(canvas._steps(steps)) == 3
        monkeypatch.delattr(chord, "_unroll_body")
        assert canvas._steps(steps) == steps
        assert is_chain(task.s() | task.s())
        assert not any(is_chain(one) for one in (task.s(), group(task.s()), steps[0], None))


def test_without_celerys_way_errbacks_are_not_called_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(effects, "record", lambda workflow, node: {"i": "job", "f": [[]]})
    monkeypatch.setattr(effects, "current_app", SimpleNamespace(backend=SimpleNamespace()))
    effects.call_errbacks("w", "2/0")
    assert "The errbacks of node 2 of workflow w could not be called" in caplog.text


def test_without_its_extended_form_a_result_is_kept_all_the_same(monkeypatch):
    backend = ResultBackend(app=current_app)
    backend._extended = True
    request = SimpleNamespace(group="g", parent_id="p")
    extended = backend._meta(1, "SUCCESS", None, request)
    monkeypatch.delattr("celery.backends.base.Backend._get_result_meta")
    plain = backend._meta(1, "SUCCESS", None, request)
    for key in ("status", "result", "traceback", "group_id", "parent_id"):
        assert json.dumps(plain[key]) == json.dumps(extended[key])
