"""The class `Workflow`: how a workflow is written in Python, compatible with celery-dyrygent, with more options."""

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar

from celery import current_app
from celery.canvas import Signature, maybe_signature
from celery.result import AsyncResult
from celery.utils import uuid

from jobroom.celery.routes import queue_of
from jobroom.workflows import dictionaries
from jobroom.workflows.canvas import NOTHING, Given, Part, Reader
from jobroom.workflows.conf import settings
from jobroom.workflows.dyrygent_compatibility import NOT_READY, STATS, Ticks, WorkflowState
from jobroom.workflows.exceptions import InvalidGraph, UnknownNodeTask, WorkflowException
from jobroom.workflows.external_nodes import Waiting
from jobroom.workflows.graph import ITEM, Graph, Kind, Node, Ref, When, to_json
from jobroom.workflows.hooks import Hooks
from jobroom.workflows.nodes import WorkflowNode, for_all, kept, own, own_references, places, set_options
from jobroom.workflows.signals import workflow_sent
from jobroom.workflows.subworkflow import Placed

# The task that begins a frozen workflow, see `jobroom.workflows.tasks`.
BEGIN = "jobroom.workflows.begin"

__all__ = ["ITEM_HERE", "Workflow", "WorkflowNode", "WorkflowState"]


class Workflow(Waiting, Ticks, Hooks):
    """A graph of tasks that is being written, and then sent.

    `options`: of the workflow itself; those of celery-dyrygent's processor task are taken and mean nothing here, where no
    message carries the workflow. `name`: what lists call it. `external`: patterns of the names of tasks that this
    process does not know, because they live in workers with other code. `handled_failures`: "success" if the failure
    of a node that has a failure edge does not count as failure of the workflow.
    """

    workflow_processor_task: ClassVar[Any] = None

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        external: Sequence[str] = (),
        handled_failures: str = "failure",
    ) -> None:
        self.workflow_options = dict(options or {})
        self.tasks_options: dict[str, Any] = {}
        self.name = name
        self.external = tuple(external)
        self.graph = Graph(lenient=handled_failures == "success")
        self.nodes: dict[str, WorkflowNode] = {}
        self.custom_payload: dict[str, Any] = {}
        self.state = WorkflowState.INITIAL
        self.id: Any = None
        self.max_processing_time: float = settings.MAX_PROCESSING_TIME
        self.retry_policy: list[Any] = ["random", 10, 30]
        self.finished: dict[str, bool] = {}
        self.running: dict[str, Any] = {}
        self.checked = False
        self.processing_limit_ts: int | None = None
        self.stats = dict(STATS)
        self._active_tick = False
        self._keys: dict[str, int] = {}
        self._queues: dict[str, str] = {}
        self._value: Any = NOTHING  # what the last canvas returns
        self._returns = False  # whether `returns` says something else

    def __repr__(self) -> str:
        return f"<workflow {self.name or self.id or 'without a name'}>"

    # Writing

    def add_celery_canvas(
        self, canvas: Any, dependencies: Sequence[WorkflowNode] | None = None, *, args: Sequence[Any] = ()
    ) -> list[WorkflowNode]:
        """Add any canvas of Celery; return the nodes that what comes after it has to wait for.

        `args` are partial arguments, as those of its `apply_async`.
        """
        ends = own(self, *(dependencies or ()))
        part = Reader(self._add, current_app).read(canvas, Part(ends), Given(tuple(args)))
        self._value = part.value
        return [self.nodes[node.id] for node in part.ends]

    def follow(self, canvas: Any, ends: Sequence[WorkflowNode]) -> None:
        """Add what a chain has behind this workflow: it waits for `ends` and is given what the workflow returns."""
        self.check()
        given = self.graph.result
        before = Part(own(self, *ends), given)
        self._value = Reader(self._add, current_app).read(canvas, before, Given()).value
        self._returns = self.checked = False

    add_celery_signature = add_celery_chain = add_celery_group = add_celery_chord = add_celery_canvas

    def add_signature(
        self, signature: Any, dependencies: Sequence[WorkflowNode] | None = None, *, key: str = "", **options: Any
    ) -> WorkflowNode:
        """Add one signature that waits for `dependencies`; their results are passed only where `node.result` says so.

        `key` names the node, on the page and in errors; `options` as in `WorkflowNode.set`.
        """
        signature = maybe_signature(signature, app=current_app)
        before = own(self, *(dependencies or ()))
        node = self._add(signature, list(signature.args), before, Given(), key=key)
        self._link(node, signature)
        self._value = NOTHING
        self._wait_for_references(node)
        set_options(node, options)
        return self.nodes[node.id]

    def add_fan_out(
        self,
        signature: Any,
        over: Ref | WorkflowNode,
        dependencies: Sequence[WorkflowNode] = (),
        *,
        key: str = "",
        limit: int | None = None,
        **options: Any,
    ) -> WorkflowNode:
        """Run the signature once for each item of a list that a node returns; the node's result is the list of results.

        Of its jobs at most `limit` are sent or running at a time.

        The item is the first argument, or stands where the signature's arguments contain `jobroom.workflows.workflows.ITEM_HERE`.
        """
        signature = maybe_signature(signature, app=current_app)
        ref = over.result if isinstance(over, WorkflowNode) else over
        args = list(signature.args)
        if ITEM not in json.dumps([args, dict(signature.kwargs)], default=to_json):
            args = [dict(ITEM_HERE), *args]
        own_references(self, ref, f"“{key or signature.task}”")
        node = self._add(signature, args, own(self, *dependencies), Given(), key=key)
        node.kind, node.over = Kind.FAN_OUT, ref
        if limit is not None:
            node.options["limit"] = places(limit)
        self._link(node, signature)
        self._wait_for_references(node)
        set_options(node, options)
        return self.nodes[node.id]

    def add_workflow(self, other: "Workflow", dependencies: Sequence[WorkflowNode] = (), *, key: str = "") -> Placed:
        """Put another workflow into this one, in a box of its own; its first nodes wait for `dependencies`.

        Returns its first nodes (`.starts`), what follows it has to wait for (`.ends`) and its result (`.result`).
        """
        return Placed(self, other, own(self, *dependencies), key or other.name or "workflow")

    def on_failure(self, signature: Any) -> WorkflowNode:
        """Run the signature once if something failed, when nothing more can run."""
        node = self._handler(signature, "on_failure")
        self.graph.on_failure = node.node.index
        return node

    def finalizer(self, signature: Any) -> WorkflowNode:
        """Run the signature once at the very end, however the workflow ends."""
        node = self._handler(signature, "finalizer")
        self.graph.finalizer = node.node.index
        return node

    def returns(self, value: Any) -> None:
        """Say what the workflow returns: JSON with references in it."""
        own_references(self, value, "The result of the workflow")
        self.graph.result = json.loads(json.dumps(value, default=to_json))
        self._value, self._returns, self.checked = NOTHING, True, False

    def add_node(self, node: WorkflowNode) -> WorkflowNode:
        """Add a node that was made of a signature, with all that it waits for; those must be here already."""
        if node.workflow is not None:
            own(self, node)
            raise WorkflowException(f"“{node.node.key}” is in this workflow already.")
        missing = node.dependencies.keys() - self.nodes.keys()
        if missing:
            raise WorkflowException(
                f"“{node.node.key}” waits for nodes that are not here: {', '.join(sorted(missing))}."
            )
        made = self.add_signature(node.signature, key=node.node.key)
        made.node.payload = node.node.payload
        for node_id, options in node.dependencies.items():
            made.add_dependency(self.nodes[node_id], options)
        return made

    def _handler(self, signature: Any, key: str) -> WorkflowNode:
        signature = maybe_signature(signature, app=current_app)
        node = self._add(signature, list(signature.args), [], Given(), key=key)
        self._link(node, signature)
        return self.nodes[node.id]

    def _link(self, node: Node, signature: Signature[Any]) -> None:
        for name, option in (("callbacks", "link"), ("errbacks", "link_error")):
            found = signature.options.get(option) or []
            if found:
                node.embed[name] = [dict(item) for item in (found if isinstance(found, list | tuple) else [found])]

    def _add(
        self,
        signature: Signature[Any],
        args: list[Any],
        before: Iterable[Node],
        given: Given,
        *,
        key: str = "",
    ) -> Node:
        """Make the node of one signature."""
        own_references(self, (args, signature.kwargs), f"“{key or signature.task}”")
        job_id = signature.options.setdefault("task_id", uuid()) or uuid()
        if job_id in self.nodes:  # the same signature stands here again: it runs again, as a job of its own
            job_id = uuid()
        node = self._new(key or str(signature.task).rpartition(".")[2], job_id)
        node.task, node.args, node.kwargs = str(signature.task), args, dict(signature.kwargs)
        node.parents = [(parent.index, When.SUCCESS) for parent in before]
        node.group = list(given.boxes)
        node.options = kept(node.key, signature.options)
        node.embed = {
            name: [dict(item) for item in found]
            for name, found in (("callbacks", given.links), ("errbacks", given.errbacks))
            if found
        }
        self.nodes[job_id] = WorkflowNode(self, node, signature)
        return node

    def _new(self, key: str, job_id: str, kind: Kind = Kind.TASK) -> Node:
        node = Node(index=len(self.graph.nodes), key=self._unused(key), id=job_id, kind=kind)
        self.graph.nodes.append(node)
        self.checked = False
        return node

    def _unused(self, key: str) -> str:
        """Return the key, with a number where others have it."""
        number, name = self._keys.get(key, 0) + 1, key
        while name in self._keys:
            number = max(number, 2)
            name = f"{key} {number}"
            number += 1
        self._keys[key] = max(self._keys.get(key, 0), number - 1, 1)
        self._keys.setdefault(name, 1)
        return name

    def _wait_for_references(self, node: Node) -> None:
        """Let a node wait for those whose results it is given."""
        direct = {parent for parent, _ in node.parents}
        for ref in node.references():
            if ref.index not in direct:
                node.parents.append((ref.index, When.SUCCESS))
                direct.add(ref.index)

    # Sending

    def check(self) -> None:
        """Raise InvalidGraph if the workflow cannot be run: circles, unknown tasks, impossible references."""
        if self.checked:
            return
        if len(self.graph.nodes) > settings.MAX_NODES:
            raise InvalidGraph(
                f"The workflow has {len(self.graph.nodes)} nodes; at most {settings.MAX_NODES} are allowed "
                "(WORKFLOWS_MAX_NODES)."
            )
        for node in self.graph.nodes:
            self.check_node(node)
        if not self._returns:
            self.graph.result = None if self._value is NOTHING else self._value
        if self.graph.nodes or self.graph.result is None:  # an empty group is done at once
            self.graph.check()
        if current_app.conf.task_inherit_parent_priority:
            self._inherit_priorities()
        self.checked = True

    def _inherit_priorities(self) -> None:
        """Give nodes without a priority that of the most urgent node that they wait for; the first ones that of the job
        that sends the workflow. As Celery does, only where `task_inherit_parent_priority` says so."""
        sender = current_app.current_worker_task
        outside = ((sender.request.delivery_info or {}) if sender else {}).get("priority")
        for index in self.graph.order():
            node = self.graph.nodes[index]
            if node.waits_outside or node.options.get("priority") is not None:
                continue
            before = [self.graph.nodes[parent].options.get("priority") for parent, _ in node.parents] or [outside]
            given = [priority for priority in before if priority is not None]
            if given:
                node.options["priority"] = min(given)  # 0 is soonest

    def check_node(self, node: Node) -> None:
        """Raise UnknownNodeTask if no one knows its task; give the node its queue and the options of all."""
        if node.waits_outside:
            return
        if node.task not in current_app.tasks and not any(fnmatch.fnmatch(node.task, name) for name in self.external):
            raise UnknownNodeTask(_unknown(node))
        options = node.options
        options.setdefault("queue", self._queue(node.task))
        options["queue"] = str(getattr(options["queue"], "name", options["queue"]))
        for name, value in self.tasks_options.items():
            options[name] = {**options.get("headers", {}), **value} if name == "headers" else value

    def _queue(self, task: str) -> str:
        """Return the queue of a task when no one chooses."""
        if task not in self._queues:
            self._queues[task] = queue_of(task)
        return self._queues[task]

    def freeze(self) -> Signature[Any]:
        """Check the workflow and give it its id; return a signature that runs it, as a step of a chain for example.

        What follows the signature in a chain begins when the workflow has succeeded, and is given its result.
        """
        self.frozen()
        kwargs = {"workflow_dict": self.to_dict()}
        return current_app.signature(BEGIN, kwargs=kwargs, immutable=True, task_id=str(self.id))

    def frozen(self) -> "Workflow":
        """Check the workflow and give it its id; return it."""
        self.check()
        self.id = self.id or uuid()
        if self.processing_limit_ts is None:
            self.evaluate_processing_limit()
        return self

    def apply_async(self, options: Mapping[str, Any] | None = None, **launch: Any) -> AsyncResult[Any]:
        """Write the workflow into the database and begin it when the transaction commits; return its result.

        `options` are those of every node, as in celery-dyrygent, and go before those of the signatures. `launch`:
        `owner` (a user), `source`, `payload`, `note`, `definition`, `rerun_of`.
        """
        if self.state != WorkflowState.INITIAL:
            raise WorkflowException(
                f"{self!r} was sent already (it is {self.state}). Make a new one, or run it again with "
                "`jobroom.workflows.services.run_again`."
            )
        if options:
            self.tasks_options, self.checked = for_all(options), False
        self.frozen()
        if not workflow_sent.send(sender=Workflow, workflow=self, launch=launch):
            raise WorkflowException(NOT_READY)
        return AsyncResult(str(self.id), app=current_app)

    def to_dict(self) -> dict[str, Any]:
        """Return the workflow as JSON; `from_dict` makes it again."""
        return dictionaries.written(self)

    @classmethod
    def from_dict(cls, workflow_dict: Mapping[str, Any]) -> "Workflow":
        """Return the workflow of `to_dict`, also of one that celery-dyrygent wrote; unknown keys do no harm."""
        return dictionaries.read(cls, workflow_dict)

    @classmethod
    def set_workflow_processor_task(cls, task: Any) -> None:
        """Remember the processor, see `jobroom.workflows.tasks.register_workflow_processor`."""
        cls.workflow_processor_task = task


def _unknown(node: Node) -> str:
    where = f"“{' / '.join([*node.group, node.key])}”"
    similar = get_close_matches(node.task, list(current_app.tasks), n=3)
    hint = f" Did you mean {', '.join(similar)}?" if similar else ""
    return (
        f"Node {where}: there is no task called “{node.task}” here.{hint} If it lives in workers with other code, name "
        "it in `external`."
    )


# Where the item of a fan-out goes among the arguments of its signature.
ITEM_HERE = {ITEM: True}
