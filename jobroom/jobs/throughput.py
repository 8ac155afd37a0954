"""How many jobs ended in each hour of the last day, and how: the numbers of the overview's chart, and its picture."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.db.models import Q
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobroom.jobs import policies
from jobroom.jobs.models import FINISHED, State
from jobroom.jobs.search import newest, visible_paths
from jobroom.users import User

HOURS = 24
# So many of the newest finished jobs are looked at, of each state; the chart says where that was not all.
LOOKED_AT = 500
# Seconds for which the numbers are remembered.
KEPT = 5
# What is drawn, from the bottom up, with the words below it.
KINDS = {"succeeded": "succeeded", "failed": "failed or lost", "others": "cancelled or skipped"}
_KIND = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.LOST: "failed"}
# The picture in units of its own.
WIDE, HIGH, GAP = 960, 120, 6


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
    since: (
        datetime | None
    )  # the moment back to which jobs were looked at, where there were more of them; None where all

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
    key = f"jobroom.jobs.day.{_scope(user)}"
    found: tuple[datetime, Counter[tuple[int, str]], datetime | None] | None = cache.get(key)
    if found is None:
        found = _read(user, timezone.now())
        cache.set(key, found, KEPT)
    now, numbers, since = found
    first = _hour(now) - timedelta(hours=HOURS - 1)
    hours = [
        Hour(first + timedelta(hours=n), {kind: numbers[(n, kind)] for kind in KINDS if numbers[(n, kind)]})
        for n in range(HOURS)
    ]
    return Day(hours, since)


def _scope(user: User | AnonymousUser) -> str:
    """Return whose jobs are counted: all of them, or those of one person."""
    if policies.sees_all(user):
        return "all"
    shown = ",".join(sorted(policies.tasks_open_to(user, "see")))
    return f"{user.pk}.{hashlib.sha256(shown.encode()).hexdigest()[:12]}"


def _hour(moment: datetime) -> datetime:
    return timezone.localtime(moment).replace(minute=0, second=0, microsecond=0)


def _read(user: User | AnonymousUser, now: datetime) -> tuple[datetime, Counter[tuple[int, str]], datetime | None]:
    first = _hour(now) - timedelta(hours=HOURS - 1)
    numbers: Counter[tuple[int, str]] = Counter()
    cut: list[datetime] = []
    for state in sorted(FINISHED):
        rows = list(newest(_path(user, state), LOOKED_AT, ("id", "created_at", "state", "finished_at")))
        if len(rows) >= LOOKED_AT and rows[-1][1] > first:
            cut.append(rows[-1][1])
        seen = {pk: ended for pk, _, found, ended in rows if found == state and ended and ended >= first}
        for ended in seen.values():
            hour = min(HOURS - 1, int((ended - first).total_seconds() // 3600))
            numbers[(hour, _KIND.get(State(state), "others"))] += 1
    return now, numbers, max(cut, default=None)


def _path(user: User | AnonymousUser, state: str) -> Sequence[Q]:
    """Return the way along an index to the jobs of a state that the user may see, or to more of them."""
    paths = visible_paths(user, state=state)
    return paths[0] if paths else [Q(state=state)]


def picture(day: Day) -> SafeString:
    """Return the chart as SVG: a bar for each hour, with a piece for each kind; its text says the numbers."""
    most = max((hour.total for hour in day.hours), default=0) or 1
    width = WIDE / HOURS
    bars = []
    for n, hour in enumerate(day.hours):
        top = float(HIGH)
        pieces = []
        for kind in KINDS:
            tall = HIGH * hour.numbers.get(kind, 0) / most
            if tall:
                tall = max(tall, 2.0)
                top -= tall
                pieces.append((kind, f"{n * width + GAP / 2:.1f}", f"{top:.1f}", f"{width - GAP:.1f}", f"{tall:.1f}"))
        bars.append((
            f"{n * width:.1f}", f"{width:.1f}", str(HIGH), _words(hour),
            format_html_join("", '<rect class="chart-{}" x="{}" y="{}" width="{}" height="{}" rx="1.5"/>', pieces),
        ))  # fmt: skip
    return format_html(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        WIDE,
        HIGH,
        f"Jobs that ended in the last {HOURS} hours: {summary(day)}",
        format_html_join(
            "", '<g><rect class="chart-hour" x="{}" y="0" width="{}" height="{}"/><title>{}</title>{}</g>', bars
        ),
    )


def summary(day: Day) -> str:
    """Return the numbers of the whole day in words."""
    parts = [f"{number:,} {KINDS[kind]}" for kind, number in day.numbers.items() if number]
    return ", ".join(parts) or "none"


def _words(hour: Hour) -> str:
    said = ", ".join(f"{hour.numbers[kind]:,} {word}" for kind, word in KINDS.items() if hour.numbers.get(kind))
    local = timezone.localtime(hour.begin)
    return f"{local:%H:%M} to {local + timedelta(hours=1):%H:%M} {local:%Z}: {said or 'none'}"
