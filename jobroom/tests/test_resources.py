"""Declaring resources, holding them in a process, and what tasks see of them."""

import os
import threading
import time
from typing import Annotated, Any

import pytest
from celery import current_app

from image.celery import app
from jobroom import checks, events, redis
from jobroom.arguments import schema_of
from jobroom.resources import (
    Resource,
    ResourceNotHere,
    ResourceNotReady,
    UnknownResource,
    access,
    allowed_here,
    declared,
    resource,
)
from jobroom.resources.gate import Gate
from jobroom.resources.instance import Held, State
from jobroom.resources.report import together
from jobroom.resources.shared_state import SLOT, SharedState
from jobroom.tasks import BaseTask
from jobroom.testing.resources import use_resource


class Model:
    """Something that a loader makes."""

    def __init__(self, version="none"):
        self.version = version


class Loader:
    """A loader that a test steers."""

    def __init__(self):
        self.version = "1"
        self.errors = 0
        self.loads = 0
        self.sick = ""
        self.lock = threading.Lock()

    def load(self, version):
        with self.lock:
            self.loads += 1
            if self.errors:
                self.errors -= 1
                raise OSError("no such file")
            return Model(version)


@pytest.fixture(autouse=True)
def only_here():
    before = dict(declared)
    yield
    declared.clear()
    declared.update(before)
    access.held.clear()


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def model(loader):
    def load_model(version):
        """A model."""
        return loader.load(version)

    options = {"version": lambda: loader.version, "health": lambda _: loader.sick, "sizeof": lambda _: 42}
    return resource("test_model", queues=["ml"], **options)(load_model)


@pytest.fixture
def task():
    made = []

    def make(function, **options):
        made.append(f"test.{function.__name__}")
        return app.task(name=made[-1], **options)(function)

    yield make
    for name in made:
        current_app.tasks.pop(name, None)


@pytest.fixture
def eager(settings):
    settings.JOBROOM = settings.JOBROOM | {"RESOURCE_CHECK": 0, "RESOURCE_HEALTH": 0}
    settings.JOBROOM = settings.JOBROOM | {"RESOURCE_RETRY": 0}


# Declaring


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"queues": "ml"}, r'queues=\["ml"\]'),
        ({"queues": []}, "names of its queues"),
        ({"queues": ["ml"], "share": True, "idle_unload": 5}, "drop share or idle_unload"),
        ({"queues": ["ml"], "idle_unload": 0}, "above zero"),
        ({"queues": ["ml"], "holds": "all"}, '"queues" or "jobs"'),
    ],
)
def test_a_wrong_declaration_says_what_to_write(options, remedy):
    with pytest.raises(ValueError, match=remedy):
        resource("test_wrong", **options)


def test_a_name_must_be_one_of_an_attribute():
    with pytest.raises(ValueError, match="attribute of a task"):
        resource("spam model", queues=["ml"])


def test_two_loaders_of_one_name_are_refused(model):
    with pytest.raises(ValueError, match=r"declared twice: .*load_model and .*other"):

        @resource("test_model", queues=["ml"])
        def other():
            return 1


def test_the_version_reaches_a_loader_that_wants_it(model):
    assert model.load("7").version == "7"
    assert resource("test_plain", queues=["ml"])(lambda: "plain").load("7") == "plain"


# Where it may be had


def test_it_is_never_loaded_outside_workers(model, loader):
    with pytest.raises(ResourceNotHere, match="workers of the queue ml only, never in this process"):
        model.get()
    assert loader.loads == 0


def test_a_command_may_say_that_it_loads(model, loader):
    with allowed_here():
        assert model.get() is model.get()
    assert loader.loads == 1
    with pytest.raises(ResourceNotHere):
        model.get()


def test_a_test_gives_an_object_of_its_own(model, loader):
    mine = Model("mine")
    with use_resource("test_model", mine) as given:
        assert model.get() is given is mine
    assert loader.loads == 0
    with pytest.raises(ResourceNotHere):
        model.get()


def test_an_unknown_name_is_reported_with_the_nearest(model):
    with pytest.raises(UnknownResource, match=r"Did you mean test_model\?"), use_resource("test_modle", 1):
        pass


# What tasks see


def test_a_decorated_task_reads_an_attribute(model, task):
    def look(self: Any) -> str:
        """Look."""
        return str(self.test_model.version)

    look = task(look, bind=True, resources=("test_model",))
    with use_resource("test_model", Model("a")):
        assert look() == "a"
        assert look.apply().get() == "a"
    with pytest.raises(ResourceNotHere):
        look()


