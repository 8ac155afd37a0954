"""From a file of labelled messages to a new version of the spam model, and the decision whether it should work."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jobroom.users import User
from text import message_files, registry
from text.conf import settings
from text.exceptions import CannotTrain, ModelRefused
from text.models import SpamModel, Standing
from text.registry import Source, Trained
from text.spam import recipes, trainer
from text.spam.measures import Measures, mean


class Reporter(Protocol):
    """The part of a task that training needs: to report how it goes."""

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Say how far it is."""

    def stage(self, name: str, weight: float = 1.0, of: float | None = None) -> AbstractContextManager[None]:
        """Report under a heading."""

    def log(self, level: str, message: str, obj: str | None = None) -> None:
        """Add a line to the log."""


@dataclass(frozen=True)
class Lesson:
    """What to learn: a file, how people call it, its encoding, and the recipe."""

    path: Path
    name: str
    encoding: str = "utf-8"
    recipe: str = recipes.DEFAULT


@dataclass(frozen=True)
class Verdict:
    """Whether a new version should work in place of the promoted one, and why."""

    better: bool
    because: str


def train(
    *, lesson: Lesson, reporter: Reporter, by: User | None = None, job_id: str = "", promote: bool = True
) -> tuple[SpamModel, Verdict]:
    """Train a version, keep it, and promote it if it is better than the promoted one and `promote` says so.

    Raises FileRefused and CannotTrain, which say what is wrong with the file.
    """
    with reporter.stage("Read", weight=1, of=10):
        messages = message_files.labelled(lesson.path, lesson.encoding)
        source = Source(lesson.name, message_files.digest(lesson.path), len(messages))
        examples = _enough(trainer.divided(registry.examples_of(messages)))
        _log_counts(reporter, examples, len(messages))
    with reporter.stage("Cross-validate", weight=6, of=10):
        folds = list(_folds(reporter, examples, lesson.recipe))
        middle = mean(folds)
        reporter.log("info", f"Cross-validated F1 of spam {middle['f1']:.4f} ± {middle['f1_spread']:.4f}.")
    with reporter.stage("Learn", weight=2, of=10):
        reporter.progress(0, 1, f"{len(examples.learned):,} messages")
        model = trainer.fitted(examples.learned, lesson.recipe)
        held_out = trainer.judged(model, examples.held_out)
        trained = Trained(model, lesson.recipe, examples, folds, held_out)
        reporter.log("info", f"F1 of spam {held_out.f1:.4f} on {held_out.messages:,} held-out messages.")
    with reporter.stage("Compare", weight=1, of=10):
        reporter.progress(0, 1, "with the promoted version")
        verdict = judge(trained, reporter)
        row = registry.add(trained=trained, source=source, by=by, job_id=job_id, verdict=verdict.because)
        if promote and verdict.better:
            row = registry.promote(number=row.version, by=by)
        reporter.log("info" if verdict.better else "warning", _sentence(row, verdict, promote=promote))
    return row, verdict


def judge(trained: Trained, reporter: Reporter) -> Verdict:
    """Compare a trained model with the promoted one on held-out messages, of which neither has learned any."""
    promoted = SpamModel.objects.promoted()
    if promoted is None:
        return Verdict(True, "It is the first version.")
    try:
        old = trainer.judged(registry.load(promoted).model, trained.examples.held_out)
    except ModelRefused as refused:
        reporter.log("error", str(refused))
        return Verdict(True, f"The promoted version {promoted.version} cannot be used any more.")
    return compared(mean(trained.folds), trained.held_out, old, promoted.version)


def compared(middle: dict[str, float], new: Measures, old: Measures, old_version: int) -> Verdict:
    """Return the verdict on a version, given the means of its cross-validation, against the promoted one.

    Its F1 on the held-out messages must be above that of the promoted version there by TEXT_PROMOTE_MARGIN. As that may be
    luck, its cross-validated F1 must say the same within its standard error.
    """
    needed = min(1.0, round(old.f1 + settings.PROMOTE_MARGIN, 4))
    error = middle["f1_spread"] / trainer.FOLDS**0.5
    figures = (
        f"F1 {new.f1:.4f} on {new.messages:,} held-out messages, where version {old_version} has {old.f1:.4f}; "
        f"{middle['f1']:.4f} ± {error:.4f} cross-validated; the margin is {settings.PROMOTE_MARGIN:g}."
    )
    if new.f1 < needed or new.f1 <= old.f1:
        return Verdict(False, f"Not better by enough: {figures}")
    if middle["f1"] + error < needed:
        return Verdict(
            False, f"Better on the held-out messages, but the cross-validation does not confirm it: {figures}"
        )
    return Verdict(True, f"Better: {figures}")


