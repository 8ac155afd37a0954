"""Prints workflows in a terminal, and follows one to its end."""

import shutil
from typing import Any, TextIO

from jobroom.control_characters import escaped
from jobroom.live.follow import follow
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.engine.keys import BAD, ENDED, WAITS_OUTSIDE, NodeState
from jobroom.workflows.models import FINISHED, State, StoredWorkflow
from jobroom.workflows.serializers import WorkflowDetail

WIDTH = 30
# Exit codes of a command that follows a workflow to its end.
EXIT = {State.SUCCESS: 0, State.FAILURE: 1, State.ERROR: 1, State.CANCELLED: 3}


def described(stored: StoredWorkflow) -> dict[str, Any]:
    """Return everything about a workflow as JSON."""
    return dict(WorkflowDetail(stored).data)


def lines_of(stored: StoredWorkflow) -> list[str]:
    """Return what `workflow show` says."""
    graph, node_states = stored.read_graph(), node_states_now(stored)
    rows = [f"{stored.get_state_display()}: {stored.name or 'a workflow'}  {stored.pk}"]
    rows += [f"  error     {stored.error}"] if stored.error else []
    width = min(40, max(len(node.key) for node in graph.nodes))
    for node, node_state in zip(graph.nodes, node_states, strict=True):
        items = stored.items.get(str(node.index))
        many = f" x {items}" if items is not None else ""
        rows.append(f"  {NodeState(node_state).name.lower():<9} {node.key:<{width}}  {node.task or node.label}{many}")
    return [escaped(row) for row in rows]


class Follower:
    """Writes what happens to a workflow to `out`."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.drawn = out.isatty()
        self.node_states = ""
        self.bar = ""

    def follow(self, stored: StoredWorkflow) -> StoredWorkflow:
        """Write until the workflow ends; return it. Raises RedisUnavailable."""
        graph = stored.read_graph()
        self.node_states = NodeState.WAITING * len(graph.nodes)
        self._line(f"Workflow {stored.pk} is launched: {stored.name or len(graph.nodes)}")
        with follow(f"workflow:{stored.pk}") as news:
            while True:
                now = StoredWorkflow.objects.get(pk=stored.pk)
                self._look(now, graph)
                if now.state in FINISHED:
                    break
                next(news)
        if self.bar:
            self.out.write("\n")
        self._line(f"{now.get_state_display()}.{f' {now.error}' if now.error else ''}")
        return now

    def _look(self, now: StoredWorkflow, graph: Any) -> None:
        node_states = node_states_now(now)
        if len(graph.nodes) <= 200 or not self.drawn:
            for node, old, new in zip(graph.nodes, self.node_states, node_states, strict=True):
                if old != new and (NodeState(new) in ENDED or new in WAITS_OUTSIDE):
                    self._line(f"{NodeState(new).name.lower():<9} {node.key}")
        self.node_states = node_states
        done = sum(NodeState(node_state) in ENDED for node_state in node_states)
        bad = sum(NodeState(node_state) in BAD for node_state in node_states)
        full = round(WIDTH * done / max(1, len(node_states)))
        failed = f", {bad} failed" if bad else ""
        self._draw(f"[{'#' * full}{'.' * (WIDTH - full)}] {done} of {len(node_states)} nodes{failed}")

    def _draw(self, text: str) -> None:
        if self.drawn and text != self.bar:
            self.bar = text
            self.out.write(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}")
            self.out.flush()

    def _line(self, text: str) -> None:
        text = escaped(text)
        self.out.write(f"\r\x1b[K{text}\n{self.bar}" if self.bar else f"{text}\n")
        self.out.flush()
