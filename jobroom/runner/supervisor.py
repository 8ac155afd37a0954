"""Keeps a set of processes running, prints their output, and stops them in order.

One thread and one `select` loop. A reaper process in a session of its own stands by for the day the supervisor itself
is killed.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from jobroom.runner import status_file
from jobroom.runner.console import Console
from jobroom.runner.part import Part, describe
from jobroom.runner.reaper import Reaper
from jobroom.runner.shutdown import Stopper, sweep
from jobroom.truncation import shorten

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Characters of a line that a part prints.
LONGEST_LINE = 10_000


class Supervisor:
    """The parent of all parts; use as a context manager, which stops them whatever happens inside."""

    def __init__(self, console: Console, *, folder: Path, lock: int, remove: Path, board: Path | None = None) -> None:
        """Take where to print, the project folder, the lock's file descriptor and the file to remove after a crash.

        `board` is the file that shows other processes how the parts are doing. The reaper inherits the lock: while it cleans up after a killed supervisor, no one may start on the same data.
        """
        self.console = console
        self.make_reaper = partial(Reaper, folder, lock=lock, remove=remove)
        self.reaper: Reaper | None = None
        self.parts: list[Part] = []
        self.asked_to_stop = 0
        self.gave_up = False
        self.selector = selectors.DefaultSelector()
        self.board = board
        self.shown: dict[str, bool] = {}

    def __enter__(self) -> "Supervisor":
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.selector.register(reader, selectors.EVENT_READ)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        self.reaper = self.make_reaper()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(-1)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.asked_to_stop += 1

    def start(self, part: Part) -> None:
        """Start `part` and look after it from now on."""
        pid = part.start()
        if self.reaper:
            self.reaper.started(pid, part.plan)
        self.selector.register(part.output, selectors.EVENT_READ, part)
        if part not in self.parts:
            self.parts.append(part)

    def forget(self, part: Part) -> None:
        """Kill `part` if it runs, and look after it no longer."""
        if part.process is not None:
            sweep(part.process.pid)
            part.process.wait()
            if self.reaper:
                self.reaper.ended(part.process.pid)
        self.parts.remove(part)

    def turn(self, seconds: float = 0.1) -> None:
        """Wait at most so many seconds for output; print what there is."""
        for key, _ in self.selector.select(seconds):
            part: Part | None = key.data
            try:
                data = os.read(key.fd, 64 * 1024)
            except BlockingIOError:
                continue
            if part is None:
                continue  # a signal's byte; its handler has run
            for line in filter(str.strip, part.lines(data)):
                self.console.say(shorten(line, LONGEST_LINE), part.name)
            if not data:
                self.selector.unregister(key.fd)
                os.close(key.fd)

    def run(self, each_turn: Callable[[], None], before_stop: Callable[[], None] = lambda: None) -> int:
        """Keep all parts running until asked to stop; return the exit status. `before_stop` ends what needs a part that runs."""
        while not self.asked_to_stop and not self.gave_up:
            self.turn()
            self._watch_reaper()
            for part in self.parts:
                if not self.gave_up:
                    self._watch(part)
            self._show()
            each_turn()
        before_stop()
        self.stop()
        return 1 if self.gave_up else 0

    def _watch(self, part: Part) -> None:
        """Bury `part` if it died, start it again when its pause is over."""
        if part.process is None:
            if time.monotonic() >= part.not_before:
                self.console.say(f"starting {part.name} again")
                self.start(part)
            return
        status = part.process.poll()
        if status is None:
            return
        self.turn(0)  # its last words first
        # What the dead process leaves would run the same job beside its successor.
        sweep(part.process.pid)
        if self.reaper:
            self.reaper.ended(part.process.pid)
        pause = part.died(status)
        self.console.say(f"{part.name} {describe(status)}")
        if not part.is_failing():
            self.console.say(f"{part.name} starts again in {pause:g} s")
        elif any(other.process is not None for other in self.parts):
            self.console.say(
                f"{part.name} does not stay up, its last lines say why; it starts again in {pause:g} s, "
                "and everything else goes on"
            )
        elif all(other.is_failing() for other in self.parts):
            self.console.say("no part stays up, their last lines say why; stopping everything")
            self.gave_up = True

    def _show(self) -> None:
        """Show other processes when the state of a part changes."""
        if self.board is None:
            return
        now = {f"{part.name} {part.deaths} {part.process is None}": part.is_failing() for part in self.parts}
        if now != self.shown:
            self.shown = now
            status_file.write(self.board, self.parts)

    def stop(self) -> None:
        """Stop all parts in order; every further signal goes on to the next, harder step. Twice is the same as once."""
        if self.reaper is None:
            return
        running = {part.process.pid: part for part in self.parts if part.process is not None}
        if running:
            self.console.say("stopping ...")
        stopper = Stopper(
            {pid: part.plan for pid, part in running.items()},
            alive=lambda pid: running[pid].runs(),
            say=lambda pid, number: self.console.say(self._impatience(running[pid], number)),
        )
        heard = self.asked_to_stop
        while not stopper.step():
            self.turn(0.05)
            if self.asked_to_stop > heard:
                heard = self.asked_to_stop
                stopper.hurry()
        self.turn(0)
        if self.board is not None:
            self.board.unlink(missing_ok=True)
        self.reaper.dismiss()
        self.reaper = None
        if running:
            self.console.say("all stopped")

    def _watch_reaper(self) -> None:
        """Replace a reaper that was killed itself."""
        if self.reaper is None or self.reaper.alive():
            return
        self.reaper = self.make_reaper()
        for part in self.parts:
            if part.process is not None:
                self.reaper.started(part.process.pid, part.plan)
        self.console.say("the process that cleans up after a crash had ended; another stands by")

    @staticmethod
    def _impatience(part: Part, number: signal.Signals) -> str:
        if number == signal.SIGQUIT:
            return f"{part.name} is still busy: jobs that may run twice go back into the queue"
        return f"{part.name} did not stop: killing it"
