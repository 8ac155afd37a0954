"""How good a detector is, in figures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# From this probability on a message counts as spam.
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Measures:
    """What came out on messages whose label is known. Precision, recall and F1 are those of spam, all from 0 to 1."""

    messages: int
    spam: int
    f1: float
    precision: float
    recall: float
    accuracy: float
    brier: float  # mean squared error of the probabilities (Brier 1950), 0 is best
    confusion: list[list[int]]  # [[ham as ham, ham as spam], [spam as ham, spam as spam]]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def measured(is_spam: Sequence[bool], probabilities: Sequence[float]) -> Measures:
    """Compare the probabilities of spam with the truth."""
    confusion = [[0, 0], [0, 0]]
    error = 0.0
    for truth, probability in zip(is_spam, probabilities, strict=True):
        confusion[truth][probability >= THRESHOLD] += 1
        error += (probability - truth) ** 2
    (true_ham, false_spam), (false_ham, true_spam) = confusion
    count = len(is_spam)
    precision = _share(true_spam, true_spam + false_spam)
    recall = _share(true_spam, true_spam + false_ham)
    return Measures(
        messages=count,
        spam=true_spam + false_ham,
        f1=_rounded(_share(2 * true_spam, 2 * true_spam + false_spam + false_ham)),
        precision=_rounded(precision),
        recall=_rounded(recall),
        accuracy=_rounded(_share(true_ham + true_spam, count)),
        brier=_rounded(error / count if count else 0.0),
        confusion=confusion,
    )


def mean(folds: Sequence[Measures]) -> dict[str, Any]:
    """Return mean and standard deviation of F1, and the other means, over the folds of a cross-validation."""
    f1 = [fold.f1 for fold in folds]
    middle = sum(f1) / len(f1)
    spread = (sum((value - middle) ** 2 for value in f1) / len(f1)) ** 0.5
    others = {
        name: _rounded(sum(getattr(fold, name) for fold in folds) / len(folds))
        for name in ("precision", "recall", "accuracy", "brier")
    }
    return {"f1": _rounded(middle), "f1_spread": _rounded(spread), **others}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _rounded(value: float) -> float:
    return round(value, 4)
