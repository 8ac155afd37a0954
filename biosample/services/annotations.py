"""Annotates what people wrote about records with the terms of vocabularies."""

import dataclasses
import logging
from collections.abc import Iterable
from typing import Any, Protocol

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from biosample.conf import settings
from biosample.models import Annotation, Attribute, Record, Submission
from biosample.querysets import RecordQuerySet
from jobroom.exceptions import JobFailed, LockLost
from ontology.vocabulary import annotator, nearest
from ontology.vocabulary.index import Index

logger = logging.getLogger(__name__)

Outcome = Annotation.Outcome
# Rows written at once.
_BATCH = 500
_WRITTEN = (
    *("value", "outcome", "term_id", "term_name", "confidence", "how", "replaces", "suggestions", "problem"),
    *("vocabulary", "vocabulary_version", "job_id", "annotated_at"),
)


class Reporter(Protocol):
    """The part of a task that reports how it goes."""

    def track(self, rows: list[str], message: str = "") -> Iterable[str]:
        """Yield the rows and report progress."""

    def log(self, level: str, message: str, obj: str | None = None) -> None:
        """Add a line to the job's log."""


@dataclasses.dataclass
class Counts:
    """What became of the records of one attribute."""

    values: int = 0  # different ones that were looked up
    records: int = 0
    found: int = 0  # of the records
    ambiguous: int = 0
    nothing: int = 0
    failed: int = 0

    def add(self, outcome: str, records: int) -> None:
        """Count a value and its records."""
        self.values += 1
        self.records += records
        setattr(self, outcome, getattr(self, outcome) + records)

    def result(self) -> dict[str, Any]:
        """Return the numbers and a sentence made of them."""
        numbers = dataclasses.asdict(self)
        if not self.records:
            return {"summary": "Nothing to annotate: everything has been looked up.", **numbers}
        parts = [f"{numbers[name]} {name}" for name in Outcome.values if numbers[name]]
        return {"summary": f"{self.records} records looked up: {', '.join(parts)}.", **numbers}


def attributes_of(vocabulary: str) -> list[str]:
    """Return the attributes that are annotated with a vocabulary; raise JobFailed, which names those that are used."""
    found = [attribute for attribute, name in settings.VOCABULARIES.items() if name == vocabulary]
    if not found:
        used = ", ".join(sorted(set(settings.VOCABULARIES.values())))
        raise JobFailed(f"Nothing is annotated with “{vocabulary}”, but with: {used} (BIOSAMPLE_VOCABULARIES).")
    return found


def annotate(
    *, attribute: str, index: Index, reporter: Reporter, job_id: str = "", submission: Submission | None = None
) -> Counts:
    """Look up what records say of `attribute` and was not looked up in this version; return the counts.

    Each different value is looked up once. What goes wrong with one does not stop the others; when all go wrong JobFailed
    is raised at the end.
    """
    rows = Record.objects.all() if submission is None else Record.objects.filter(submission=submission)
    Annotation.objects.filter(record__in=rows).outdated(attribute).delete()
    waiting = rows.without_annotation(attribute, index.name, index.version)
    values = list(waiting.order_by(attribute).values_list(attribute, flat=True).distinct())
    counts = Counts()
    title = Attribute(attribute).label
    for value in reporter.track(values, f"Looking up {title}"):
        answer = _answer(value, index, attribute)
        written = _write(waiting.filter(**{attribute: value}), attribute, {**answer, "job_id": job_id})
        counts.add(str(answer["outcome"]), written)
        _report(reporter, title, value, answer)
    if counts.records and counts.failed == counts.records:
        raise JobFailed(f"No {title} could be looked up, for example: {_example(attribute)}")
    return counts


def _answer(value: str, index: Index, attribute: str) -> dict[str, Any]:
    """Return the fields of the annotation of a value."""
    try:
        found = _looked_up(value, index)
    except (SoftTimeLimitExceeded, LockLost):
        raise
    except Exception as error:  # the boundary between values; log lines carry the job id
        logger.exception("The %s %r could not be looked up", attribute, value)
        found = {"outcome": Outcome.FAILED, "problem": f"{type(error).__name__}: {error}"[:1000]}
    blank = {
        "term_id": "", "term_name": "", "confidence": 0.0, "how": "", "replaces": "", "suggestions": [], "problem": "",
    }  # fmt: skip
    answered = {"value": value, "vocabulary": index.name, "vocabulary_version": index.version}
    return {**blank, **answered, **found, "annotated_at": timezone.now()}


def _looked_up(value: str, index: Index) -> dict[str, Any]:
    meanings = annotator.meanings(index, value)
    best = annotator.chosen(meanings)
    if best is not None and not best.term.obsolete:
        return {
            "outcome": Outcome.FOUND,
            "term_id": best.term.id[:300],
            "term_name": best.term.name[:300],
            "confidence": best.confidence,
            "how": best.how,
            "replaces": best.replaces.id[:300] if best.replaces else "",
        }
    if meanings and best is None:
        several = [{**m.term.brief(), "label": m.label, "score": m.confidence} for m in meanings]
        return {"outcome": Outcome.AMBIGUOUS, "suggestions": several[:10]}
    near = [similar.described() for similar in nearest.by_name(index, value, settings.SUGGESTIONS)]
    return {"outcome": Outcome.NOTHING, "suggestions": near}


def _write(rows: RecordQuerySet, attribute: str, values: dict[str, Any]) -> int:
    """Write the same annotation for all records in `rows`; return how many there are."""
    ids = list(rows.values_list("pk", flat=True))
    for start in range(0, len(ids), _BATCH):
        with transaction.atomic():
            Annotation.objects.bulk_create(
                [Annotation(record_id=pk, attribute=attribute, **values) for pk in ids[start : start + _BATCH]],
                update_conflicts=True,
                unique_fields=["record", "attribute"],
                update_fields=_WRITTEN,
            )
    return len(ids)


def _report(reporter: Reporter, title: str, value: str, answer: dict[str, Any]) -> None:
    outcome = answer["outcome"]
    if outcome == Outcome.FAILED:
        reporter.log("error", f"{title} “{value}” could not be looked up: {answer['problem']}")
    elif outcome != Outcome.FOUND:
        names = ", ".join(f"{near['name']} ({near['id']})" for near in answer["suggestions"])
        what = "has several meanings" if outcome == Outcome.AMBIGUOUS else "has no term"
        reporter.log("warning", f"{title} “{value}” {what}" + (f": {names}" if names else ""))


def _example(attribute: str) -> str:
    failed = Annotation.objects.filter(attribute=attribute, outcome=Outcome.FAILED)
    return failed.values_list("problem", flat=True).first() or "see the log"
