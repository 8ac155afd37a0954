"""Random canvases from a seed, each run by Celery and by the engine: same end, same tasks, same callbacks and errbacks.

The suite runs a few; `CANVAS_COUNT=500 CANVAS_SEED=1 pytest tests/acceptance/test_random_canvases.py` makes it the long trial.
"""

import random
from collections.abc import Callable
from typing import Any

from celery import chain, chord, group

# A canvas is built twice, so chance must be drawn before: a plan is a tree of plain data.
Plan = list[Any]
DEEPEST = 3


class Chance:
    """Draws plans."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.marks = 0

    def plan(self, depth: int = 0) -> Plan:
        """Return a plan: [kind, parts, errback's mark or '']."""
        kinds = (
            ["give", "give", "fail"]
            if depth >= DEEPEST
            else ["give", "fail", "chain", "chain", "group", "chord", "chord"]
        )
        kind = self.random.choice(kinds)
        if kind in {"give", "fail"}:
            return [kind, [], self._mark(0.4)]
        parts = [self.plan(depth + 1) for _ in range(self.random.randint(2, 3))]
        if kind == "chord":
            parts.append(self.body(depth + 1))
        return [kind, parts, self._mark(0.3)]

    def body(self, depth: int) -> Plan:
        """Return the plan of a chord's body."""
        return self.plan(depth) if self.random.random() < 0.5 else ["echo", [], self._mark(0.6)]

    def _mark(self, share: float) -> str:
        if self.random.random() >= share:
            return ""
        self.marks += 1
        return f"m{self.marks}"


def built(plan: Plan, t: Any, linking: Callable[..., Any]) -> Any:
    """Return the canvas of a plan."""
    kind, parts, mark = plan
    found = {
        "give": lambda: t.give.si(1),
        "fail": t.fail,
        "echo": t.echo,
        "chain": lambda: chain(*(built(part, t, linking) for part in parts)),
        "group": lambda: group(*(built(part, t, linking) for part in parts)),
        "chord": lambda: chord([built(part, t, linking) for part in parts[:-1]], built(parts[-1], t, linking)),
    }[kind]()
    return linking(found, error=t.errback(mark=mark)) if mark else found


def shown(plan: Plan) -> str:
    """Return a plan as a person writes it; ~ is an errback."""
    kind, parts, mark = plan
    inner = f"({', '.join(map(shown, parts))})" if parts else ""
    return f"{kind}{inner}{'~' + mark if mark else ''}"


def in_a_row(plan: Plan) -> int:
    """Return the largest number of groups and chords that follow each other in a chain of the plan."""
    kind, parts, _ = plan
    most = run = 0
    for step in _steps(plan) if kind == "chain" else ():
        run = run + 1 if step[0] in {"group", "chord"} else 0
        most = max(most, run)
    return max([most, *map(in_a_row, parts)])


def _steps(plan: Plan) -> list[Plan]:
    """Return the steps of a chain, those of chains in it among them."""
    return [step for part in plan[1] for step in (_steps(part) if part[0] == "chain" else [part])]
