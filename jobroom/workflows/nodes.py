"""The class `WorkflowNode`: a node of a workflow that is being written, and its options."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery import current_app

from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import Kind, Node, Ref, When, references, to_json

if TYPE_CHECKING:
    from jobroom.workflows.workflows import Workflow

_WHEN = {"success": When.SUCCESS, "failure": When.FAILURE, "always": When.ALWAYS, "timeout": When.TIMEOUT}
# Options of a signature that its node keeps.
KEPT = frozenset(
    {
        "queue",
        "priority",
        "time_limit",
        "soft_time_limit",
        "expires",
        "shadow",
        "countdown",
        "eta",
        "ignore_result",
        "headers",
    }
)


# Options of Celery's messages that nodes do not have, and what to do instead.
REFUSED = {
    "routing_key": "give `queue`",
    "exchange": "give `queue`",
    "exchange_type": "give `queue`",
    "serializer": "messages of nodes are JSON",
    "compression": "messages of nodes are not compressed",
    "connection": "workflows go to the broker of the settings",
    "producer": "workflows go to the broker of the settings",
    "publisher": "workflows go to the broker of the settings",
    "retry": "give `retry` to `WorkflowNode.set`",
    "retry_policy": "give `retry` to `WorkflowNode.set`",
    "link": "link the signatures, or add a node that waits for them",
    "link_error": "link the signatures, or use `on_failure` of the workflow",
    "task_id": "give each signature its own id before it is added",
}


class WorkflowNode:
    """One node while the workflow is written.

    Nodes are made by the workflow. `WorkflowNode(signature)`, as celery-dyrygent has it, makes one that belongs to none
    yet: `Workflow.add_node` takes it.
    """

    def __init__(self, workflow: Any, node: Node | None = None, signature: Any = None) -> None:
        if node is None:
            workflow, signature = None, workflow
            node = _alone(signature)
        self.workflow: Any = workflow  # None while it belongs to none
        self.node = node
        self._signature = signature
        self._waits: dict[str, Mapping[str, Any] | None] = {}  # of a node that belongs to no workflow yet

    def __repr__(self) -> str:
        return f"<node {self.node.key} of {self.workflow!r}>"

    @property
    def signature(self) -> Any:
        """The signature that it runs; made again where the workflow came out of a dictionary."""
        if self._signature is None and self.node.task:
            options = {name: value for name, value in self.node.options.items() if name in KEPT}
            self._signature = current_app.signature(
                self.node.task, args=self.node.args, kwargs=self.node.kwargs, immutable=True, task_id=self.id, **options
            )
        return self._signature

    def to_dict(self) -> dict[str, Any]:
        """Return it as celery-dyrygent does: id, signature, dependencies and custom payload."""
        return {
            "id": self.id,
            "signature": json.loads(json.dumps(dict(self.signature or {}), default=to_json)),
            "dependencies": self.dependencies,
            "custom_payload": self.custom_payload,
        }

    @classmethod
    def from_dict(cls, data_dict: Mapping[str, Any]) -> "WorkflowNode":
        """Return the node of `to_dict`, of celery-dyrygent too; it belongs to no workflow yet."""
        try:
            signature = current_app.signature(dict(data_dict["signature"]))
            signature.options.setdefault("task_id", data_dict["id"])
            found = cls(signature)
            found._waits = dict(data_dict.get("dependencies") or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WorkflowException(f"A node needs `id` and `signature`; this one has no usable {error}.") from error
        found.node.payload = dict(data_dict.get("custom_payload") or {})
        return found

    @property
    def id(self) -> str:
        """The id of its job."""
        return self.node.id

    @property
    def result(self) -> Ref:
        """What it will return, to be used in the arguments of later nodes: `node.result`, `node.result["total"]`."""
        return Ref(self.node.index, of=self.workflow)

    @property
    def custom_payload(self) -> dict[str, Any]:
        """Your own data about the node; kept with the workflow, not sent to the task."""
        return self.node.payload

    @property
    def dependencies(self) -> dict[str, dict[str, Any] | None]:
        """The ids of the nodes that it waits for, each with its options."""
        if self.workflow is None:
            return {node_id: dict(options) if options else None for node_id, options in self._waits.items()}
        nodes = self.workflow.graph.nodes
        return {nodes[p].id: None if w == When.SUCCESS else {"when": w.name.lower()} for p, w in self.node.parents}

    def add_dependency(self, other_node: "WorkflowNode", options: Mapping[str, Any] | None = None) -> None:
        """Let the node wait for another. Options: `when` is success (default), failure or always,
        and timeout for one that waits for an event."""
        condition = when((options or {}).get("when", "success"))
        if self.workflow is None:
            if other_node.id in self._waits:
                raise WorkflowException(f"“{self.node.key}” depends on “{other_node.node.key}” already.")
            self._waits[other_node.id] = options
            return
        own(self.workflow, other_node)
        if condition == When.TIMEOUT and other_node.node.kind != Kind.EVENT:
            raise WorkflowException(
                f"“{other_node.node.key}” waits for no event, so nothing can come too late: `when` is success, failure or "
                "always."
            )
        if any(parent == other_node.node.index for parent, _ in self.node.parents):
            raise WorkflowException(f"“{self.node.key}” depends on “{other_node.node.key}” already.")
        self.node.parents.append((other_node.node.index, condition))
        self.workflow.checked = False

    def set(self, **options: Any) -> "WorkflowNode":
        """Set options of the node; return it.

        `queue`, `priority`, `time_limit` and `soft_time_limit` (seconds), `retry` (most retries, or a dict with `max`,
        `delay` in seconds and `factor`), `join` (all, any), `weight` (its share of the progress), `label`, `group`
        (names of the boxes it lies in, outermost first).
        """
        set_options(self.node, options)
        return self


def _alone(signature: Any) -> Node:
    """Return the node of a signature that belongs to no workflow yet."""
    job_id = getattr(signature, "options", {}).get("task_id")
    if job_id is None:
        raise WorkflowException(f"The signature {signature!r} has no id. Freeze it first, or use `add_signature`.")
    node = Node(0, str(signature.task).rpartition(".")[2], job_id, task=str(signature.task))
    node.args, node.kwargs = list(signature.args), dict(signature.kwargs)
    node.options = kept(node.key, signature.options)
    return node


def own(workflow: "Workflow", *nodes: WorkflowNode) -> list[Node]:
    """Return the nodes of the graph; raise WorkflowException where one does not belong to `workflow`."""
    for node in nodes:
        if node.workflow is not workflow:
            raise WorkflowException(
                f"“{node.node.key}” is a node of another workflow ({node.workflow!r}). Put that one into this one with "
                "`add_workflow`, and use its `starts`, `ends` and `result`."
            )
    return [node.node for node in nodes]


def own_references(workflow: "Workflow", value: Any, where: str) -> None:
    """Raise WorkflowException where a reference in `value` is to the result of a node of another workflow."""
    for ref in references(value):
        if ref.of is not None and ref.of is not workflow:
            key = ref.of.graph.nodes[ref.index].key
            raise WorkflowException(
                f"{where} uses the result of “{key}”, a node of another workflow ({ref.of!r}). Put that one into this one "
                "with `add_workflow`, and use its `result`."
            )


def kept(key: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a signature that its node keeps; raise WorkflowException for what nodes do not have."""
    for name in options.keys() & (REFUSED.keys() - {"link", "link_error", "task_id"}):
        if options[name] is not None:
            raise WorkflowException(f"“{key}” has the option {name!r}, which nodes do not have: {REFUSED[name]}.")
    return {name: plain(value) for name, value in options.items() if name in KEPT and value is not None}


