"""A process that outlives a killed supervisor just long enough to stop its processes, in order.

It reads a line for every process that starts (`+ PID STAGE GRACE HAND_BACK`) or has ended (`- PID`), and `bye` when
the supervisor has stopped everything itself. End of input without `bye` means that the supervisor was killed: the
kernel closes its pipes whatever it died of, on Linux and macOS alike.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from jobroom.runner.shutdown import Stopper, StopPlan


class Reaper:
    """The supervisor's side: starts the process and writes to it what runs."""

    def __init__(self, folder: Path, *, lock: int, remove: Path) -> None:
        """Take the project folder, a descriptor to hold while cleaning up, and a file to remove then."""
        reader, self.pipe = os.pipe()
        self.process = subprocess.Popen(
            # -S and -E: no site-packages and no PYTHON… variables; it starts in a few milliseconds.
            [sys.executable, "-S", "-E", "-m", "jobroom.runner.reaper", str(remove)],
            stdin=reader,
            cwd=folder,
            pass_fds=[lock],
            start_new_session=True,
        )
        os.close(reader)

    def alive(self) -> bool:
        """Return whether it still stands by."""
        return self.process.poll() is None

    def started(self, pid: int, plan: StopPlan) -> None:
        """Report a new process."""
        self._write(f"+ {pid} {plan.stage} {plan.grace} {plan.hand_back}")

    def ended(self, pid: int) -> None:
        """Report that a process is gone."""
        self._write(f"- {pid}")

    def dismiss(self) -> None:
        """Say that everything has been stopped, and wait for its end."""
        self._write("bye")
        os.close(self.pipe)
        self.process.wait(10)

    def _write(self, line: str) -> None:
        with suppress(BrokenPipeError):  # the supervisor will see that it is gone, and start another
            os.write(self.pipe, f"{line}\n".encode())


def left_behind(lines: Iterable[str]) -> dict[int, StopPlan]:
    """Return the processes that still run when the input ends; none after `bye`."""
    plans: dict[int, StopPlan] = {}
    for line in lines:
        match line.split():
            case ["bye"]:
                return {}
            case ["+", pid, stage, grace, hand_back]:
                plans[int(pid)] = StopPlan(int(stage), float(grace), float(hand_back))
            case ["-", pid]:
                plans.pop(int(pid), None)
    return plans


def main(remove: str) -> None:
    """Wait for the supervisor's end; stop what is left, and remove the file with Redis's address."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    plans = left_behind(sys.stdin)
    if not plans:
        return
    stopper = Stopper(plans)
    while not stopper.step():
        time.sleep(0.05)
    with suppress(OSError):
        Path(remove).unlink()


if __name__ == "__main__":
    main(sys.argv[1])