def test_a_class_task_reads_an_attribute(model):
    class Look(BaseTask):
        name = "test.Look"
        resources = (model,)
        test_model: Model

        def run(self):
            return self.test_model.version

    assert Look.resources == ("test_model",)
    with use_resource("test_model", Model("b")):
        assert Look().run() == "b"
    with pytest.raises(AttributeError, match="has no attribute 'tset_model'"):
        _ = Look().tset_model


def test_a_marked_parameter_is_filled_in_and_no_one_elses_to_give(model, task):
    def look(first: int, test_model: Annotated[Model, Resource], second: int = 2) -> list[Any]:
        """Look."""
        return [first, test_model.version, second]

    look = task(look)
    schema = schema_of(look)
    assert [parameter.name for parameter in schema.parameters] == ["first", "second"]
    assert set(schema.json_schema()["properties"]) == {"first", "second"}
    assert look.resources == ("test_model",)
    with use_resource("test_model", Model("c")):
        assert look.apply(args=[5, 7]).get() == [5, "c", 7]
        assert look.apply(args=[5]).get() == [5, "c", 2]
        assert look(first=5) == [5, "c", 2]
        assert look(5, test_model=Model("given")) == [5, "given", 2]
    look.__header__(5, 7)
    with pytest.raises(TypeError):
        look.__header__(5, 6, 7)


# Holding


def step_until(held, state):
    end = time.monotonic() + 45
    while held.state is not state:
        held.step()
        assert time.monotonic() < end


def test_a_job_keeps_its_object_and_the_next_one_gets_the_new(model, loader, eager):
    held = Held(model)
    held.step()
    with held.use() as before:
        loader.version = "2"
        held.step()
        assert before.version == "1"
        with held.use() as after:
            assert after.version == "2"
    assert held.describe()["version"] == "2"
    assert held.describe()["size"] == 42


def test_a_new_version_that_fails_leaves_the_old_one(model, loader, eager):
    held = Held(model)
    held.step()
    loader.version, loader.errors = "2", 1
    held.step()
    said = held.describe()
    assert (said["state"], said["version"], said["refused"]) == ("ready", "1", "2")
    assert said["error"] == "OSError: no such file"
    held.step()
    said = held.describe()
    assert (said["version"], said["refused"], said["error"]) == ("2", None, "")


def test_a_failed_load_is_a_state_and_is_tried_again_later(model, loader, settings):
    settings.JOBROOM = settings.JOBROOM | {"RESOURCE_RETRY": 100, "RESOURCE_RETRY_MOST": 150}
    loader.errors = 2
    held = Held(model)
    held.step()
    assert held.state is State.FAILED
    assert not held.available
    with pytest.raises(ResourceNotReady, match="test_model is not ready: OSError: no such file") as why, held.use():
        pass
    assert 90 < why.value.wait <= 100
    held.step()
    assert loader.loads == 1  # not yet
    held.retry_at = 0
    held.step()
    assert held.retry_at - time.time() == pytest.approx(150, abs=5)  # doubled, up to the most
    held.retry_at = 0
    held.step()
    assert (held.state, held.error, held.attempts) == (State.READY, "", 0)


def test_one_that_no_one_uses_is_dropped_and_loaded_by_the_next_job(model, loader, eager):
    held = Held(Resource("test_idle", loader.load, ("ml",), version=lambda: "1", idle_unload=60))
    held.step()
    held.loaded = held.loaded.__class__(**{**vars(held.loaded), "at": time.time() - 100})
    with held.use():
        held.step()
        assert held.state is State.READY  # a job has it
    held.last_used = time.time() - 100
    held.step()
    assert (held.state, held.loaded, held.available) == (State.UNLOADED, None, True)
    with held.use() as value:
        assert value.version == "1"
    assert loader.loads == 2


def test_an_unhealthy_one_is_replaced(model, loader, eager):
    held = Held(model)
    held.step()
    loader.sick, first = "poisoned", held.loaded
    held.step()
    assert held.loaded is not first
    assert loader.loads == 2


def test_an_unhealthy_one_that_cannot_be_replaced_is_not_used(model, loader, eager):
    held = Held(model)
    held.step()
    loader.sick, loader.errors = "poisoned", 100
    held.step()
    assert held.state is State.FAILED
    assert not held.available


def test_a_version_that_no_one_can_tell_changes_nothing(model, loader, eager):
    def unknown():
        raise ConnectionError("database away")

    held = Held(Resource("test_unsure", loader.load, ("ml",), version=lambda: "1"))
    held.step()
    held.resource = Resource("test_unsure", loader.load, ("ml",), version=unknown)
    held.step()
    assert (held.state, loader.loads) == (State.READY, 1)


