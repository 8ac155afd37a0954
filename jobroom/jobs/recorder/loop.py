"""The recorder's loop: read a batch, write it, send signals, acknowledge; and survive an unavailable Redis or database."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection
from django.dispatch import Signal

from jobroom import exhaustion, signals
from jobroom.events.consumer import Entry, Mark, Reader
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import metric_counters
from jobroom.jobs.conf import settings
from jobroom.jobs.exceptions import InvalidEvent
from jobroom.jobs.models import FINISHED
from jobroom.jobs.recorder import writer
from jobroom.jobs.recorder.parse import LIFE, Event, parse

logger = logging.getLogger(__name__)

# An entry, and the event that it is or why it is none.
Read = tuple[Entry, Event | InvalidEvent]

# The database is away, or so busy that it refuses; anything else is the batch's own fault.
_AWAY = (OperationalError, InterfaceError)
_CHORE = "housekeeping"
# Seconds between two warnings that repairs wait.
_WARN_AGAIN = 60.0
# So often may two recorders meet at the same new jobs before the batch is looked at event by event.
_MEETINGS = 5
# Seconds for which a recorder waits for events before it looks at what has become due.
GLANCE = 0.5
# A recorder that is not behind rests so many times as long as its batch took, but never longer than these seconds.
_SHARE = 9
_LONGEST_REST = 0.15


class Recorder:
    """One member of the group of recorders; `run` returns after `stop`."""

    def __init__(self, reader: Reader | None = None) -> None:
        self.reader = reader or Reader()
        self.stopping = threading.Event()
        self.held: list[Read] = []  # read, but not yet written: tried again until it is
        self.ahead: Future[list[Read]] | None = None  # what is read while the batch before it is written
        self.helper = ThreadPoolExecutor(1, "recorder-reads")
        self.take_over_at = 0.0
        self.housekeeping_at = self.glance_at = 0.0
        self.mark: Mark | None = None  # what the history must have passed before the next round of repairs
        self.marked_at = 0.0
        self.put_off_at = -_WARN_AGAIN
        self.trouble = ""
        self.rest = 0.0  # seconds until the next batch

    def stop(self) -> None:
        """Finish the batch at hand and return."""
        self.stopping.set()

    def run(self) -> None:
        """Record until asked to stop."""
        while not self.stopping.is_set():
            try:
                self.step(wait=GLANCE)
                self._glance()
                self._housekeep()
                self._better()
            except RedisUnavailable as error:
                self._worse("Redis", error)
            except _AWAY as error:
                self._worse("the database", error)
            self.stopping.wait(self.rest)
        self._leave()

    def step(self, wait: float = 0.0) -> int:
        """Record one batch; wait up to `wait` seconds for events. Return how many entries it had."""
        self.held = self.held or self._taken_over() or self._read_ahead() or self._read(wait)
        count = len(self.held)
        self.rest = settings.RECORDER_PAUSE
        if count:
            began = time.monotonic()
            if count >= settings.RECORDER_BATCH and self.ahead is None and not self.stopping.is_set():
                # There is more: the next batch is read while the database works on this one.
                self.ahead = self.helper.submit(self._read, 0.0)
            self._record(self.held)
            self.held = []
            self.rest = _rest(count, time.monotonic() - began)
        return count

    def _read(self, wait: float) -> list[Read]:
        return _parsed(self.reader.read(settings.RECORDER_BATCH, wait))

    def _read_ahead(self) -> list[Read]:
        ahead, self.ahead = self.ahead, None
        return ahead.result() if ahead is not None else []

    def _taken_over(self) -> list[Read]:
        """Return entries that another recorder has not finished."""
        if time.monotonic() < self.take_over_at:
            return []
        entries = self.reader.take_over(settings.RECORDER_BATCH, settings.RECORDER_TAKE_OVER)
        if not entries:
            self.take_over_at = time.monotonic() + settings.RECORDER_TAKE_OVER / 2
        return _parsed(entries)

    def _record(self, found: list[Read]) -> None:
        events = self._understood(found)
        changes = self._written([(entry, event) for entry, event in events if event.type in LIFE])
        # Published before it is acknowledged: after a crash in between, subscribers hear twice rather than never.
        # A workflow's nodes before its own end: who sees that it has ended should see how each node did.
        if nodes := [(c.workflow_id, c.node, c.state, c.event) for c in changes if c.workflow_id]:
            _send(signals.nodes_changed, nodes=nodes)
        metric_counters.count(changes)
        for _, event in events:
            if event.type not in LIFE:
                _send(signals.event_recorded, event={**event.data, "seq": event.seq})
        for change in changes:
            if change.state == change.previous:
                continue
            _send(
                signals.job_changed,
                job_id=change.job_id,
                task=change.task,
                state=change.state,
                previous=change.previous,
            )
        if lived := list(dict.fromkeys(event.job for _, event in events if event.type in LIFE)):
            ended = [(change.job_id, change.task, change.state) for change in changes if change.state in FINISHED]
            _send(signals.jobs_recorded, job_ids=lived, ended=ended)
        self.reader.done(entry for entry, _ in found)

    def _understood(self, found: Iterable[Read]) -> list[tuple[Entry, Event]]:
        events = []
        for entry, event in found:
            if isinstance(event, InvalidEvent):
                self._put_aside(entry, str(event))
            else:
                events.append((entry, event))
        return events

    def _written(self, pairs: Sequence[tuple[Entry, Event]]) -> list[writer.Change]:
        """Write the events; those that the database refuses are found by halving, and put aside."""
        if not pairs:
            return []
        try:
            return self._write([event for _, event in pairs])
        except _AWAY:
            raise
        except Exception as error:  # the boundary: one event must never stop the database
            if len(pairs) == 1:
                entry, event = pairs[0]
                logger.exception("Event %s of job %s cannot be recorded", event.type, event.job)
                self._put_aside(entry, f"{type(error).__name__}: {error}")
                return []
        middle = len(pairs) // 2
        return self._written(pairs[:middle]) + self._written(pairs[middle:])

    def _write(self, events: list[Event]) -> list[writer.Change]:
        for _ in range(_MEETINGS):
            try:
                return writer.write(events)
            except IntegrityError:
                # Another recorder has just written one of these jobs; now it is there and is found.
                logger.debug("Met another recorder at a new job")
        return writer.write(events)

    def _put_aside(self, entry: Entry, reason: str) -> None:
        logger.error("Entry %s of the events' stream is put aside: %s", entry.id, reason)
        self.reader.put_aside(entry, reason)

    def _glance(self) -> None:
        now = time.monotonic()
        if now >= self.glance_at:
            self.glance_at = now + GLANCE / 2
            _send(signals.glance)

    def _housekeep(self) -> None:
        """Send the signal for repairs, when the history has passed the mark that was taken for this round.

        Repairs act on what is absent. While events are unread they would take a job that runs for one whose message was
        lost, so the round waits for them; one that has waited for long is given up, and another mark is taken.
        """
        now = time.monotonic()
        if now < self.housekeeping_at:
            return
        if self.mark is None:
            self.mark, self.marked_at = self.reader.mark(), now
        if not self.reader.is_recorded(self.mark):
            if now - self.marked_at > settings.MARK_VALID:
                self._put_off(now)
            return
        mark, self.mark = self.mark, None
        if time.monotonic() - self.marked_at <= settings.MARK_VALID:
            self._round(mark)

    def _put_off(self, now: float) -> None:
        self.mark = None
        if now - self.put_off_at >= _WARN_AGAIN:
            self.put_off_at = now
            logger.warning("Repairs wait: the history does not know yet what happened %.0f s ago", now - self.marked_at)

    def _round(self, mark: Mark) -> None:
        pause = settings.HOUSEKEEPING_INTERVAL
        self.housekeeping_at = time.monotonic() + pause / 2
        if self.reader.turn(_CHORE, 60):
            try:
                _send(signals.housekeeping, mark=mark)
                self.reader.forget_others()
            finally:
                self.reader.end_turn(_CHORE, pause)

    def _worse(self, what: str, error: Exception) -> None:
        """Log once that something is away, and wait a moment; the batch at hand is tried again."""
        if self.trouble != what:
            logger.error("The recorder waits for %s: %s %s", what, error, exhaustion.sentence(error))
            self.trouble = what
        connection.close()
        self.stopping.wait(settings.RECORDER_PATIENCE)

    def _better(self) -> None:
        if self.trouble:
            logger.warning("The recorder continues: %s is back", self.trouble)
            self.trouble = ""

    def _leave(self) -> None:
        try:
            if self.ahead is not None and not self.held:
                self.step()  # else it would lie until another recorder takes it over
        except _AWAY as error:
            logger.warning("The last events wait for another recorder: %s", error)
        except RedisUnavailable as error:
            logger.warning("Redis did not give the last events: %s", error)
        self.helper.shutdown()
        try:
            self.reader.leave()
        except RedisUnavailable as error:
            logger.warning("Redis was unavailable when the recorder stopped: %s", error)


def _parsed(entries: Iterable[Entry]) -> list[Read]:
    found: list[Read] = []
    for entry in entries:
        try:
            found.append((entry, parse(entry)))
        except InvalidEvent as error:
            found.append((entry, error))
    return found


def _rest(count: int, seconds: float) -> float:
    """Return how long to wait after a batch of `count` entries that took `seconds`: not at all when there are more.

    Each batch costs something however small it is, and the workers want the processor. So where much happens, the
    batches become fuller.
    """
    if count >= settings.RECORDER_BATCH:
        return 0.0
    return max(float(settings.RECORDER_PAUSE), min(_SHARE * seconds, _LONGEST_REST))


def _send(signal: Signal, **data: Any) -> None:
    """Send a signal; a receiver that raises is logged with the job's id and harms no one else."""
    for receiver, answer in signal.send_robust(sender=Recorder, **data):
        if isinstance(answer, DatabaseError) and connection.connection is not None and not connection.is_usable():
            connection.close()
        if isinstance(answer, Exception):
            name = getattr(receiver, "__qualname__", repr(receiver))
            logger.error("%s failed for job %s", name, data.get("job_id"), exc_info=answer)
