"""What the engine keeps in Redis for one workflow, all of it below `wf:<id>`. It can be made again from the book.

| key          | what                                                                                                     |
|--------------|----------------------------------------------------------------------------------------------------------|
| `wf:<id>`    | hash: state, total, left (work that has not ended), failed, paused, common (a part of every message's headers), owner (id), handler and finalizer (indexes), cancelled, error, lenient, epoch (how often it was loaded) |
| `wf:<id>:g`  | hash: index → record of the node, made by `records`                                                      |
| `wf:<id>:s`  | hash: node → letter of its state (`Letter`); a node that waits for others has none                         |
| `wf:<id>:w`  | hash: index → edges that have come true; `-index` → edges that cannot any more                             |
| `wf:<id>:x`  | hash: node → execution that has it, of nodes that may not run twice; `n<node>` → messages sent so far; of a fan-out `m<index>` → its items, `d<index>` → ended ones, `f<index>` → failed ones; `a<index>` → since when a person is waited for |
| `wf:<id>:r`  | hash: `index`, `index/path` or `index.item` → result that somebody needs, as JSON                          |
| `wf:<id>:h`  | list: nodes that are ready and held back, because the workflow is paused                                  |
| `wf:<id>:o`  | set: nodes whose message the worker must send itself, because the broker is not this Redis               |
| `wf:<id>:l`  | lock of whoever loads or repairs the workflow                                                             |
| `wf:active`  | set: ids of the workflows that are loaded and have not ended                                              |

A node's name here is its index, or `index.item` for one job of a fan-out.
"""

import enum

from common import redis


class Letter(enum.StrEnum):
    """The state of a node in one letter; what the book keeps is a string of them, in the order of the nodes."""

    WAITING = "w"  # for other nodes
    HELD = "h"  # ready, but the workflow is paused
    QUEUED = "q"
    RUNNING = "r"
    EXPANDING = "x"  # a fan-out whose jobs are at work
    APPROVAL = "a"  # waits for a person
    SUCCEEDED = "s"
    SKIPPED = "k"  # its exclusive lock was busy; to those who wait for it that is a success
    FAILED = "f"
    LOST = "l"
    CANCELLED = "c"
    BLOCKED = "b"  # will not run: what it waited for ended otherwise


ENDED = frozenset({Letter.SUCCEEDED, Letter.SKIPPED, Letter.FAILED, Letter.LOST, Letter.CANCELLED, Letter.BLOCKED})
GOOD = frozenset({Letter.SUCCEEDED, Letter.SKIPPED})
BAD = frozenset({Letter.FAILED, Letter.LOST})


def workflow(workflow_id: str, part: str = "") -> str:
    """Return the key of a workflow, or of one part of it."""
    return redis.key("wf", workflow_id, part) if part else redis.key("wf", workflow_id)


def active() -> str:
    """Return the key of the set of active workflows."""
    return redis.key("wf", "active")
