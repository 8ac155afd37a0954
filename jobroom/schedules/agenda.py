"""What a scheduler has read: the enabled schedules, and when each is asked next whether it is due.

One row is read again without the others. All rows are read a piece at a time, between which what is due is sent: with tens of
thousands of schedules that takes many seconds. A row that says what it said before costs little.
"""

import gc
import heapq
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from celery.beat import event_t
from celery.utils.time import maybe_make_aware
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom import housekeeping_loops
from jobroom.schedules import services
from jobroom.schedules.entries import RowEntry
from jobroom.schedules.exceptions import UnusableSchedule

logger = logging.getLogger(__name__)

# Rows that are read at once, and how many times as long what is due has before the next ones are read.
PIECE, SHARE = 300, 1.0
RELATED = ("interval", "crontab", "solar", "clocked", "detail", "policy")
# The garbage collector looks at all objects now and then, for a second with 50,000 schedules, in which nothing is sent. From so
# many on it leaves alone what is there when they have been read: most of it lives as long as beat.
MANY = 1000
_PRIORITY = 5  # Celery's events have one; it is the same for all


class Agenda:
    """The schedules as they were read last, and the heap of the times at which they are asked."""

    def __init__(self, app: Any, adjust: Callable[[float], float | None]) -> None:
        self.app = app
        self.entries: dict[int, RowEntry] = {}
        self.heap: list[Any] = []  # Celery's event_t
        self._adjust = adjust  # how much sooner Celery looks than is said
        self._left_out: dict[int, str] = {}
        # Where reading all rows has come to (an id); None while that is not under way.
        self._at: int | None = None
        self._found: set[int] = set()
        # Whether it begins once more at the end, and whether rows are made again that say what they said: now, and then.
        self._again = self._afresh = self._afresh_again = False
        self._not_before = float("-inf")
        self._frozen = False

    @property
    def is_reading(self) -> bool:
        """Whether reading all rows is under way."""
        return self._at is not None

    def read_all(self, *, afresh: bool = False) -> None:
        """Begin to read all rows; `afresh` makes even those again that say what they said."""
        if self.is_reading:
            self._again, self._afresh_again = True, self._afresh_again or afresh
            return
        self._at, self._found, self._afresh = 0, set(), afresh
        self._not_before = float("-inf")

    def read_piece(self) -> None:
        """Read the next rows of all, unless it is the turn of what is due."""
        if self._at is None or (self.is_due and time.monotonic() < self._not_before):
            return
        began = time.monotonic()
        rows = list(_rows().filter(pk__gt=self._at).order_by("pk")[:PIECE])
        self._take(rows)
        self._found.update(row.pk for row in rows)
        if len(rows) == PIECE:
            self._at = rows[-1].pk
        else:
            self._end()
        now = time.monotonic()
        self._not_before = now + SHARE * (now - began)

    def _end(self) -> None:
        for pk in [pk for pk in (*self.entries, *self._left_out) if pk not in self._found]:
            self._drop(pk)
        logger.info("Beat has read %d schedules", len(self.entries))
        if not self._frozen and len(self.entries) >= MANY:
            gc.freeze()
            self._frozen = True
        self._at, self._found = None, set()
        if self._again:
            self._again, afresh, self._afresh_again = False, self._afresh_again, False
            self.read_all(afresh=afresh)

    def read(self, named: Collection[int]) -> None:
        """Read these rows; those that are gone, disabled or over are dropped."""
        rows = list(_rows().filter(pk__in=named))
        if self.is_reading:
            self._found.update(row.pk for row in rows)
        for pk in set(named) - {row.pk for row in rows}:
            self._drop(pk)
        self._take(rows)

    @property
    def is_due(self) -> bool:
        """Whether the time of the first schedule has come."""
        self.tidy()
        return bool(self.heap) and self.heap[0].time <= self._when(self.heap[0].entry, 0)

    def tidy(self) -> None:
        """Drop from the head of the heap what has been read again since, or is gone."""
        while self.heap and not self._is_current(self.heap[0]):
            heapq.heappop(self.heap)

    def take_due(self, most: int) -> list[RowEntry]:
        """Take the first entries whose time has come off the heap; the caller puts each or its follower back."""
        due: list[RowEntry] = []
        now = self._when(self.heap[0].entry, 0) if self.is_due else float("-inf")
        while len(due) < most and self.heap and self.heap[0].time <= now:
            due.append(heapq.heappop(self.heap).entry)
            self.tidy()
        return due

    def put(self, entry: RowEntry, seconds: float) -> None:
        """Let an entry be asked in so many seconds, in the place of the one before it; one that is gone meanwhile is not."""
        if entry.model.pk in self.entries:
            self.entries[entry.model.pk] = entry
            self._push(entry, seconds)

    @property
    def sleep(self) -> float:
        """The seconds until the first schedule is asked; infinity where there is none."""
        self.tidy()
        return self.heap[0].time - self._when(self.heap[0].entry, 0) if self.heap else float("inf")

    def _is_current(self, event: Any) -> bool:
        return self.entries.get(event.entry.model.pk) is event.entry

    def _drop(self, pk: int) -> None:
        self.entries.pop(pk, None)
        self._left_out.pop(pk, None)
        self._found.discard(pk)

    def _take(self, rows: list[PeriodicTask]) -> None:
        for row in services.repair_clock(rows):
            with housekeeping_loops.isolated("reading schedules", f"schedule {row.name}"):
                known = self.entries.get(row.pk)
                if known is None or self._afresh or _content(known.model) != _content(row):
                    self._put(row)

    def _put(self, row: PeriodicTask) -> None:
        self.entries.pop(row.pk, None)
        try:
            entry = RowEntry(row, app=self.app)
            state = entry.next_state()
        except UnusableSchedule as error:
            if self._left_out.get(row.pk) != str(error):
                logger.warning("Schedule %s is left out, it cannot be run: %s", row.name, error)
            self._left_out[row.pk] = str(error)
            return
        self._left_out.pop(row.pk, None)
        self.entries[row.pk] = entry
        self._push(entry, 0 if state.is_due else state.next)

    def _when(self, entry: RowEntry, seconds: float) -> float:
        """Return the time of the entry's clock in so many seconds, since the epoch."""
        return float(maybe_make_aware(entry.default_now()).timestamp() + (self._adjust(seconds) or 0))

    def _push(self, entry: RowEntry, seconds: float) -> None:
        heapq.heappush(self.heap, event_t(self._when(entry, seconds), _PRIORITY, entry))
        if len(self.heap) > 2 * len(self.entries) + PIECE:
            self.heap = [event for event in self.heap if self._is_current(event)]
            heapq.heapify(self.heap)


def _rows() -> Any:
    return PeriodicTask.objects.filter(enabled=True).exclude(expires__lte=timezone.now()).select_related(*RELATED)


def _content(row: PeriodicTask) -> list[Any]:
    """Return what a row and the rows that were read with it say."""
    cached = sorted(
        (name, each) for name, each in row._state.fields_cache.items() if name in RELATED and each is not None
    )
    return [_fields(row), *((name, _fields(each)) for name, each in cached)]


def _fields(row: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if not name.startswith("_")}
