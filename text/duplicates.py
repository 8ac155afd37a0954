"""Near-duplicates in a file of messages, as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from text import fingerprints, tables
from text.message_files import Message

# Groups that the log shows, and characters of a message there.
LOGGED = 5
SHOWN = 80


class Reporter(Protocol):
    """The part of a task that says how far it is, and what it found."""

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Say how far it is."""

    def log(self, level: str, message: str, obj: str | None = None) -> None:
        """Add a line to the log."""


def grouped(messages: Sequence[Message], similarity: float, path: Path, task: Reporter) -> dict[str, Any]:
    """Write groups of near-duplicates, the largest first, to a CSV at `path`; return how many there are."""
    texts = [message.text for message in messages]
    task.progress(0, len(texts), "Messages")
    found = fingerprints.groups(texts, similarity, lambda done: task.progress(done, len(texts), "Messages"))
    found.sort(key=lambda group: -len(group.places))
    for group in found[:LOGGED]:
        task.log("info", f"{len(group.places):,} times: {_shown(texts[group.places[0]])}")
    rows = (
        [number, round(likeness, 4), messages[place].line, messages[place].text]
        for number, group in enumerate(found, start=1)
        for place, likeness in zip(group.places, group.similarities, strict=True)
    )
    tables.write(path, ["group", "similarity", "line", "message"], rows)
    inside = sum(len(group.places) for group in found)
    return {
        "messages": len(messages),
        "groups": len(found),
        "in_groups": inside,
        "superfluous": inside - len(found),
        "largest_group": max((len(group.places) for group in found), default=0),
    }


def similar_to(text: str, messages: Sequence[Message], similarity: float, path: Path, task: Reporter) -> dict[str, Any]:
    """Write the messages that are similar to `text`, the most similar first, to a CSV; return how many there are."""
    wanted = fingerprints.shingles(text)
    found: list[tuple[float, Message]] = []
    for number, message in enumerate(messages, start=1):
        likeness = fingerprints.jaccard(wanted, fingerprints.shingles(message.text))
        if likeness >= similarity:
            found.append((likeness, message))
        task.progress(number, len(messages), "Messages")
    found.sort(key=lambda pair: (-pair[0], pair[1].line))
    tables.write(
        path,
        ["similarity", "line", "message"],
        ([round(likeness, 4), message.line, message.text] for likeness, message in found),
    )
    task.log("info", f"{len(found):,} of {len(messages):,} messages are similar to the text.")
    return {"messages": len(messages), "similar": len(found), "most_similar": round(found[0][0], 4) if found else 0.0}


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
