"""The Redis keys of a workflow, all below `wf:<id>`. Their content can be rebuilt from the database.

| key          | what                                                                                                     |
|--------------|----------------------------------------------------------------------------------------------------------|
| `wf:<id>`    | hash: state, total, left (work that has not ended), failed, paused, common (a part of every message's headers), owner (id), handler and finalizer (indexes), cancelled, asked (who cancelled it, as a job's is), error, lenient, epoch (how often it was loaded) |
| `wf:<id>:g`  | hash: index → record of the node, made by `records`                                                      |
| `wf:<id>:s`  | hash: node → its state (`NodeState`); a node that waits for others has none                         |
| `wf:<id>:w`  | hash: index → edges that have come true; `-index` → edges that cannot any more                             |
| `wf:<id>:x`  | hash: node → execution that has it, of nodes that may not run twice; `n<node>` → messages sent so far; of a fan-out `m<index>` → its items, `d<index>` → ended ones, `f<index>` → failed ones, `u<index>` → those that have a place, where places are limited; `a<index>` → since when someone or something outside is waited for |
| `wf:<id>:r`  | hash: `index`, `index/path` or `index.item` → result that someone needs, as JSON                          |
| `wf:<id>:h`  | list: nodes that are ready and held back, because the workflow is paused                                  |
| `wf:<id>:v:<index>` | list: items of a fan-out that is limited to so many at a time, waiting for a place; their state is `h` |
| `wf:<id>:o`  | set: nodes whose message the worker must send itself, because the broker is not this Redis               |
| `wf:<id>:l`  | lock of the process that loads or repairs the workflow                                                     |
| `wf:<id>:<token>:<part>` | what a loader has written and not put into its place yet; `m` is the hash itself                |
| `wf:due`     | sorted set: `<id>` of a workflow, or `<id>/<index>` of a node that waits → when its time is over          |
| `wf:foreign` | set: ids of active workflows with nodes in workers that do not load this code                             |
| `wf:active`  | set: ids of the workflows that are loaded and have not ended                                              |

A node's name here is its index, or `index.item` for one job of a fan-out.
"""

import enum

from jobroom import redis
from jobroom.workflows.graph import When


class NodeState(enum.StrEnum):
    """The state of a node in one character; what the database keeps is a string of them, in the order of the nodes."""

    WAITING = "w"  # for other nodes
    HELD = "h"  # ready, but the workflow is paused
    QUEUED = "q"
    RUNNING = "r"
    EXPANDING = "x"  # a fan-out whose jobs are running
    APPROVAL = "a"  # waits for a person
    EVENT = "e"  # waits for something that is delivered from outside
    SUCCEEDED = "s"
    SKIPPED = "k"  # its exclusive lock was busy; to those who wait for it that is a success
    FAILED = "f"
    LOST = "l"
    CANCELLED = "c"
    TIMED_OUT = "t"  # what it waited for was not delivered in time
    BLOCKED = "b"  # will not run: what it waited for ended otherwise


ENDED = frozenset(
    {
        NodeState.SUCCEEDED,
        NodeState.SKIPPED,
        NodeState.FAILED,
        NodeState.LOST,
        NodeState.CANCELLED,
        NodeState.TIMED_OUT,
        NodeState.BLOCKED,
    }
)
GOOD = frozenset({NodeState.SUCCEEDED, NodeState.SKIPPED})
BAD = frozenset({NodeState.FAILED, NodeState.LOST, NodeState.TIMED_OUT})
# Of nodes that wait for someone or something outside.
WAITS_OUTSIDE = frozenset({NodeState.APPROVAL, NodeState.EVENT})
# The state of a node by the state of its job.
NODE_STATES = {
    "scheduled": NodeState.QUEUED,
    "queued": NodeState.QUEUED,
    "running": NodeState.RUNNING,
    "retrying": NodeState.QUEUED,
    "succeeded": NodeState.SUCCEEDED,
    "failed": NodeState.FAILED,
    "cancelled": NodeState.CANCELLED,
    "skipped": NodeState.SKIPPED,
    "lost": NodeState.LOST,
}


def comes_true(when: When, node_state: str | None) -> bool:
    """Return whether the condition of an edge comes true with this end of the node before."""
    if when == When.TIMEOUT:
        return node_state == NodeState.TIMED_OUT
    return when == When.ALWAYS or node_state in (GOOD if when == When.SUCCESS else BAD)


def workflow(workflow_id: str, part: str = "") -> str:
    """Return the key of a workflow, or of one part of it."""
    return redis.key("wf", workflow_id, part) if part else redis.key("wf", workflow_id)


def due() -> str:
    """Return the key of the moments at which the time of workflows and waiting nodes is over."""
    return redis.key("wf", "due")


def foreign() -> str:
    """Return the key of the set of workflows with nodes in workers that do not load this code."""
    return redis.key("wf", "foreign")


def active() -> str:
    """Return the key of the set of active workflows."""
    return redis.key("wf", "active")
