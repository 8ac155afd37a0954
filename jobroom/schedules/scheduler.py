"""The beat scheduler: reads the schedules from the database and sends their jobs when they are due.

Several schedulers may run at once. A scheduler that is to send a job first *claims* it: in one short transaction it looks whether
the row is as it was read, and writes the run into it. So no run is sent twice, and none needs a lock that someone may keep. What is
due together is claimed together, and remembered until it is sent: a scheduler that is killed in between loses none.
"""

import contextlib
import logging
import time
from datetime import datetime
from typing import Any, ClassVar

from celery.beat import SchedulingError
from celery.schedules import schedstate
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler
from kombu.exceptions import OperationalError as BrokerError

from jobroom import housekeeping_loops, redis
from jobroom.celery import beat, held_settings, publisher
from jobroom.schedules import services
from jobroom.schedules.agenda import Agenda
from jobroom.schedules.backfill_runs import Backfills
from jobroom.schedules.entries import RowEntry, state_of, take_all
from jobroom.schedules.held_runs import HeldRuns
from jobroom.schedules.services import closed_runs, marks, overlap, pauses, runs, unsent
from jobroom.schedules.services.dispatch import broker_errors

logger = logging.getLogger(__name__)

# Seconds: longest sleep, so that a change is in effect within one second; least time between two looks for changes; when
# everything is read again although nothing says that it changed; when a database or broker that is away is tried again.
MAX_INTERVAL = 0.6
CHECK_INTERVAL = 0.5
RELOAD_INTERVAL = 300.0
RETRY = 2.0
# Seconds until a schedule whose time cannot be computed is looked at again.
FAULTY = 60.0
# Runs that are claimed together at most.
MOST_AT_ONCE = 100

# A clock that is moved by more than this makes all computed times worthless. Small steps, as by NTP, need nothing.
CLOCK_MOVED = 5.0

DATABASE_AWAY = (DatabaseError, InterfaceError)


def _clock() -> float:
    """Return by how much the wall clock is ahead of the one that no one can set."""
    return time.time() - time.monotonic()


