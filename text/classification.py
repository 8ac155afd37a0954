"""Judging a whole file of messages."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from text import tables
from text.message_files import SPAM, Message
from text.spam.detector import Detector, label_of
from text.spam.measures import measured

# Messages that are judged at once: enough that the overhead of a call does not count.
BATCH = 500


class Progress(Protocol):
    """The part of a task that says how far it is."""

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Say how far it is."""


def judged(detector: Detector, messages: Sequence[Message], task: Progress) -> list[float]:
    """Return for each message the probability that it is spam, and report progress."""
    found: list[float] = []
    task.progress(0, len(messages), "Messages")
    for batch in _batches(messages):
        found += detector.probabilities([message.text for message in batch])
        task.progress(len(found), len(messages), "Messages")
    return found


def write(path: Path, messages: Sequence[Message], probabilities: Sequence[float]) -> Path:
    """Write what came out as CSV: line, label, probability, the label that the file gives, message; return its path."""
    labelled = any(message.label for message in messages)
    names = ["line", "label", "spam_probability", *(["given_label"] if labelled else []), "message"]
    rows = (
        [message.line, label_of(value), round(value, 4), *([message.label] if labelled else []), message.text]
        for message, value in zip(messages, probabilities, strict=True)
    )
    return tables.write(path, names, rows)


def counts(messages: Sequence[Message], probabilities: Sequence[float]) -> dict[str, Any]:
    """Return how many are spam and ham; where all have labels, also how well the model agrees with them."""
    spam = sum(label_of(value) == SPAM for value in probabilities)
    found: dict[str, Any] = {"messages": len(messages), "spam": spam, "ham": len(messages) - spam}
    if all(message.label for message in messages):
        measures = measured([message.label == SPAM for message in messages], probabilities)
        found["agreement"] = {"f1": measures.f1, "precision": measures.precision, "recall": measures.recall}
    return found


def _batches(messages: Sequence[Message]) -> Iterator[list[Message]]:
    rest = iter(messages)
    while batch := list(islice(rest, BATCH)):
        yield batch
