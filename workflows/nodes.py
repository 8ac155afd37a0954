"""A node of a workflow that is being written, and its options."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workflows.exceptions import WorkflowException
from workflows.graph import Node, Ref, When

if TYPE_CHECKING:
    from workflows.workflows import Workflow

_WHEN = {"success": When.SUCCESS, "failure": When.FAILURE, "always": When.ALWAYS}
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


class WorkflowNode:
    """One node while the workflow is written."""

    def __init__(self, workflow: "Workflow", node: Node, signature: Any = None) -> None:
        self.workflow = workflow
        self.node = node
        self.signature = signature

    def __repr__(self) -> str:
        return f"<node {self.node.key} of {self.workflow!r}>"

    @property
    def id(self) -> str:
        """The id of its job."""
        return self.node.id

    @property
    def result(self) -> Ref:
        """What it will return, to be used in the arguments of later nodes: `node.result`, `node.result["total"]`."""
        return Ref(self.node.index)

    @property
    def custom_payload(self) -> dict[str, Any]:
        """Your own data about the node; kept with the workflow, not sent to the task."""
        return self.node.payload

    @property
    def dependencies(self) -> dict[str, dict[str, Any] | None]:
        """The ids of the nodes that it waits for, each with its options."""
        nodes = self.workflow.graph.nodes
        return {nodes[p].id: None if w == When.SUCCESS else {"when": w.name.lower()} for p, w in self.node.parents}

    def add_dependency(self, other_node: "WorkflowNode", options: Mapping[str, Any] | None = None) -> None:
        """Let the node wait for another. Options: `when` is success (default), failure or always."""
        condition = when((options or {}).get("when", "success"))
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


def when(name: str) -> When:
    """Return the condition of an edge by its name; raises WorkflowException."""
    try:
        return _WHEN[name]
    except KeyError:
        raise WorkflowException(f"`when` is success, failure or always, not {name!r}.") from None


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


def _retry(value: Any) -> list[float]:
    if isinstance(value, int):
        return [value, 1.0, 2.0]
    unknown = set(value) - {"max", "delay", "factor"}
    if unknown:
        raise WorkflowException(f"`retry` has max, delay and factor, not {', '.join(sorted(unknown))}.")
    return [int(value.get("max", 3)), float(value.get("delay", 1.0)), float(value.get("factor", 2.0))]
