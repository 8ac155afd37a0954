"""The overview's chart: finished jobs in each hour of the last day, by state."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Sum
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobroom.jobs import hourly_counts
from jobroom.jobs.bar_chart import HIGH, WIDE, frame
from jobroom.jobs.models import State
from jobroom.users import User

HOURS = 24
# What is drawn, from the bottom up, with the words below it.
KINDS = {"succeeded": "succeeded", "failed": "failed or lost", "others": "cancelled or skipped"}
_KIND = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.LOST: "failed"}
# Between two bars, in units of the picture.
GAP = 6


@dataclasses.dataclass(frozen=True)
class Hour:
    """What ended in one hour."""

    begin: datetime
    numbers: dict[str, int]  # by kind

    @property
    def total(self) -> int:
        """How many ended."""
        return sum(self.numbers.values())


@dataclasses.dataclass(frozen=True)
class Day:
    """The last hours, the oldest first."""

    hours: Sequence[Hour]

    @property
    def numbers(self) -> dict[str, int]:
        """How many ended in all hours, by kind."""
        return {kind: sum(hour.numbers.get(kind, 0) for hour in self.hours) for kind in KINDS}

    @property
    def total(self) -> int:
        """How many ended."""
        return sum(self.numbers.values())


def day_of(user: User | AnonymousUser) -> Day:
    """Return what ended in the last day of the jobs that the user may see."""
    first = hourly_counts.hour_of(timezone.now()) - timedelta(hours=HOURS - 1)
    rows = hourly_counts.visible_to(user).filter(hour__gte=first).values_list("hour", "state")
    numbers: Counter[tuple[datetime, str]] = Counter()
    for hour, state, number in rows.annotate(sum=Sum("number")):
        numbers[hour, _KIND.get(State(state), "others")] += number
    begins = [first + timedelta(hours=n) for n in range(HOURS)]
    return Day([Hour(at, {kind: number for kind in KINDS if (number := numbers[at, kind]) > 0}) for at in begins])


def picture(day: Day) -> SafeString:
    """Return the chart as SVG: a bar for each hour, with a piece for each kind; its text says the numbers."""
    most = max((hour.total for hour in day.hours), default=0) or 1
    width = WIDE / HOURS
    columns = []
    for n, hour in enumerate(day.hours):
        top = float(HIGH)
        pieces = []
        for kind in KINDS:
            tall = HIGH * hour.numbers.get(kind, 0) / most
            if tall:
                tall = max(tall, 2.0)
                top -= tall
                pieces.append((kind, f"{n * width + GAP / 2:.1f}", f"{top:.1f}", f"{width - GAP:.1f}", f"{tall:.1f}"))
        drawn = format_html_join("", '<rect class="chart-{}" x="{}" y="{}" width="{}" height="{}" rx="1.5"/>', pieces)
        columns.append((_words(hour), drawn))
    return frame(columns, f"Jobs that ended in the last {HOURS} hours: {summary(day)}")


def summary(day: Day) -> str:
    """Return the numbers of the whole day in words."""
    parts = [f"{number:,} {KINDS[kind]}" for kind, number in day.numbers.items() if number]
    return ", ".join(parts) or "none"


def _words(hour: Hour) -> str:
    said = ", ".join(f"{hour.numbers[kind]:,} {word}" for kind, word in KINDS.items() if hour.numbers.get(kind))
    local = timezone.localtime(hour.begin)
    return f"{local:%H:%M} to {local + timedelta(hours=1):%H:%M} {local:%Z}: {said or 'none'}"
