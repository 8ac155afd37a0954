"""Remembers what the sweeper has seen from round to round: only what stays wrong for a while is repaired."""

import dataclasses
import time
from collections.abc import Mapping

from jobroom.workflows.conf import settings


@dataclasses.dataclass(slots=True)
class Seen:
    """A node in one state: since when this process sees it so, and how often its message was missing in a row."""

    node_state: str
    since: float
    missing: int = 0


class Suspects:
    """Remembers from round to round for how long nodes have been in their state."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Seen]] = {}

    def update(self, workflow_id: str, node_states: Mapping[str, str]) -> dict[str, Seen]:
        """Take the states of now; return those nodes that have been as they are for a while."""
        now, before = time.monotonic(), self.seen.get(workflow_id, {})
        found = {}
        for node, node_state in node_states.items():
            old = before.get(node)
            found[node] = old if old is not None and old.node_state == node_state else Seen(node_state, now)
        self.seen[workflow_id] = found
        return {node: seen for node, seen in found.items() if now - seen.since >= settings.SILENT_AFTER}

    def forget(self, but: set[str]) -> None:
        """Forget the workflows that are not active any more."""
        # What waits for another broker is remembered beside its workflow, as `<id>:o`.
        self.seen = {name: nodes for name, nodes in self.seen.items() if name.partition(":")[0] in but}
