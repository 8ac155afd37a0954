"""The JSON that an open page of a workflow polls."""

import hashlib
import json
from typing import Any

from jobroom.workflows import explanations
from jobroom.workflows.engine.keys import ENDED, GOOD, WAITS_OUTSIDE
from jobroom.workflows.explanations import LOOKS, ORDER
from jobroom.workflows.forecast import left
from jobroom.workflows.progress import Now


def states(now: Now) -> dict[str, Any]:
    """Return what an open page needs to paint the workflow again, small and without the graph."""
    stored = now.stored
    counts = now.counts([node.index for node in now.work])
    whole = sum(counts.values()) or 1
    return {
        "state": stored.state,
        "node_states": now.node_states,
        "items": {index: [one.total, one.ended, one.bad] for index, one in sorted(now.items.items())},
        "running": {index: round(share, 3) for index, share in sorted(now.running.items())},
        "progress": round(now.progress, 4),
        "ended": now.ended,
        "total": stored.total,
        "left": left(now),
        "words": explanations.counted(counts),
        "bar": [[LOOKS[one].css, round(counts[one] / whole, 4)] for one in ORDER if counts.get(one)],
        "finished": stored.is_finished,
        "head": head_of(now),
    }


def head_of(now: Now) -> str:
    """Return a text that changes when the upper part of the page has to be fetched again."""
    stored = now.stored
    waiting = [index for index, node_state in enumerate(now.node_states) if node_state in WAITS_OUTSIDE]
    bad = sum(node_state in ENDED - GOOD for node_state in now.node_states)
    parts = [
        stored.state,
        stored.epoch,
        str(stored.cancel_at),
        stored.error,
        waiting,
        sorted(stored.decisions),
        bool(bad),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
