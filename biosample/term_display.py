"""What the pages of submissions show about the terms of their records."""

import dataclasses
from typing import Any

from django.db.models import Count

from biosample.models import Annotation, Attribute, Record, Submission

# Values without a term that a page lists.
UNMATCHED = 100


@dataclasses.dataclass(frozen=True)
class Cell:
    """One attribute of one record: the value, and what is known of its term."""

    attribute: str
    value: str
    annotation: Annotation | None

    @property
    def label(self) -> str:
        """What the attribute is called."""
        return str(Attribute(self.attribute).label)

    @property
    def outcome(self) -> str:
        """What came out: one of Annotation.Outcome; "waiting" when this value was not looked up, "" without a value."""
        if not self.value:
            return ""
        if self.annotation is None or self.annotation.value != self.value:
            return "waiting"
        return str(self.annotation.outcome)


def rows(records: list[Record]) -> list[tuple[Record, list[Cell]]]:
    """Return the records, whose annotations were fetched with them, with a cell for each attribute."""
    found = []
    for record in records:
        known = {annotation.attribute: annotation for annotation in record.annotations.all()}
        cells = [Cell(name, getattr(record, name), known.get(name)) for name in Attribute.values]
        found.append((record, cells))
    return found


def unmatched(submission: Submission) -> list[dict[str, Any]]:
    """Return the different values that have no term, most records first, with suggestions and what went wrong."""
    found: list[dict[str, Any]] = []
    for attribute in Attribute:
        of_records = Annotation.objects.filter(record__submission=submission, attribute=attribute)
        current = of_records.exclude(pk__in=of_records.outdated(attribute).values("pk"))
        without = current.exclude(outcome=Annotation.Outcome.FOUND)
        groups = without.order_by().values("value").annotate(records=Count("pk")).order_by("-records", "value")
        for group in groups[:UNMATCHED]:
            example = without.filter(value=group["value"]).first()
            found.append({"attribute": attribute.label, "annotation": example, **group})
    return found


def counts(submission: Submission) -> dict[str, int]:
    """Return how many values the records have, and to how many of them a term was found or none."""
    values = found = done = 0
    for attribute in Attribute.values:
        values += submission.records.exclude(**{attribute: ""}).count()
        of_records = Annotation.objects.filter(record__submission=submission, attribute=attribute)
        current = of_records.exclude(pk__in=of_records.outdated(attribute).values("pk"))
        done += current.count()
        found += current.filter(outcome=Annotation.Outcome.FOUND).count()
    return {"values": values, "found": found, "without": done - found, "waiting": values - done}
