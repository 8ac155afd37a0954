"""How a workflow is written in Python: the interface of celery-dyrygent, and what it lacks."""

import fnmatch
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from celery import current_app
from celery.canvas import Signature, maybe_signature
from celery.result import AsyncResult
from celery.utils import uuid

from workflows.canvas import NOTHING, Given, Part, Reader
from workflows.conf import settings
from workflows.exceptions import InvalidGraph, UnknownNodeTask, WorkflowException
from workflows.graph import ITEM, Graph, Kind, Node, Ref, When, to_json
from workflows.hooks import Hooks
from workflows.nodes import KEPT, WorkflowNode, plain, set_options
from workflows.placing import Placed

VERSION = 2


class WorkflowState:
    """The states of a workflow."""

    INITIAL = "INITIAL"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


class Workflow(Hooks):
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
        self._keys: dict[str, int] = {}
        self._queues: dict[str, str] = {}
        self._value: Any = NOTHING

    def __repr__(self) -> str:
        return f"<workflow {self.name or self.id or 'without a name'}>"

    # Writing

    def add_celery_canvas(
        self, canvas: Any, dependencies: Sequence[WorkflowNode] | None = None, *, args: Sequence[Any] = ()
    ) -> list[WorkflowNode]:
        """Add any canvas of Celery; return the nodes that what comes after it has to wait for.

        `args` are partial arguments, as those of its `apply_async`.
        """
        ends = [node.node for node in dependencies or ()]
        part = Reader(self._add, current_app).read(canvas, Part(ends), Given(tuple(args)))
        self._value = part.value
        return [self.nodes[node.id] for node in part.ends]

    add_celery_signature = add_celery_chain = add_celery_group = add_celery_chord = add_celery_canvas

    def add_signature(
        self, signature: Any, dependencies: Sequence[WorkflowNode] | None = None, *, key: str = "", **options: Any
    ) -> WorkflowNode:
        """Add one signature that waits for `dependencies`; their results are passed only where `node.result` says so.

        `key` names the node, on the page and in errors; `options` as in `WorkflowNode.set`.
        """
        signature = maybe_signature(signature, app=current_app)
        before = [node.node for node in dependencies or ()]
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
        **options: Any,
    ) -> WorkflowNode:
        """Run the signature once for each item of a list that a node returns; the node's result is the list of results.

        The item is the first argument, or stands where the signature's arguments contain `workflows.workflows.ITEM_HERE`.
        """
        signature = maybe_signature(signature, app=current_app)
        ref = over.result if isinstance(over, WorkflowNode) else over
        args = list(signature.args)
        if ITEM not in json.dumps([args, dict(signature.kwargs)], default=to_json):
            args = [dict(ITEM_HERE), *args]
        node = self._add(signature, args, [n.node for n in dependencies], Given(), key=key)
        node.kind, node.over = Kind.FAN_OUT, ref
        self._link(node, signature)
        self._wait_for_references(node)
        set_options(node, options)
        return self.nodes[node.id]

    def add_approval(
        self,
        key: str,
        dependencies: Sequence[WorkflowNode] = (),
        *,
        question: str = "",
        groups: Sequence[str] = (),
        timeout: float | None = None,
        on_timeout: str = "deny",
        **options: Any,
    ) -> WorkflowNode:
        """Add a node that waits for a person: staff, or members of `groups`.

        After `timeout` seconds it is decided by itself: `on_timeout` is approve or deny. A denial is a failure of the
        node. Its result is {"approved", "by", "comment"}.
        """
        if on_timeout not in {"approve", "deny"}:
            raise WorkflowException(f"`on_timeout` is approve or deny, not {on_timeout!r}.")
        node = self._new(key or "approval", uuid(), Kind.APPROVAL)
        node.label = question or key
        node.options = {"question": question, "groups": list(groups), "on_timeout": on_timeout}
        if timeout is not None:
            node.options["timeout"] = float(timeout)
        node.parents = [(n.node.index, When.SUCCESS) for n in dependencies]
        self.nodes[node.id] = WorkflowNode(self, node)
        set_options(node, options)
        return self.nodes[node.id]

    def add_workflow(self, other: "Workflow", dependencies: Sequence[WorkflowNode] = (), *, key: str = "") -> Placed:
        """Put another workflow into this one, in a box of its own; its first nodes wait for `dependencies`.

        Returns its first nodes (`.starts`), what follows it has to wait for (`.ends`) and its result (`.result`).
        """
        return Placed(self, other, [n.node for n in dependencies], key or other.name or "workflow")

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
        self.graph.result = json.loads(json.dumps(value, default=to_json))
        self._value = NOTHING

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
        chord_body: bool = False,
    ) -> Node:
        """Make the node of one signature."""
        job_id = signature.options.get("task_id") or uuid()
        signature.options["task_id"] = job_id
        if job_id in self.nodes:
            raise WorkflowException(f"The signature {signature!r} is in this workflow already. Use a clone of it.")
        node = self._new(key or str(signature.task).rpartition(".")[2], job_id)
        node.task, node.args, node.kwargs = str(signature.task), args, dict(signature.kwargs)
        node.parents = [(parent.index, When.SUCCESS) for parent in before]
        node.group = list(given.boxes)
        node.options = {
            name: plain(value) for name, value in signature.options.items() if name in KEPT and value is not None
        }
        node.embed = {
            name: [dict(item) for item in found]
            for name, found in (("callbacks", given.links), ("errbacks", given.errbacks))
            if found
        }
        if chord_body:
            node.options["chord_body"] = True
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

    def set_max_processing_time(self, seconds: float) -> None:
        """Give the workflow up after so many seconds."""
        self.max_processing_time = seconds

    def set_retry_policy(self, retry_type: str, *retry_args: Any) -> None:
        """Take the policy of celery-dyrygent's ticks; nothing ticks here, so it has no effect."""
        if retry_type != "random":
            raise WorkflowException(f"The only retry policy is 'random', not {retry_type!r}.")
        self.retry_policy = [retry_type, *retry_args]

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
            self._check_node(node)
        if self._value is not NOTHING and self.graph.result is None:
            self.graph.result = self._value
        if self.graph.nodes or self.graph.result is None:  # an empty group is done at once
            self.graph.check()
        self.checked = True

    def _check_node(self, node: Node) -> None:
        if node.kind == Kind.APPROVAL:
            return
        if node.task not in current_app.tasks and not any(fnmatch.fnmatch(node.task, name) for name in self.external):
            raise UnknownNodeTask(_unknown(node))
        options = node.options
        options.setdefault("queue", self._queue(node.task))
        options["queue"] = str(getattr(options["queue"], "name", options["queue"]))
        for name in ("queue", "priority", "time_limit", "soft_time_limit", "ignore_result"):
            if name in self.tasks_options:
                options[name] = self.tasks_options[name]

    def _queue(self, task: str) -> str:
        """Return the queue of a task when nobody chooses."""
        if task not in self._queues:
            route = current_app.amqp.router.route({}, task)
            queue = route.get("queue") or getattr(current_app.tasks.get(task), "queue", None)
            self._queues[task] = str(getattr(queue, "name", queue) or current_app.conf.task_default_queue)
        return self._queues[task]

    def freeze(self) -> "Workflow":
        """Check the workflow and give it its id; return it."""
        self.check()
        self.id = self.id or uuid()
        return self

    def apply_async(self, options: Mapping[str, Any] | None = None, **launch: Any) -> AsyncResult[Any]:
        """Write the workflow into the book and begin it when the transaction commits; return its result.

        `options` are those of every node, as in celery-dyrygent, and go before those of the signatures. `launch`:
        `owner` (a user), `source`, `payload`, `note`, `definition`, `rerun_of`.
        """
        from workflows import services

        if options:
            self.tasks_options, self.checked = dict(options), False
        self.freeze()
        services.start(self, **launch)
        self.state = WorkflowState.RUNNING
        self.emit("on_state_change", self.state)
        return AsyncResult(str(self.id), app=current_app)

    # Looking at it, as celery-dyrygent does in its tests

    def iterate_dependencies(self) -> Iterator[tuple[WorkflowNode, WorkflowNode | None]]:
        """Yield each node with each of those it waits for, in the order of their ids; with None if there is none."""
        for _, node in sorted(self.nodes.items()):
            for parent in sorted(node.dependencies):
                yield node, self.nodes[parent]
            if not node.dependencies:
                yield node, None

    def get_signatures_to_run(self) -> list[WorkflowNode]:
        """Return the nodes that could run now, as far as `simulate_tick` and `skip_tasks` have come."""
        good = {node_id for node_id, well in self.finished.items() if well}
        waiting = [n for i, n in self.nodes.items() if i not in self.running and i not in self.finished]
        return [node for node in waiting if node.dependencies.keys() <= good]

    def simulate_tick(self) -> bool:
        """Count what ran as done and let run what is ready; return whether anything runs."""
        self.finished |= dict.fromkeys(self.running, True)
        self.running = {node.id: True for node in self.get_signatures_to_run()}
        return bool(self.running)

    def skip_tasks(self, task_ids: Sequence[str]) -> None:
        """Count nodes as done, without a result; all that they wait for must be among them."""
        for node_id in task_ids:
            if missing := self.nodes[node_id].dependencies.keys() - set(task_ids):
                names = ", ".join(sorted(self.nodes[i].node.key for i in missing))
                raise WorkflowException(f"“{self.nodes[node_id].node.key}” cannot be skipped without {names}.")
        self.finished |= dict.fromkeys(task_ids, True)

    def to_dict(self) -> dict[str, Any]:
        """Return the workflow as JSON; `from_dict` makes it again."""
        return {
            "version": VERSION,
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "graph": json.loads(self.graph.dumps()),
            "finished": dict(self.finished),
            "running": dict(self.running),
            "custom_payload": self.custom_payload,
            "workflow_options": self.workflow_options,
            "tasks_options": self.tasks_options,
            "retry_policy": self.retry_policy,
            "external": list(self.external),
            "max_processing_time": self.max_processing_time,
        }

    @classmethod
    def from_dict(cls, workflow_dict: Mapping[str, Any]) -> "Workflow":
        """Return the workflow of `to_dict`; keys that are missing or unknown do no harm."""
        found = cls(workflow_dict.get("workflow_options"), name=workflow_dict.get("name", ""))
        found.graph = Graph.load(workflow_dict["graph"])
        found.nodes = {node.id: WorkflowNode(found, node) for node in found.graph.nodes}
        for node in found.graph.nodes:
            found._keys[node.key] = found._keys.get(node.key, 0) + 1
        for name in ("id", "state", "finished", "running", "custom_payload", "tasks_options", "retry_policy"):
            if name in workflow_dict:
                setattr(found, name, workflow_dict[name])
        found.external = tuple(workflow_dict.get("external", ()))
        found.max_processing_time = workflow_dict.get("max_processing_time", found.max_processing_time)
        return found

    @classmethod
    def set_workflow_processor_task(cls, task: Any) -> None:
        """Remember the processor, see `workflows.tasks.register_workflow_processor`."""
        cls.workflow_processor_task = task


def _unknown(node: Node) -> str:
    from difflib import get_close_matches

    where = f"“{' / '.join([*node.group, node.key])}”"
    similar = get_close_matches(node.task, list(current_app.tasks), n=3)
    hint = f" Did you mean {', '.join(similar)}?" if similar else ""
    return (
        f"Node {where}: there is no task called “{node.task}” here.{hint} If it lives in workers with other code, name "
        "it in `external`."
    )


# Where the item of a fan-out goes among the arguments of its signature.
ITEM_HERE = {ITEM: True}