def _cause(error: SchedulingError) -> BaseException | None:
    return error.__cause__ or error.__context__


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Beat's scheduler over the database; survives a database or a broker that is away for a moment."""

    Entry = RowEntry
    # Jobs are sent through Celery's pool of producers, which connects again by itself.
    producer: ClassVar[None] = None

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._agenda = Agenda(app, self.adjust)
        self._merged = False
        self._seen: datetime | None = None
        # Schedules whose row is not what was read: another scheduler took their run, or a run of theirs was given back.
        self._unsure: set[int] = set()
        # Claimed runs that could not be sent, and not be given back either, because the database was away.
        self._owed: list[RowEntry] = []
        self._held = HeldRuns()
        self._backfills = Backfills()
        # How many runs are claimed together: fewer after a claim that failed, or one bad row would hold up all others.
        self._at_once = MOST_AT_ONCE
        self._clock = _clock()
        # When the next pause ends by itself, as it was read last.
        self._pause_ends: datetime | None = None
        self._loaded_at = self._checked_at = self._resume_at = float("-inf")
        super().__init__(app, *args, **kwargs)
        self.max_interval = kwargs.get("max_interval") or app.conf.beat_max_loop_interval or MAX_INTERVAL

    def setup_schedule(self) -> None:
        """Do nothing yet: the first tick merges the settings, and goes on trying while the database is away."""

    @property
    def schedule(self) -> dict[int, RowEntry]:
        """The enabled schedules as they were read last, by the ids of their rows."""
        return self._agenda.entries

    def sync(self) -> None:
        """Do nothing: each run is written down before it is sent."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds to sleep."""
        beat.beat_tick()
        try:
            self._refresh()
            self._send_due()
            sleep = float(max(0.0, min(self._agenda.sleep + self.adjust(0.0), self.max_interval)))
        except DATABASE_AWAY as error:
            logger.warning("Beat: the database is unavailable: %s", error)
            return RETRY
        return 0.0 if self._agenda.is_reading else sleep

    def _refresh(self) -> None:
        """Read again what someone changed, and a piece of all rows where that is under way."""
        self._notice_clock()
        if time.monotonic() - self._checked_at >= CHECK_INTERVAL:
            self._look()
        self._agenda.read_piece()

    def _look(self) -> None:
        close_old_connections()
        self._give_back_owed()
        if not self._merged:
            services.merge_settings(self.app.conf.beat_schedule)
            self._merged = True
        if self._pause_ends is not None and timezone.now() >= self._pause_ends:
            pauses.resume_due()
            self._pause_ends = pauses.next_end()
        self._read_changes(time.monotonic())
        self._held.send(self)
        self._backfills.send(self)
        self._checked_at = time.monotonic()

    def _read_changes(self, now: float) -> None:
        """Read the rows that changed; all of them where no one says which, and now and then."""
        changed = PeriodicTasks.last_change()
        # Different, not later: the clocks of two machines need not agree.
        rows = marks.between(self._seen, changed) if changed != self._seen else set()
        if rows is None or now - self._loaded_at > RELOAD_INTERVAL:
            self._agenda.read_all()
            self._pause_ends, self._loaded_at, rows = pauses.next_end(), now, rows or set()
        elif rows:
            self._pause_ends = pauses.next_end()
        unsure = set(self._unsure)
        if wanted := rows | unsure:
            self._agenda.read(wanted)
        self._unsure -= unsure
        self._seen = changed

    def _notice_clock(self) -> None:
        """Compute everything again when someone has set this machine's clock: the times in the heap are worthless."""
        clock = _clock()
        if abs(clock - self._clock) > CLOCK_MOVED:
            logger.warning("The clock was set by %+.0f s; all schedules count from the new time", clock - self._clock)
            self._reload_soon()
        self._clock = clock

    def _reload_soon(self) -> None:
        self._checked_at = float("-inf")
        self._agenda.read_all(afresh=True)

    def _send_due(self) -> None:
        """Send what is due, so many runs as are claimed together."""
        if time.monotonic() < self._resume_at:
            return
        entries = self._agenda.take_due(self._at_once)
        with held_settings.held(self.app.conf) if len(entries) > 1 else contextlib.nullcontext():
            self._send_these(entries)

    def _send_these(self, entries: list[RowEntry]) -> None:
        """Send those of the entries that are due, and let all be asked again in time."""
        due: dict[int, tuple[RowEntry, schedstate]] = {}
        for entry in entries:
            state = schedstate(False, FAULTY)
            with housekeeping_loops.isolated("sending schedules", f"schedule {entry.name}"):
                state = state_of(entry)
            if state.is_due:
                due[entry.model.pk] = (entry, state)
            else:
                self._agenda.put(entry, state.next)
        claimed = self._claim([entry for entry, _ in due.values()])
        until = time.monotonic() + runs.SENDS_FOR.total_seconds()
        for entry in claimed:
            with housekeeping_loops.isolated("sending schedules", f"schedule {entry.name}"):
                following = next(entry)
                self._agenda.put(following, entry.state_after(due[entry.model.pk][1]).next)
        self._send_claimed(claimed, until)
        self._give_back_owed()

    def _send_claimed(self, claimed: list[RowEntry], until: float) -> None:
        """Send runs that are ours until a moment of the monotonic clock; where the broker takes them so, in one step."""
        dealt_with: list[RowEntry] = []
        kept: list[tuple[RowEntry, range]] = []  # with the places of its messages
        # One run alone is published by itself, which says best what is wrong with it.
        with publisher.together(self.app) if len(claimed) > 1 else contextlib.nullcontext() as messages:
            try:
                for entry in claimed:
                    # One that was claimed long ago, by a scheduler that stood still, may be sent by another now.
                    if time.monotonic() < self._resume_at or time.monotonic() > until:
                        self._owed.append(entry)
                        continue
                    first = messages.number if messages else 0
                    with housekeeping_loops.isolated("sending schedules", f"schedule {entry.name}"):
                        if not self.apply_entry(entry, messages):
                            continue
                        if messages and messages.number > first:
                            kept.append((entry, range(first, messages.number)))
                        else:
                            dealt_with.append(entry)
            finally:  # also where beat is asked to stop
                if messages:
                    dealt_with += self._publish(messages, kept, until)
                unsent.forget(dealt_with)

    def _publish(
        self, messages: publisher.Together, kept: list[tuple[RowEntry, range]], until: float
    ) -> list[RowEntry]:
        """Publish what was kept for these runs; return those that are dealt with, the others are still to come."""
        messages.report()
        if time.monotonic() > until:
            self._owed += [entry for entry, _ in kept]
            return []
        try:
            refused = messages.send()
        except BrokerError as error:
            for entry, _ in kept:
                self._wait_for_broker(entry, error)
            return []
        failed = {entry.model.pk: refused[place] for entry, places in kept for place in places if place in refused}
        for entry, _ in kept:
            if said := failed.get(entry.model.pk):
                self._wait_for_broker(entry, said)
        return [entry for entry, _ in kept if entry.model.pk not in failed]

    def _wait_for_broker(self, entry: RowEntry, error: BaseException | None) -> None:
        logger.warning("Failed to publish schedule %s, the broker is unavailable: %s", entry.name, error)
        self._owe(entry)

    def _claim(self, entries: list[RowEntry]) -> list[RowEntry]:
        """Claim the runs of these entries; return those that are ours. The others are read again, or asked again soon."""
        if not entries:
            return []
        try:
            claimed = take_all(entries)
        except Exception as error:  # noqa: BLE001 — the boundary: see below
            self._not_claimed(entries, error)
            return []
        self._at_once = min(MOST_AT_ONCE, 2 * self._at_once)
        ours = {entry.model.pk for entry in claimed}
        for entry in entries:
            if entry.model.pk not in ours:
                self._unsure.add(entry.model.pk)
                self._agenda.put(entry, RETRY)
        return claimed

    def _not_claimed(self, entries: list[RowEntry], error: Exception) -> None:
        """Ask again later what could not be claimed; next time one by one, so that a bad row shows which it is."""
        more = f" and {len(entries) - 1} more" if len(entries) > 1 else ""
        away = isinstance(error, (OperationalError, InterfaceError))
        self._at_once, at_fault = 1, len(entries) == 1 and not away
        for entry in entries:
            self._agenda.put(entry, FAULTY if at_fault else RETRY if away else 0.0)
        if away:
            logger.warning("Schedule %s%s: the database is unavailable: %s", entries[0].name, more, error)
        elif at_fault:
            logger.error("Schedule %s cannot be claimed", entries[0].name, exc_info=error)
            housekeeping_loops.note("sending schedules", f"schedule {entries[0].name}", error)

    def apply_entry(self, entry: RowEntry, producer: Any = None) -> bool:
        """Send the job of a claimed entry, or let `producer` keep its message, and return whether it is dealt with.

        While the broker is away it is not: the run is still to come.

        A run for which its owner has no right any more is left out, and so is one that a person wanted left out, or that
        the schedule's policy says is skipped; one that has to wait, or is made up with others, is sent later.
        """
        try:
            due = self._what_is_sent(entry)
        except (*DATABASE_AWAY, *redis.LostError) as error:
            logger.warning("Schedule %s waits, a server is unavailable: %s", entry.name, error)
            self._owe(entry)
            return False
        if due is None:
            return True
        try:
            self.send(entry.of(due), producer)
        except SchedulingError as error:
            if self.is_away(error):
                self._wait_for_broker(entry, _cause(error))
                return False
            logger.exception("Schedule %s could not send its job", entry.name)
        return True

    def send(self, entry: RowEntry, producer: Any = None) -> None:
        """Send the job of an entry, or let `producer` keep its message; raises SchedulingError."""
        logger.info("Sending %s (%s)", entry.name, entry.task)
        if runs.policy_of(entry.model) is not None:
            runs.sent([entry.model], entry.options["task_id"])
        self.apply_async(entry, producer=producer, advance=False)

    def is_away(self, error: SchedulingError) -> bool:
        """Return whether a job could not be sent because the broker is away."""
        return isinstance(_cause(error), broker_errors(self.app))

    def _what_is_sent(self, entry: RowEntry) -> datetime | None:
        """Return the moment whose run is sent now, None for none; what becomes of others is written down."""
        row = entry.model
        now = entry.claim.at if entry.claim else timezone.now()
        plan = closed_runs.plan(row, entry.schedule, entry.dues, older=entry.older, now=now)
        self._leave_out(entry, plan)
        unsent.replace(entry, plan.rows)
        for run in plan.rows if plan.now is None else ():
            logger.info("Schedule %s: %s", row.name, run.reason)
        if plan.now is None:
            return None
        if reason := services.refusal_of(row):
            logger.warning("Schedule %s was not run: %s", entry.name, reason)
            unsent.replace(entry, [runs.skipped(row, plan.now, reason)])
            return None
        decision = overlap.decide(row, runs.policy_of(row), entry.options["task_id"])
        if decision.state is None:
            return plan.now
        logger.info("Schedule %s: %s", row.name, decision.reason)
        unsent.replace(entry, [runs.decided(row, plan.now, decision.state, decision.reason)])
        return None

    def _leave_out(self, entry: RowEntry, plan: runs.Plan) -> None:
        """Take the run out of the plan that a person wanted left out; that it is forgotten and written down is one step."""
        if pauses.skipped(entry.model) is None:
            return
        starts = [entry.start_of(due) for due in entry.dues]  # before the transaction: there may be thousands
        with transaction.atomic():
            left_out = pauses.leaves_out(entry.model, entry.dues, starts)
            if left_out is not None:
                unsent.replace(entry, [plan.leave_out(entry.model, left_out)])
                logger.info("Schedule %s was not run: this run was to be left out", entry.name)

    def _owe(self, entry: RowEntry) -> None:
        """Give a claimed run back at the end of the round, or as soon as the database answers: it is still to come.

        The next time one run is tried, and not a hundred.
        """
        self._resume_at, self._at_once = time.monotonic() + RETRY, 1
        self._owed.append(entry)

    def _give_back_owed(self) -> None:
        """Give back what is owed; raises what the database raises, and goes on with the rest at the next look."""
        while self._owed:
            self._owed[0].give_back()
            self._unsure.add(self._owed[0].model.pk)
            del self._owed[0]
