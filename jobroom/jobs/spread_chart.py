"""The charts of waits and durations: a bar for each step, filled up to the median, and its outline up to the 95th percentile."""

import dataclasses
from collections.abc import Sequence

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobroom.jobs.bar_chart import HIGH, WIDE, frame
from jobroom.jobs.number_formats import duration, number_of
from jobroom.jobs.percentiles import Both, Numbers, Span, Spread

# The share of a column that stays empty; no bar is lower than can be seen.
GAP, LEAST = 0.2, 1.5


@dataclasses.dataclass(frozen=True)
class Chart:
    """One chart: its picture, what the whole height and half of it stand for, and the whole span in words."""

    picture: SafeString
    top: float
    summary: str

    @property
    def half(self) -> float:
        """Seconds at half its height."""
        return self.top / 2


def charts(numbers: Numbers) -> dict[str, Chart]:
    """Return the charts of waits and of durations, empty where there was none."""
    found = {}
    for name, kind, title in (("wait", "waited", "Waits"), ("took", "ran", "Durations")):
        spreads = [getattr(step, name) for step in numbers.steps]
        whole = getattr(numbers.whole, name)
        found[name] = _chart(f"{title} in the last {numbers.span.words}", kind, numbers, spreads, whole)
    return found


def _chart(title: str, kind: str, numbers: Numbers, spreads: Sequence[Spread], whole: Spread) -> Chart:
    top = max((spread.p95 for spread in spreads if spread.p95 is not None), default=0.0) or 1.0
    width = WIDE / len(spreads)
    columns = [
        (
            f"{moment_words(step, numbers.span)}: {spread_words(spread, kind)}",
            _bar(spread, top, place * width, width),
        )
        for place, (step, spread) in enumerate(zip(numbers.steps, spreads, strict=True))
    ]
    summary = spread_words(whole, kind)
    half = format_html('<line class="spread-line" x1="0" x2="{}" y1="{}" y2="{}"/>', WIDE, HIGH // 2, HIGH // 2)
    return Chart(frame(columns, f"{title}: {summary}", kind="spread", behind=half), top, summary)


def _bar(spread: Spread, top: float, left: float, width: float) -> SafeString:
    if spread.p50 is None or spread.p95 is None:
        return SafeString("")
    pieces = []
    for name, value in (("high", spread.p95), ("half", spread.p50)):
        tall = max(LEAST, HIGH * value / top)
        place = f"{left + width * GAP / 2:.1f}"
        pieces.append((name, place, f"{HIGH - tall:.1f}", f"{width * (1 - GAP):.1f}", f"{tall:.1f}"))
    return format_html_join("", '<rect class="spread-{}" x="{}" y="{}" width="{}" height="{}"/>', pieces)


def spread_words(spread: Spread, kind: str) -> str:
    """Return how long jobs waited or ran in words; `kind` is the verb."""
    if not spread.number:
        return "none"
    jobs = number_of(spread.number, "job", "jobs")
    return f"{jobs}, half {kind} at most {duration(spread.p50)}, 95 of 100 at most {duration(spread.p95)}"


def moment_words(step: Both, span: Span) -> str:
    """Return when a step was, in the viewer's zone: the day, or the day and time where steps are shorter."""
    if step.begin is None or step.end is None:
        return ""
    begin, end = timezone.localtime(step.begin), timezone.localtime(step.end)
    if span.step.days:
        return f"{begin:%a %d %b} from {begin:%H:%M}"
    return f"{begin:%a %d %b %H:%M} to {end:%H:%M}" if span.length.days > 1 else f"{begin:%H:%M} to {end:%H:%M}"