def is_news(path: Path) -> bool:
    """Return whether a version trained from the file now could differ from those that are there."""
    known = SpamModel.objects.filter(
        data_sha256=message_files.digest(path),
        parameters=registry.parameters(recipes.DEFAULT),
        libraries=registry.libraries(),
    )
    return not known.exists()


def _folds(reporter: Reporter, examples: trainer.Examples, recipe: str) -> Iterator[Measures]:
    total = trainer.FOLDS
    reporter.progress(0, total, f"fold 1 of {total}")
    for number, fold in enumerate(trainer.cross_validated(examples.learned, recipe), start=1):
        reporter.log(
            "info", f"Fold {number}: F1 {fold.f1:.4f}, precision {fold.precision:.4f}, recall {fold.recall:.4f}."
        )
        reporter.progress(number, total, f"fold {min(number + 1, total)} of {total}")
        yield fold


def _enough(examples: trainer.Examples) -> trainer.Examples:
    every = [*examples.learned, *examples.held_out]
    for label, is_spam in (("ham", False), ("spam", True)):
        count = sum(example.is_spam is is_spam for example in every)
        if count < settings.LEAST_EXAMPLES:
            raise CannotTrain(
                f"The file has {count} different {label} message{'s' * (count != 1)}; at least {settings.LEAST_EXAMPLES} of "
                "ham and of spam are needed (TEXT_LEAST_EXAMPLES)."
            )
    return examples


def _log_counts(reporter: Reporter, examples: trainer.Examples, rows: int) -> None:
    every = [*examples.learned, *examples.held_out]
    spam = sum(example.is_spam for example in every)
    reporter.log("info", f"{rows:,} messages, {len(every):,} different ones of which {spam:,} are spam.")
    reporter.log("info", f"{len(examples.learned):,} are learned, {len(examples.held_out):,} are held out.")
    if examples.contradictory:
        reporter.log("warning", f"{examples.contradictory:,} messages have both labels and were left out.")


def _sentence(row: SpamModel, verdict: Verdict, *, promote: bool) -> str:
    if verdict.better and promote:
        return f"Version {row.version} is promoted. {verdict.because}"
    return f"Version {row.version} is kept as a candidate. {verdict.because}"


def summary(row: SpamModel, verdict: Verdict) -> dict[str, Any]:
    """Return the result of a training for the job."""
    return {**row.facts(), "better": verdict.better, "page": row.get_absolute_url()}


def report(row: SpamModel) -> Iterator[str]:
    """Yield what a terminal says about a version."""
    folds = [(f"fold {number}", Measures(**fold)) for number, fold in enumerate(row.folds, start=1)]
    yield from lines([*folds, ("held out", Measures(**row.held_out))])
    yield ""
    yield f"Cross-validated F1 {row.f1:.4f} ± {row.mean['f1_spread']:.4f}. Version {row.version} is {'' if row.state == Standing.PROMOTED else 'a '}{row.state}."


def lines(measures: Iterable[tuple[str, Measures]]) -> Iterator[str]:
    """Yield a report for a terminal: one line for each named measure, and the confusion matrix of the last."""
    last: Measures | None = None
    yield f"{'':<14}{'messages':>9}{'spam':>7}{'F1':>9}{'precision':>11}{'recall':>9}{'accuracy':>10}"
    for name, last in measures:
        yield (
            f"{name:<14}{last.messages:>9,}{last.spam:>7,}{last.f1:>9.4f}{last.precision:>11.4f}{last.recall:>9.4f}"
            f"{last.accuracy:>10.4f}"
        )
    if last is not None:
        (ham_ham, ham_spam), (spam_ham, spam_spam) = last.confusion
        yield ""
        yield f"{'':<14}{'→ ham':>9}{'→ spam':>9}"
        yield f"{'ham':<14}{ham_ham:>9,}{ham_spam:>9,}"
        yield f"{'spam':<14}{spam_ham:>9,}{spam_spam:>9,}"
