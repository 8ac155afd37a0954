"""Workflows finish whatever dies or freezes: workers, pool processes, recorder, beat, web server, Redis; and messages that
come twice.

`CHAOS_SEEDS=20 CHAOS_NODES=1000 CHAOS_FREEZE=5,120` makes it the full trial; by default it is a small one, without a web
server. `CHAOS_FROM` is the first seed, and `CHAOS_NODE_SECONDS` how long a node takes: where it takes no time, a workflow of a thousand
nodes has ended after the first few deaths. Frozen processes are those that a debugger, a suspended machine or a full disk holds
for a while: they go on later and do not know that they were away. In seeds with an odd number workers take messages by kombu's own
commands. Of one layer of the graph, and of a fan-out, only a few nodes may run at a time.

On RabbitMQ it is `tests/integration/test_workflow_chaos_on_rabbitmq.py`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection

from jobroom import redis
from jobroom.jobs.models import Job
from jobroom.runner.redis_server import PrivateServer
from jobroom.testing import wait_until
from jobroom.testing.brokers import broker
from jobroom.testing.processes import Beat, Process, Recorder, Worker
from jobroom.workflows import services
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.exceptions import NotNow
from jobroom.workflows.models import FINISHED, State, StoredWorkflow
from jobroom.workflows.workflows import Workflow
from tests.acceptance import workflow_tasks as tasks

FIRST = int(os.environ.get("CHAOS_FROM", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("CHAOS_SEEDS", "1")))
NODES = int(os.environ.get("CHAOS_NODES", "120"))
APP = "tests.acceptance.workflow_tasks"
# Least and most seconds for which something is frozen.
FREEZE = tuple(float(text) for text in os.environ.get("CHAOS_FREEZE", "0.5,2.5").split(","))
LONG = FREEZE[1] > 5
# One node in so many may not run twice.
ONCE = 10
# Of a layer, and of a fan-out, so many run at a time.
AT_ONCE = 4


class Size:
    """How large a trial is, by the number of its nodes."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        # So many messages are delivered twice; so many items has the fan-out.
        self.copies = self.items = nodes // 20
        # Most deaths. The sweeper repairs a lost message after it has looked twice, for which it has to live a while.
        self.deaths = min(25, nodes // 3) + nodes // 50
        # How often something is frozen.
        self.freezes = min(3, nodes // 30) + nodes // 100
        self.seconds = 120 + nodes * 0.6 + self.freezes * FREEZE[1] * 2


pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.serial,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(int(Size(NODES).seconds) + 120),
]


class Room:
    """Redis, worker, recorder and beat, each of which may be killed and is started again."""

    def __init__(self, server: PrivateServer, seed: int, size: Size, env: dict[str, str]) -> None:
        self.server = server
        self.size = size
        self.chance = random.Random(seed)
        self.env = {"REDIS_URL": server.url, **env}
        if seed % 2:
            self.env["DJANGO_SETTINGS_MODULE"] = "tests.acceptance.kombu_settings"
        self.redis: subprocess.Popen[bytes] | None = None
        self.worker: Worker | None = None
        self.others: dict[str, Any] = {}
        self.over = threading.Event()
        self.killed: list[str] = []
        self.frozen: list[str] = []
        self.copied = 0

    def start(self) -> None:
        """Start everything."""
        self._start_redis()
        self.worker = Worker(app=APP, env=self.env).start()
        for name, kind in (("recorder", Recorder), ("beat", Beat)):
            self.others[name] = kind(env=self.env).start()
        if LONG:
            argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", "0", "--lifespan", "off"]
            self.others["web"] = Process("web", argv, self.env).start()

    def _start_redis(self) -> None:
        self.redis = subprocess.Popen(
            self.server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.server.wait(self.redis)

    def restart_redis(self) -> None:
        """Stop Redis in order and start it again with its data."""
        assert self.redis is not None
        self.redis.terminate()
        self.redis.wait()
        self._start_redis()
        self.killed.append("redis")

    def kill_worker(self) -> None:
        """`kill -9` the worker with its pool, and start another."""
        assert self.worker is not None
        self.worker.kill()
        self.killed.append("worker")
        self.worker = Worker(app=APP, env=self.env).start()

    def kill_child(self) -> None:
        """`kill -9` one process of the pool."""
        assert self.worker is not None
        with suppress(OSError, IndexError):
            path = Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children")
            children = path.read_text().split()
            os.kill(int(self.chance.choice(children)), signal.SIGKILL)
            self.killed.append("child")

    def kill_recorder(self) -> None:
        """`kill -9` the recorder, and with it the sweeper."""
        self._kill_other("recorder")

    def kill_beat(self) -> None:
        """`kill -9` beat."""
        self._kill_other("beat")

    def _kill_other(self, name: str) -> None:
        self.others[name].kill()
        self.others[name] = type(self.others[name])(env=self.env).start()
        self.killed.append(name)

    def freeze(self) -> None:
        """Stop something with all its processes for a while, without its knowing (SIGSTOP), and let it go on."""
        assert self.worker is not None
        assert self.redis is not None
        pids = {"worker": self.worker.pid, "redis": self.redis.pid} | {n: p.pid for n, p in self.others.items()}
        name = self.chance.choice([*sorted(pids), "worker", "worker"])
        with suppress(ProcessLookupError):
            os.killpg(pids[name], signal.SIGSTOP)
            try:
                self.over.wait(self.chance.uniform(*FREEZE))
            finally:
                os.killpg(pids[name], signal.SIGCONT)
        self.frozen.append(name)

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Let the worker stand still, so that messages wait: a quick one leaves none to be delivered twice."""
        assert self.worker is not None
        os.killpg(self.worker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.worker.pid, signal.SIGCONT)

    def delivered_twice(self) -> bool:
        """Put second copies into the queue; return whether any is there."""
        self.deliver_twice()
        return self.copied > 0

    def deliver_twice(self) -> None:
        """Put second copies of some waiting messages into the queue, until one in twenty has been delivered twice."""
        if "CELERY_BROKER_URL" in self.env:
            self._publish_twice()
            return
        with suppress(redis.Error):
            client = redis.client()
            texts: Any = client.lrange("default", 0, 200)
            messages = [message for message in map(json.loads, texts) if message["headers"].get("workflow")]
            for message in self.chance.sample(
                messages, min(len(messages), 1 + self.size.copies // 3, self.size.copies - self.copied)
            ):
                self.copied += 1
                message["properties"]["delivery_tag"] += f"/copy{self.copied}"
                client.lpush("default", json.dumps(message))

    def _publish_twice(self) -> None:
        """Do the same at a broker that speaks AMQP: take a message out and send it two times."""
        with current_app.connection_for_write() as link:
            channel: Any = link.default_channel
            message = channel.basic_get("default")
            if message is None:
                return
            for _ in range(2):
                channel.basic_publish(message, exchange="", routing_key="default")
            channel.basic_ack(message.delivery_tag)
            self.copied += 1

    def wait(self, seconds: float) -> None:
        """Let it work for so long, and watch for messages to deliver twice: on a busy machine they are there for moments."""
        end = time.monotonic() + seconds
        while not self.over.is_set() and time.monotonic() < end:
            if self.copied < self.size.copies:
                self.deliver_twice()
            self.over.wait(0.05)

    def rage(self) -> None:
        """Kill at random until asked to stop or it is enough; Redis is restarted twice."""
        restarts = 2
        while not self.over.is_set() and len(self.killed) < self.size.deaths:
            self.wait(self.chance.uniform(0.3, 2.0))
            if len(self.frozen) < self.size.freezes and self.chance.random() < 0.3:
                self.freeze()
            deaths = [self.kill_worker, self.kill_child, self.kill_recorder, self.kill_beat]
            weights = [5, 5, 3, 1]
            if restarts and self.chance.random() < 0.2:
                restarts -= 1
                self.restart_redis()
            else:
                self.chance.choices(deaths, weights)[0]()
        for _ in range(restarts):
            self.restart_redis()

    def stop(self) -> None:
        """Stop everything."""
        self.over.set()
        for process in (*self.others.values(), self.worker):
            if process is not None:
                process.stop(seconds=5)
        if self.redis is not None:
            self.redis.terminate()
            self.redis.wait()


def written(seed: int, size: Size) -> Workflow:
    """Return a random layered graph; each node says that it ran, and some may not do so twice.

    One layer has places for a few of its nodes, and so has a fan-out beside the graph.
    """
    chance, width = random.Random(seed), 25
    workflow = Workflow(name=f"chaos {seed}")
    nodes: list[Any] = []
    for number in range(size.nodes):
        layer = number // width
        before = nodes[width * (layer - 1) : width * layer] if layer else []
        parents = chance.sample(before, min(len(before), chance.randint(1, 3)))
        task = tasks.once if number % ONCE == ONCE - 1 else tasks.count
        nodes.append(workflow.add_signature(task.si(f"n{number}"), parents, key=f"n{number}"))
    workflow.limit(nodes[width : 2 * width], AT_ONCE)
    numbers = workflow.add_signature(tasks.numbers.si(size.items), key="numbers")
    workflow.add_fan_out(tasks.count.s(), numbers, key="limited", limit=AT_ONCE)
    return workflow


@pytest.mark.parametrize("seed", SEEDS)
def test_every_node_has_its_effect_and_none_twice_that_may_not(seed, tmp_path, settings):
    endure(seed, Size(NODES), tmp_path, settings)


def endure(seed: int, size: Size, folder: Path, settings: Any, broker_url: str = "") -> None:
    """Run a workflow while everything dies; its messages go by its own Redis, or by another broker."""
    server = PrivateServer(folder / "redis")
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": server.url}
    room = Room(server, seed, size, {"CELERY_BROKER_URL": broker_url} if broker_url else {})
    try:
        room.start()
        with broker(broker_url or server.url):
            workflow = written(seed, size)
            with room.standing():
                workflow.apply_async()
                wait_until(room.delivered_twice, 30, "a message is there to be delivered twice")
            raging = threading.Thread(target=_raging, args=(room,))
            raging.start()
            began = time.monotonic()
            _finish(workflow.id, room, size.seconds * 0.7)
            room.over.set()
            raging.join()
            ended = _finish(workflow.id, room, size.seconds)
            ran = {key: int(n) for key, n in redis.client().hgetall("flow:ran").items()}
            try:
                wait_until(lambda: not _not_succeeded(workflow.id), 90, "every state is in the database")
            except AssertionError as error:
                raise AssertionError(
                    f"{error}: {_not_succeeded(workflow.id)} after {room.killed}, {room.frozen}"
                ) from error
        sys.stderr.write(
            f"seed {seed}: {time.monotonic() - began:.1f} s, {len(room.killed)} deaths, {len(room.frozen)} freezes, {room.copied} copies\n"
        )
    finally:
        room.stop()
    wanted = [*(f"n{number}" for number in range(size.nodes)), *map(str, range(size.items))]
    missing = [key for key in wanted if not ran.get(key)]
    doubled = [key for key, n in ran.items() if n > 1 and key[0] == "n" and int(key[1:]) % ONCE == ONCE - 1]
    assert (ended.state, missing, doubled) == (State.SUCCESS, [], [])
    assert len(StoredWorkflow.objects.get(pk=workflow.id).node_states) == size.nodes + 2
    assert room.copied == size.copies
    assert Job.objects.filter(workflow_id=workflow.id).count() == size.nodes + 1 + size.items


def _not_succeeded(workflow_id: Any) -> dict[int, tuple[str, str | None]]:
    """Return the nodes that have not succeeded in the database, with their states and those of their jobs: a recorder that
    is killed leaves the last ones to the next.
    """
    node_states = StoredWorkflow.objects.values_list("node_states", flat=True).get(pk=workflow_id)
    nodes = {index: state for index, state in enumerate(node_states) if state != NodeState.SUCCEEDED}
    jobs = dict(Job.objects.filter(workflow_id=workflow_id, node__in=map(str, nodes)).values_list("node", "state"))
    return {index: (state, jobs.get(str(index))) for index, state in nodes.items()}


def _raging(room: Room) -> None:
    try:
        room.rage()
    finally:
        connection.close()


def _finish(workflow_id: Any, room: Room, seconds: float) -> StoredWorkflow:
    """Wait for the end. A node that may not run twice and whose worker was killed is what an operator decides about:
    it is done if its effect is there, else it is run again."""
    end = time.monotonic() + seconds
    while True:
        stored: Any = wait_until(
            lambda: StoredWorkflow.objects.filter(pk=workflow_id, state__in=FINISHED).first(),
            max(1.0, end - time.monotonic()),
            f"the workflow ends: {StoredWorkflow.objects.get(pk=workflow_id).counts} after {room.killed}",
        )
        if stored.state == State.SUCCESS:
            return StoredWorkflow.objects.get(pk=workflow_id)
        jobs = Job.objects.filter(workflow_id=workflow_id)
        with suppress(redis.Error, NotNow):  # the history is behind: the operator looks again
            if jobs.filter(state="running").exists():
                raise NotNow("One may be lost that no one has seen yet.")
            ran = redis.client().hgetall("flow:ran")
            lost = jobs.filter(state__in=["lost", "failed"]).values_list("node", flat=True)
            done = {f"n{node}": f"n{node}" for node in lost if f"n{node}" in ran}
            services.resume(stored, by=None, done=done)
            continue
        time.sleep(0.5)
