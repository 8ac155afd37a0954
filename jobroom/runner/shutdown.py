"""The order in which the parts of an installation are stopped; shared by the supervisor and the reaper.

Only the standard library: the reaper must start at once, and run when everything else is broken.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StopPlan:
    """How one process is stopped.

    Stages are stopped one after the other, a stage's processes together. A process gets SIGTERM and `grace` seconds;
    then, with `hand_back`, SIGQUIT and as many seconds as `hand_back` says (Celery's cold shutdown: a job that may run
    twice goes back into its queue); then SIGKILL.
    """

    stage: int
    grace: float
    hand_back: float = 0.0

    def rungs(self) -> list[tuple[signal.Signals, float]]:
        """Return the signals in their order, each with the seconds it is given."""
        rungs = [(signal.SIGTERM, self.grace)]
        if self.hand_back:
            rungs.append((signal.SIGQUIT, self.hand_back))
        return [*rungs, (signal.SIGKILL, 5.0)]


def exists(pid: int) -> bool:
    """Return whether process `pid` runs; one that ended and waits for its parent (a zombie) does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists()  # no /proc on macOS, where the first process clears zombies away
    return state not in {"Z", "X"}


def send(pid: int, number: signal.Signals) -> None:
    """Signal the process alone: a Celery worker stops its own pool, and cannot if the pool is shot under it."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def sweep(pid: int) -> None:
    """`kill -9` what is left of the session that `pid` led."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


class Stopper:
    """Stops processes in order; call `step` again and again until it returns True."""

    def __init__(
        self,
        plans: dict[int, StopPlan],
        *,
        alive: Callable[[int], bool] = exists,
        say: Callable[[int, signal.Signals], None] = lambda pid, number: None,
    ) -> None:
        """Take process ids with their plans, a test for life, and a listener for every signal after the first."""
        self.plans = plans
        self.alive = alive
        self.say = say
        self.stages = sorted({plan.stage for plan in plans.values()})
        self.next_rung = dict.fromkeys(plans, 0)
        self.deadline = dict.fromkeys(plans, 0.0)

    def hurry(self) -> None:
        """Go on to the next signal at once, for the stage that is being stopped."""
        for pid in self._current():
            if self.next_rung[pid]:
                self.deadline[pid] = 0.0

    def step(self) -> bool:
        """Send what is due; return whether nothing is left."""
        while self.stages:
            running = [pid for pid in self._current() if self.alive(pid) and self._advance(pid)]
            if running:
                return False
            for pid in self._current():
                sweep(pid)
            self.stages.pop(0)
        return True

    def _current(self) -> list[int]:
        return [pid for pid, plan in self.plans.items() if self.stages and plan.stage == self.stages[0]]

    def _advance(self, pid: int) -> bool:
        """Send the next signal if the last one had its time; return whether the process is worth waiting for."""
        if time.monotonic() < self.deadline[pid]:
            return True
        rungs = self.plans[pid].rungs()
        if self.next_rung[pid] >= len(rungs):
            return False  # not even SIGKILL ended it: it hangs in the kernel, and no one can do more
        number, seconds = rungs[self.next_rung[pid]]
        if self.next_rung[pid]:
            self.say(pid, number)
        send(pid, number)
        self.next_rung[pid] += 1
        self.deadline[pid] = time.monotonic() + seconds
        return True
