"""The bar of a job's times: how long it waited, and each attempt as long as it ran, in the colours of the states."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobroom.jobs.models import Attempt, Job, State
from jobroom.jobs.number_formats import duration

# The picture in units of its own; no piece is thinner than can be seen.
WIDE, HIGH, LEAST = 1000, 12, 6


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of a job's life."""

    state: str  # gives the colour; empty while it waited
    begin: datetime
    end: datetime
    words: str

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return max(0.0, (self.end - self.begin).total_seconds())


def pieces(job: Job, attempts: Sequence[Attempt], now: datetime | None = None) -> list[Piece]:
    """Return the stretches in their order: waits, and the attempts."""
    until = job.finished_at or now or timezone.now()
    if job.answer_of:
        return [Piece("", job.created_at, until, "waited for the answer of another job")]
    found: list[Piece] = []
    at = job.created_at
    for attempt in sorted(attempts, key=lambda one: one.number):
        if attempt.started_at is None:
            continue
        found.append(Piece("", at, attempt.started_at, "waited" if not found else "waited for the next attempt"))
        at = attempt.finished_at or until
        state = State(attempt.state)
        words = f"attempt {attempt.number} {state.label.lower()}" if len(attempts) > 1 else state.label.lower()
        found.append(Piece(state.value, attempt.started_at, at, words))
    if not job.is_finished and job.state != State.RUNNING:
        found.append(Piece("", at, until, "waits"))
    elif not found:
        found.append(Piece("", at, until, "waited"))
    return [piece for piece in found if piece.seconds > 0 or piece.state]


def picture(job: Job, attempts: Sequence[Attempt]) -> SafeString:
    """Return the bar as SVG; its text says all of it."""
    found = pieces(job, attempts)
    if not found:
        return SafeString("")
    total = sum(piece.seconds for piece in found) or 1.0
    room = WIDE - LEAST * len(found)
    rows, at = [], 0.0
    for piece in found:
        wide = LEAST + room * piece.seconds / total
        said = f"{piece.words} for {duration(piece.seconds)}"
        rows.append((piece.state or "waiting", f"{at:.1f}", f"{wide:.1f}", HIGH, said))
        at += wide
    text = ", then ".join(row[4] for row in rows)
    return format_html(
        '<svg class="times-bar" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        WIDE, HIGH, text[:1].upper() + text[1:],
        format_html_join("", '<g class="state-{}"><rect x="{}" y="0" width="{}" height="{}"/><title>{}</title></g>', rows),
    )  # fmt: skip