def for_all(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options for every node of a workflow; raise WorkflowException for what cannot be given to all."""
    for name, value in options.items():
        if value is not None and name not in KEPT:
            advice = REFUSED.get(name, f"there are {', '.join(sorted(KEPT))}")
            raise WorkflowException(f"The nodes of a workflow have no option {name!r} in common: {advice}.")
    if not isinstance(options.get("headers") or {}, Mapping):
        raise WorkflowException("`headers` is a dictionary.")
    return {name: plain(value) for name, value in options.items() if value is not None}


def when(name: str) -> When:
    """Return the condition of an edge by its name; raises WorkflowException."""
    try:
        return _WHEN[name]
    except KeyError:
        raise WorkflowException(f"`when` is success, failure, always or timeout, not {name!r}.") from None


def set_options(node: Node, options: Mapping[str, Any]) -> None:
    """Set options of a node, see `WorkflowNode.set`; raises WorkflowException."""
    for name, value in options.items():
        if name == "retry":
            node.options["retry"] = _retry(value)
        elif name in {"join", "weight", "label"}:
            setattr(node, name, value)
        elif name == "group":
            node.group = list(value)
        elif name in KEPT:
            node.options[name] = plain(value)
        else:
            raise WorkflowException(f"A node has no option {name!r}.")
    if node.join not in {"all", "any"}:
        raise WorkflowException(f"`join` is all or any, not {node.join!r}.")


def plain(value: Any) -> Any:
    """Return a moment as messages have it; anything else as it is."""
    return value.isoformat() if isinstance(value, datetime) else value


def places(limit: Any) -> int:
    """Return how many may run at a time; raise WorkflowException for what is no such number."""
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise WorkflowException(f"`limit` is a whole number of jobs at a time, 1 or more, not {limit!r}.")
    return limit


def _retry(value: Any) -> list[float]:
    if isinstance(value, int):
        return [value, 1.0, 2.0]
    unknown = set(value) - {"max", "delay", "factor"}
    if unknown:
        raise WorkflowException(f"`retry` has max, delay and factor, not {', '.join(sorted(unknown))}.")
    return [int(value.get("max", 3)), float(value.get("delay", 1.0)), float(value.get("factor", 2.0))]
