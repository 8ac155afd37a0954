"""Does by hand what brokers, workers and the recorder do, so that a test decides what happens when."""

import base64
import dataclasses
import json
import uuid
from typing import Any

from django.test import TestCase

from jobroom import events, redis
from jobroom.jobs.recorder import Recorder
from jobroom.workflows.engine import keys
from jobroom.workflows.engine.writer import NodeWriter
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.workflows import Workflow

QUEUE = "hand"


class Request:
    """What a task knows of the message that it runs for."""

    def __init__(self, headers: dict[str, Any]) -> None:
        self.headers = headers
        self.workflow, self.node, self.wants = headers["workflow"], headers["node"], headers.get("wants")
        self.dispatch = headers.get("dispatch")
        self.execution: Any = None


@dataclasses.dataclass
class Execution:
    """One run of a job, as `jobroom.celery.tracker` keeps it."""

    id: str
    returned: Any = None
    stored: tuple[str, str] | None = None


@dataclasses.dataclass
class Task:
    """What the writer asks of a task."""

    acks_late: bool = False


class Run:
    """One delivery of the message of a node."""

    def __init__(self, message: dict[str, Any], *, may_rerun: bool = False) -> None:
        self.headers = message["headers"]
        body = message["body"]
        if message.get("properties", {}).get("body_encoding") == "base64":  # sent by Celery
            body = base64.b64decode(body)
        self.args, self.kwargs, self.embed = json.loads(body)
        self.job, self.node = str(self.headers["id"]), str(self.headers["node"])
        self.request = Request(self.headers)
        self.request.execution = Execution(uuid.uuid4().hex[:16])
        self.writer = NodeWriter(self.request, Task(acks_late=may_rerun))
        self.answer: str | None = None

    @property
    def index(self) -> int:
        """The index of the node, of the fan-out for an item."""
        return int(self.node.partition(".")[0])

    def start(self) -> str | None:
        """Begin; return what the engine answers: nothing, REPEATED, or a request to cancel."""
        task = {"task": self.headers["task"], "worker": "hand@test", "queue": QUEUE, "retries": 0}
        data = {"execution": self.request.execution.id, "may_rerun": self.writer.may_rerun, **task}
        _, self.answer = self.writer("started", self.job, data)
        return self.answer

    @property
    def runs(self) -> bool:
        """Whether the task was really started."""
        return not self.answer

    def end(self, state: str = "succeeded", value: Any = None, **data: Any) -> None:
        """Say how it ended."""
        self.request.execution.returned = value
        error = {"error": "as asked", "error_type": "ValueError"} if state == "failed" else {}
        self.writer(
            "finished",
            self.job,
            {"state": state, "execution": self.request.execution.id if self.runs else None, **error, **data},
        )

    def whole(self, state: str = "succeeded", value: Any = None) -> None:
        """Begin and end."""
        if self.start() is None:
            self.end(state, value)


class Hand:
    """One workflow whose messages are taken from the queue by hand."""

    def __init__(self, workflow: Workflow, **launch: Any) -> None:
        with TestCase.captureOnCommitCallbacks(execute=True):
            workflow.apply_async(**launch)
        self.workflow = workflow
        self.id = str(workflow.id)
        self.recorder = Recorder()

    def take(self, count: int = 1_000_000) -> list[Run]:
        """Take messages from the queue, the oldest first."""
        found: list[Run] = []
        while len(found) < count and (text := redis.client().rpop(QUEUE)):
            found.append(Run(json.loads(str(text))))
        return found

    def take_one(self) -> Run:
        """Take the only message that waits."""
        (found,) = self.take()
        return found

    def record(self) -> None:
        """Let the recorder write down all that was reported."""
        while self.recorder.step():
            pass

    def lose(self, run: Run) -> None:
        """Say of a running job what rescue says when its worker is silent, and let it be recorded."""
        self.report_lost(run)
        self.record()

    def report_lost(self, run: Run) -> None:
        """Say the same; nothing is recorded yet."""
        events.emit(
            "finished", run.job, execution=run.request.execution.id, state="lost", runtime=None, result=None,
            error="Its worker vanished.", error_type="WorkerLost", traceback="", holder="",
        )  # fmt: skip

    def stored(self) -> StoredWorkflow:
        """Return what the database says."""
        self.record()
        return StoredWorkflow.objects.get(pk=self.id)

    def node_states(self) -> dict[str, str]:
        """Return what Redis says of nodes and items."""
        found: Any = redis.client().hgetall(keys.workflow(self.id, "s"))
        return dict(found)

    def state(self) -> str | None:
        """Return the state that Redis knows."""
        found: Any = redis.client().hget(keys.workflow(self.id), "state")
        return str(found) if found else None

    def forget(self) -> None:
        """Empty Redis of the workflow and of its messages, as a loss of its memory does."""
        names: Any = redis.client().keys(keys.workflow(self.id) + "*")
        redis.client().delete(QUEUE, keys.active(), *names)


def signature(name: str = "hand.task", *args: Any, **kwargs: Any) -> Any:
    """Return an immutable signature of a task that only this hand runs."""
    from celery import current_app

    return current_app.signature(name, args=args, kwargs=kwargs, immutable=True, queue=QUEUE)


def new_workflow(**options: Any) -> Workflow:
    """Return an empty workflow that takes such signatures."""
    return Workflow(name="by hand", external=("hand.*",), **options)


REPEATED = events.REPEATED
