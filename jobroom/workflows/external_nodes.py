"""Nodes without a job: they wait for a person or an event, and hold no process."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celery.utils import uuid

from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import Graph, Kind, Node, When
from jobroom.workflows.nodes import WorkflowNode, own, places, set_options

if TYPE_CHECKING:
    from jobroom.workflows.workflows import Workflow


class Waiting:
    """Part of `Workflow`."""

    graph: Graph
    nodes: dict[str, WorkflowNode]

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
        asks = {"question": question, "groups": list(groups), "on_timeout": on_timeout}
        return self._outside(Kind.APPROVAL, key or "approval", question, asks, timeout, dependencies, options)

    def wait_for(
        self,
        key: str,
        dependencies: Sequence[WorkflowNode] = (),
        *,
        about: str = "",
        timeout: float | None = None,
        **options: Any,
    ) -> WorkflowNode:
        """Add a node that waits for an event from outside, without holding a process: over the API, or by a signed link.

        `about` says in words what is waited for. Its result is {"by", "data"}: who delivered it, and what. After `timeout`
        seconds it ends as *not in time*: what waits for it with `{"when": "timeout"}` runs then, and without such a node
        that is a failure.
        """
        return self._outside(Kind.EVENT, key or "event", about, {"about": about}, timeout, dependencies, options)

    def limit(self, nodes: Sequence[WorkflowNode], most: int) -> None:
        """Let at most `most` of the nodes run at a time, such as the members of a group that `add_celery_canvas` returned.

        Each waits also for the end, however it is, of the one that stands `most` places before it.
        """
        workflow: Workflow = self  # type: ignore[assignment]
        own(workflow, *nodes)
        for node, before in zip(nodes[places(most) :], nodes, strict=False):
            if before.node.index not in {parent for parent, _ in node.node.parents}:
                node.add_dependency(before, {"when": "always"})

    def _outside(
        self,
        kind: Kind,
        key: str,
        label: str,
        asks: Mapping[str, Any],
        timeout: float | None,
        dependencies: Sequence[WorkflowNode],
        options: Mapping[str, Any],
    ) -> WorkflowNode:
        workflow: Workflow = self  # type: ignore[assignment]
        node: Node = workflow._new(key, uuid(), kind)
        node.label = label or key
        node.options = dict(asks)
        if timeout is not None:
            if timeout < 0:
                raise WorkflowException(f"`timeout` of “{key}” is a number of seconds, 0 or more, not {timeout!r}.")
            node.options["timeout"] = float(timeout)
        node.parents = [(n.index, When.SUCCESS) for n in own(workflow, *dependencies)]
        self.nodes[node.id] = WorkflowNode(self, node)
        set_options(node, options)
        return self.nodes[node.id]
