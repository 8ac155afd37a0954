"""Training: what is learned from, what is kept back, cross-validation, and the final model."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from text.spam import recipes
from text.spam.measures import Measures, measured

FOLDS = 5
# The part of the messages from which no version ever learns.
HELD_OUT = 0.2
# At least so many of each kind are held out, whatever their share is.
LEAST_HELD_OUT = 3


@dataclass(frozen=True, slots=True)
class Example:
    """A message whose label is known."""

    text: str
    is_spam: bool


@dataclass(frozen=True)
class Examples:
    """Messages in two parts: those to learn from, and those that are held out to judge what was learned."""

    learned: list[Example]
    held_out: list[Example]
    repeated: int  # so many were left out because the same message is there already
    contradictory: int  # so many were left out because the same message has both labels


def divided(examples: Sequence[Example]) -> Examples:
    """Leave out repetitions and divide the rest into what is learned and what is held out.

    A message is held out by a hash of its own text, not by chance and not by its place in the file. So the same message
    is held out in every training, and any two versions can be compared on messages that neither has learned.
    """
    labels: dict[str, set[bool]] = {}
    first: dict[str, Example] = {}
    for example in examples:
        key = _same(example.text)
        labels.setdefault(key, set()).add(example.is_spam)
        first.setdefault(key, example)
    clear = [(key, example) for key, example in first.items() if len(labels[key]) == 1]
    held: set[str] = set()
    for kind in (False, True):
        ranked = sorted((_position(key), key) for key, example in clear if example.is_spam is kind)
        count = max(LEAST_HELD_OUT, sum(position < HELD_OUT for position, _ in ranked))
        held.update(key for _, key in ranked[:count])
    return Examples(
        learned=[example for key, example in clear if key not in held],
        held_out=[example for key, example in clear if key in held],
        repeated=len(examples) - len(first),
        contradictory=len(first) - len(clear),
    )


def _same(text: str) -> str:
    return " ".join(text.casefold().split())


def _position(key: str) -> float:
    """Return a number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:7], "big") / 2**56


def cross_validated(
    examples: Sequence[Example], recipe: str = recipes.DEFAULT, folds: int = FOLDS
) -> Iterator[Measures]:
    """Yield the measures of each fold of a stratified cross-validation, as soon as it is done."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    texts, truth = _columns(examples)
    parts = StratifiedKFold(folds, shuffle=True, random_state=recipes.SEED)
    for learn, judge in parts.split(texts, truth):
        model = recipes.pipeline(recipe).fit(texts[learn], truth[learn])
        yield measured([bool(value) for value in truth[judge]], _probabilities(model, np.asarray(texts)[judge]))


def fitted(examples: Sequence[Example], recipe: str = recipes.DEFAULT) -> Any:
    """Return a model that has learned all of the examples."""
    texts, truth = _columns(examples)
    return recipes.pipeline(recipe).fit(texts, truth)


def judged(model: Any, examples: Sequence[Example]) -> Measures:
    """Return the measures of a model on examples."""
    texts, truth = _columns(examples)
    return measured([bool(value) for value in truth], _probabilities(model, texts))


def probabilities(model: Any, texts: Sequence[str]) -> list[float]:
    """Return for each message the probability that it is spam, from 0 to 1."""
    return _probabilities(model, recipes.prepared(texts)) if texts else []


def _probabilities(model: Any, texts: Any) -> list[float]:
    return [float(value) for value in model.predict_proba(texts)[:, 1]]


def _columns(examples: Sequence[Example]) -> tuple[Any, Any]:
    import numpy as np

    texts = np.array(recipes.prepared(example.text for example in examples), dtype=object)
    return texts, np.array([int(example.is_spam) for example in examples])
