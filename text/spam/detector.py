"""What tasks use: a loaded model with its version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text.spam.measures import THRESHOLD
from text.spam.trainer import probabilities


@dataclass(frozen=True)
class Detector:
    """One version of the spam model, ready to judge."""

    version: int
    model: Any

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Return for each message the probability that it is spam, from 0 to 1."""
        return probabilities(self.model, texts)

    def detect(self, text: str) -> dict[str, Any]:
        """Return `label`, "spam" or "ham", and `spam_probability`, from 0 to 1."""
        (probability,) = self.probabilities([text])
        return {"label": label_of(probability), "spam_probability": round(probability, 4)}


def label_of(probability: float) -> str:
    """Return what a message with this probability counts as."""
    return "spam" if probability >= THRESHOLD else "ham"
