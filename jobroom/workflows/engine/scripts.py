"""The Lua scripts of the engine. Each is one atomic step: a killed process was killed before it or after it.

A script's text is run again each time, its functions made again: a script includes no more than it uses. A finished node counts down those that wait for it and puts the messages of the ready ones into the broker's own list.
Everything may be said twice: a node ends once, and what its end sets off happens in the same step.
"""

import functools
from typing import Any

from jobroom import redis
from jobroom.conf import settings as common_settings
from jobroom.lua_scripts import Value, source
from jobroom.workflows.engine.keys import ENDED, NodeState

# Seconds for which the keys of a workflow that has ended are kept: its last messages may still be delivered twice.
KEPT = 3600


@functools.lru_cache(maxsize=32)
def _script(name: str, events_kept: int, held: float) -> Any:
    """Return the script called `name`, with its limits and the states of nodes put in."""
    config: dict[str, Value] = {"kept": events_kept, "after": KEPT, "held": held, "ended": ENDED}
    return redis.script(source("jobroom.workflows.engine", name, config, NodeState))


def run(name: str, workflow_key: str, *arguments: str | int | float) -> object:
    """Run the script called `name` on a workflow; return its answer. Raises redis errors."""
    script = _script(name, common_settings.EVENTS_KEPT, common_settings.HELD_AT_MOST)
    return redis.evaluate(script, [workflow_key, redis.key("")], arguments)
