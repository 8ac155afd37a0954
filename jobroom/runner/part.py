"""One supervised process: how it is started, how it is stopped, how often it died."""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobroom.runner.shutdown import StopPlan

# A part that ends by itself sooner than this, twice in a row, will probably do so the third time too.
SHORT_LIFE = 5.0
SHORT_LIVES = 2
# After so many deaths in a row a part counts as one that does not stay up.
MANY_DEATHS = 4
# A life of so many seconds ends the row.
LONG_LIFE = 60.0
# The pause before a start grows from half a second to this.
LONGEST_PAUSE = 60.0
LONGEST_LINE = 64 * 1024


@dataclass
class Part:
    """A process to keep running, in a session of its own: a terminal's Ctrl-C reaches the supervisor alone."""

    name: str
    argv: list[str]
    plan: StopPlan
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    output: int = -1
    started: float = 0.0
    not_before: float = 0.0
    deaths: int = 0  # in a row: after none of them it lived for long
    last: str = ""  # how it died last
    short_lives: int = 0
    pending: bytes = b""

    def start(self) -> int:
        """Start it; return its process id. `output` is the end of a pipe that never blocks the reader."""
        self.output, writer = os.pipe()
        os.set_blocking(self.output, False)
        try:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
                start_new_session=True,
            )
        finally:
            os.close(writer)
        self.started = time.monotonic()
        return self.process.pid

    def runs(self) -> bool:
        """Return whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def lines(self, data: bytes) -> list[str]:
        """Return the lines that `data` completes; with no data (end of file) also the unfinished one."""
        *whole, self.pending = (self.pending + data).split(b"\n")
        if self.pending and (not data or len(self.pending) > LONGEST_LINE):
            whole.append(self.pending)
            self.pending = b""
        return [line.decode(errors="replace").rstrip("\r") for line in whole]

    def died(self, status: int) -> float:
        """Note a death; return the seconds to wait before the next start, which grow from death to death."""
        now = time.monotonic()
        self.process = None
        lived = now - self.started
        self.deaths = 1 if lived >= LONG_LIFE else self.deaths + 1
        self.short_lives = self.short_lives + 1 if status >= 0 and lived < SHORT_LIFE else 0
        self.last = describe(status)
        pause = min(0.5 * 2.0 ** (self.deaths - 1), LONGEST_PAUSE)
        self.not_before = now + pause
        return pause

    def is_failing(self) -> bool:
        """Return whether it does not stay up; it is tried again all the same, after growing pauses."""
        lives = self.process is not None and time.monotonic() - self.started >= LONG_LIFE
        return not lives and (self.short_lives >= SHORT_LIVES or self.deaths >= MANY_DEATHS)

    def describe(self) -> dict[str, Any]:
        """Return how it is doing, for people; `again_at` is in seconds since 1970."""
        wait = self.not_before - time.monotonic()
        again_at = time.time() + wait if self.process is None else 0.0
        row = {"runs": self.process is not None, "failing": self.is_failing(), "deaths": self.deaths}
        return {**row, "last": self.last, "again_at": again_at}


def describe(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by signal {-status}"