def test_jobs_in_threads_cause_one_load(model, loader, eager):
    held = Held(model)
    seen = []

    def work():
        with held.use() as value:
            seen.append(value)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loader.loads == 1
    assert len({id(value) for value in seen}) == 1


def test_a_loader_that_ends_the_process_is_a_failed_load(eager):
    def leave():
        raise SystemExit(3)

    held = Held(Resource("test_leaver", leave, ("ml",)))
    held.step()
    assert (held.state, held.error) == (State.FAILED, "SystemExit: 3")


# The worker


def test_the_board_is_read_by_another_process():
    board = SharedState()
    pid = os.fork()
    if pid == 0:
        board.write(3, os.getpid(), [{"name": "x", "error": ""}])
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.read({pid}) == {pid: [{"name": "x", "error": ""}]}
    assert board.read({pid + 1}) == {}


def test_the_board_leaves_out_errors_that_do_not_fit():
    board = SharedState()
    board.write(0, 7, [{"name": "x", "error": "e" * SLOT}])
    assert board.read({7}) == {7: [{"name": "x", "error": ""}]}


def test_a_forked_process_has_its_own_connection_for_events():
    redis._line.cache_clear()
    events.emit("mail", None)
    assert redis._line.cache_info().currsize == 1
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, str(redis._line.cache_info().currsize).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 10) == b"0"
    os.close(reader)
    os.close(writer)


class Consumer:
    """What the gate needs of Celery's consumer; what is called soon is called at once."""

    def __init__(self):
        self.names = set()
        self.task_consumer = self

    def call_soon(self, function, *args):
        function(*args)

    def cancel_by_queue(self, name):
        self.names.discard(name)

    def consuming_from(self, name):
        return name in self.names

    def add_queue(self, queue):
        self.names.add(queue.name)

    def consume(self):
        pass


@pytest.fixture
def queues():
    chosen = current_app.amqp.queues
    before = chosen._consume_from
    chosen.select(["ml", "default"])
    yield chosen
    chosen._consume_from = before


def test_the_gate_takes_queues_and_gives_them_back(queues):
    gate = Gate(current_app)
    gate.close_before_start({"ml": ["model"]})
    assert set(queues.consume_from) == {"default"}
    gate.open_to({"ml": ["model"]})  # not ready yet, so nothing happens
    gate.consumer = consumer = Consumer()
    consumer.names = {"default"}
    gate.open_to({})
    assert (set(queues.consume_from), consumer.names) == ({"default", "ml"}, {"default", "ml"})
    gate.open_to({"default": ["other"]})
    assert (set(queues.consume_from), consumer.names, set(gate.closed)) == ({"ml"}, {"ml"}, {"default"})


def test_what_is_wrong_in_one_process_is_what_the_worker_says(model, loader, eager):
    good, bad = Held(model), Held(model)
    good.step()
    loader.errors = 1
    bad.step()
    row = together(model, None, [good.describe(), bad.describe()])
    assert (row["state"], row["states"], row["processes"]) == ("failed", {"ready": 1, "failed": 1}, 2)
    assert (row["size"], row["versions"]) == (42, ["1"])
    assert row["error"] == "OSError: no such file"


# Checks


def messages(check, *words):
    return [message for message in check() if all(word in message.msg for word in words)]


def test_an_unknown_resource_of_a_task_is_an_error(model, task):
    def lost(self: Any) -> None:
        """Nothing."""

    lost = task(lost, bind=True, resources="test_modle")
    (message,) = messages(checks.resources_of_tasks, "test.lost")
    assert (message.id, message.hint) == ("jobroom.E002", "Did you mean test_model?")


def test_a_resource_that_hides_behind_an_attribute_is_an_error(task):
    resource("request", queues=["default"])(lambda: 1)

    def hidden(self: Any) -> None:
        """Nothing."""

    task(hidden, bind=True, resources=("request",))
    (message,) = messages(checks.resources_of_tasks, "test.hidden")
    assert message.id == "jobroom.E003"


def test_a_task_on_another_queue_than_its_resource_is_named(model, task):
    def elsewhere(self: Any) -> None:
        """Nothing."""

    task(elsewhere, bind=True, resources=("test_model",))
    (message,) = messages(checks.resources_of_tasks, "test.elsewhere")
    assert (message.id, "queue default" in message.msg) == ("jobroom.W002", True)


def test_a_resource_whose_queues_no_one_serves_is_named(model, settings):
    assert messages(checks.unserved_resources, "test_model") == []
    settings.JOBROOM = settings.JOBROOM | {"QUEUES": ["default"]}
    (message,) = messages(checks.unserved_resources, "test_model")
    assert (message.id, "No worker serves ml" in message.msg) == ("jobroom.W003", True)
