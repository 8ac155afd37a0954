"""Merges the output of many processes in one terminal: every line says whose it is."""

from typing import TextIO

from jobroom.control_characters import escaped

COLOURS = (36, 32, 33, 35, 34, 96, 92, 95)
SYSTEM = "system"


class Console:
    """Writes prefixed lines, coloured on a terminal unless the user objects (https://no-color.org)."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self.out = out
        self.colour = colour
        self.width = 8
        self.names: list[str] = []

    def say(self, text: str, name: str = SYSTEM) -> None:
        """Write `text`, every line with the name before it; other control characters than the line break are written out."""
        try:
            for line in text.split("\n"):
                self.out.write(f"{self._prefix(name)}{escaped(line)}\n")
            self.out.flush()
        except OSError:
            # The terminal is gone, or the reader of the pipe; that is no reason to drop the jobs.
            return

    def _prefix(self, name: str) -> str:
        text = f"{name:<{self.width}} | "
        if not self.colour:
            return text
        if name == SYSTEM:
            return f"\033[1m{text}\033[0m"
        if name not in self.names:
            self.names.append(name)
        return f"\033[{COLOURS[self.names.index(name) % len(COLOURS)]}m{text}\033[0m"
