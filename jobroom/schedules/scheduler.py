"""The beat scheduler: reads the schedules from the database and sends their jobs when they are due.

Several schedulers may run at once. A scheduler that is to send a job first *claims* it, with one conditional update of the
row; only one update finds the row as it was. So no run is sent twice, and none needs a lock that someone may keep.
"""

import logging
import time
from datetime import datetime
from typing import Any, ClassVar

from celery.beat import SchedulingError
from celery.schedules import schedstate
from django.db import DatabaseError, InterfaceError, close_old_connections, transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler

from jobroom import housekeeping_loops, redis
from jobroom.celery import beat
from jobroom.schedules import services
from jobroom.schedules.agenda import Agenda
from jobroom.schedules.backfill_runs import Backfills
from jobroom.schedules.entries import RowEntry, state_of
from jobroom.schedules.held_runs import HeldRuns
from jobroom.schedules.models import RunState
from jobroom.schedules.services import closed_runs, marks, overlap, pauses, runs
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
        self._clock = _clock()
        # When the next pause ends by itself, as it was read last.
        self._pause_ends: datetime | None = None
        self._loaded_at = self._checked_at = self._resume_at = float("-inf")
        super().__init__(app, *args, **kwargs)
        self._heap = self._agenda.heap
        self.max_interval = kwargs.get("max_interval") or app.conf.beat_max_loop_interval or MAX_INTERVAL

    def setup_schedule(self) -> None:
        """Do nothing yet: the first tick merges the settings, and goes on trying while the database is away."""

    @property
    def schedule(self) -> dict[int, RowEntry]:
        """The enabled schedules as they were read last, by the ids of their rows."""
        return self._agenda.entries

    def schedules_equal(self, *args: Any, **kwargs: Any) -> bool:
        """Return True: the heap follows each row that is read."""
        return True

    def sync(self) -> None:
        """Do nothing: each run is written down before it is sent."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds to sleep."""
        beat.beat_tick()
        try:
            self._refresh()
            self._agenda.tidy()
            sleep = float(min(super().tick(*args, **kwargs), self.max_interval))
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

    def is_due(self, entry: RowEntry) -> schedstate:
        """Return whether `entry` is due, and ours: the claim is part of the answer."""
        state = schedstate(False, FAULTY)
        with housekeeping_loops.isolated("sending schedules", f"schedule {entry.name}"):
            state = state_of(entry)
        if not state.is_due:
            return state
        held = self._resume_at - time.monotonic()
        if held > 0:
            return schedstate(False, held)
        try:
            if entry.take():
                return entry.state_after(state)
        except DATABASE_AWAY as error:
            logger.warning("Schedule %s: the database is unavailable: %s", entry.name, error)
            return schedstate(False, RETRY)
        self._unsure.add(entry.model.pk)
        return schedstate(False, RETRY)

    def reserve(self, entry: RowEntry) -> RowEntry:
        """Return the entry for the run after this one."""
        return self._agenda.follow(next(entry))

    def apply_entry(self, entry: RowEntry, producer: Any = None) -> None:
        """Send the job of a claimed entry; while the broker is away the run is still to come.

        A run for which its owner has no right any more is left out, and so is one that a person wanted left out, or that
        the schedule's policy says is skipped; one that has to wait, or is made up with others, is sent later.
        """
        try:
            due = self._what_is_sent(entry)
        except (*DATABASE_AWAY, *redis.LostError) as error:
            logger.warning("Schedule %s waits, a server is unavailable: %s", entry.name, error)
            self._owe(entry)
            return
        if due is None:
            return
        try:
            self.send(entry.of(due))
        except SchedulingError as error:
            if not self.is_away(error):
                logger.exception("Schedule %s could not send its job", entry.name)
                return
            logger.warning("Failed to publish schedule %s, the broker is unavailable: %s", entry.name, _cause(error))
            self._owe(entry)

    def send(self, entry: RowEntry) -> None:
        """Send the job of an entry; raises SchedulingError."""
        logger.info("Sending %s (%s)", entry.name, entry.task)
        if runs.policy_of(entry.model) is not None:
            runs.sent([entry.model], entry.options["task_id"])
        self.apply_async(entry, advance=False)

    def is_away(self, error: SchedulingError) -> bool:
        """Return whether a job could not be sent because the broker is away."""
        return isinstance(_cause(error), broker_errors(self.app))

    def _what_is_sent(self, entry: RowEntry) -> datetime | None:
        """Return the moment whose run is sent now, None for none; what becomes of others is written down."""
        row = entry.model
        now = entry.claim.at if entry.claim else timezone.now()
        plan = closed_runs.plan(row, entry.schedule, entry.dues, older=entry.older, now=now)
        self._leave_out(entry, plan)
        runs.write(plan.rows)
        for run in plan.rows if plan.now is None else ():
            logger.info("Schedule %s: %s", row.name, run.reason)
        if plan.now is None:
            return None
        if reason := services.refusal_of(row):
            logger.warning("Schedule %s was not run: %s", entry.name, reason)
            runs.note(row, plan.now, RunState.SKIPPED, f"skipped: {reason}")
            return None
        decision = overlap.decide(row, runs.policy_of(row))
        if decision.state is None:
            return plan.now
        logger.info("Schedule %s: %s", row.name, decision.reason)
        runs.note(row, plan.now, decision.state, decision.reason)
        return None

    def _leave_out(self, entry: RowEntry, plan: runs.Plan) -> None:
        """Take the run out of the plan that a person wanted left out; that it is forgotten and written down is one step."""
        if pauses.skipped(entry.model) is None:
            return
        with transaction.atomic():
            left_out = pauses.leaves_out(entry.model, entry.dues, [entry.start_of(due) for due in entry.dues])
            if left_out is not None:
                runs.write([plan.leave_out(entry.model, left_out)])
                logger.info("Schedule %s was not run: this run was to be left out", entry.name)

    def _owe(self, entry: RowEntry) -> None:
        """Give a claimed run back, now or as soon as the database answers: it is still to come."""
        self._resume_at = time.monotonic() + RETRY
        self._owed.append(entry)
        self._give_back_owed()

    def _give_back_owed(self) -> None:
        """Give back what is owed; raises what the database raises, and goes on with the rest at the next look."""
        while self._owed:
            self._owed[0].give_back()
            self._unsure.add(self._owed[0].model.pk)
            del self._owed[0]
