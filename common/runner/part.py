"""One process of the control room: how it is started, how it is stopped, how often it died."""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from common.runner.stopping import StopPlan

# A part that ends by itself sooner than this, twice in a row, will do so the third time too.
SHORT_LIFE = 5.0
SHORT_LIVES = 2
# So many deaths of any kind within a minute are too many.
DEATHS_A_MINUTE = 6
LONGEST_PAUSE = 10.0
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
    deaths: list[float] = field(default_factory=list)
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
        """Note a death; return the seconds to wait before the next start."""
        now = time.monotonic()
        self.process = None
        self.deaths = [*(at for at in self.deaths if now - at < 60), now]
        by_itself = status >= 0
        self.short_lives = self.short_lives + 1 if by_itself and now - self.started < SHORT_LIFE else 0
        pause = min(0.5 * 2.0 ** (len(self.deaths) - 1), LONGEST_PAUSE)
        self.not_before = now + pause
        return pause

    def hopeless(self) -> bool:
        """Return whether another start would be the same again."""
        return self.short_lives >= SHORT_LIVES or len(self.deaths) >= DEATHS_A_MINUTE


def describe(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by signal {-status}"
