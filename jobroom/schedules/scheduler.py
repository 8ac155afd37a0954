"""The beat scheduler: reads the schedules from the database and sends their jobs when they are due.

Several schedulers may run at once. A scheduler that is to send a job first *claims* it, with one conditional update of the
row; only one update finds the row as it was. So no run is sent twice, and none needs a lock that someone may keep.
"""

import dataclasses
import logging
import time
import uuid
from datetime import datetime
from typing import Any, ClassVar

from celery.beat import SchedulingError
from celery.schedules import schedstate
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from jobroom import rounds
from jobroom.celery import beat
from jobroom.schedules import services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.services import pauses
from jobroom.schedules.services.dispatch import broker_errors
from jobroom.schedules.services.next_runs import UNUSABLE

logger = logging.getLogger(__name__)

# Seconds: longest sleep, so that a change in the admin is seen soon; least time between two looks for changes; when
# everything is read again although nothing says that it changed; when a database or broker that is away is tried again.
MAX_INTERVAL = 2.0
CHECK_INTERVAL = 0.5
RELOAD_INTERVAL = 300.0
RETRY = 2.0
# Seconds until a schedule whose time cannot be reckoned is looked at again.
FAULTY = 60.0
# When a schedule is asked again that will not run as things are; a change of it is noticed anyway.
NEVER = 3600.0

# A clock that is moved by more than this makes all reckoned times worthless. Small steps, as by NTP, need nothing.
CLOCK_MOVED = 5.0

DATABASE_AWAY = (DatabaseError, InterfaceError)
# A run's job id is made from its row and the run before it, so a run that is sent again is the same job.
_JOBS = uuid.UUID("5c1d9d1e-6a0e-4b5b-9a53-3a1f2c9d7b10")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A run that this scheduler alone may send; `before` are the row's fields as they were."""

    at: datetime
    before: dict[str, Any]


def _clock() -> float:
    """Return by how much the wall clock is ahead of the one that no one can set."""
    return time.time() - time.monotonic()


class RowEntry(ModelEntry):  # type: ignore[misc]
    """A row as beat runs it; making one raises UnusableSchedule when the row makes no sense."""

    def __init__(self, model: PeriodicTask, app: Any = None) -> None:
        # Not the parent's: it would write to the database, and leave an entry that breaks beat.
        self.app = app
        self.model = model
        self.name, self.task = model.name, model.task
        self.args, self.kwargs, self.options = services.message(model)
        self.schedule = services.timing(model)
        self.schedule.app = app
        self.last_run_at = services.reference(model)
        self.total_run_count = model.total_run_count
        run = f"{model.pk}:{model.total_run_count}:{self.last_run_at.timestamp()}"
        self.options["task_id"] = str(uuid.uuid5(_JOBS, run))
        self.claim: Claim | None = None

    def is_due(self) -> schedstate:
        """Return whether it must run, and the seconds until it should be asked again."""
        model, now = self.model, timezone.now()
        if not model.enabled or (model.expires is not None and now >= model.expires):
            return schedstate(False, NEVER)
        if model.start_time is not None and now < model.start_time:
            return schedstate(False, min((model.start_time - now).total_seconds(), NEVER))
        return schedstate(*self.schedule.is_due(self.last_run_at.astimezone(self.app.timezone)))

    def next_state(self) -> schedstate:
        """Return the same as `is_due`; raise UnusableSchedule where the time of the next run cannot be reckoned."""
        try:
            return self.is_due()
        except UNUSABLE as error:
            raise UnusableSchedule(f"{self.model.scheduler}: {error}") from error

    def __next__(self) -> "RowEntry":
        """Return the entry for the run after this one."""
        return type(self)(self.model, app=self.app)

    def take(self) -> bool:
        """Write into the row that it runs now; return False when the row is not what it was, or another took it.

        Killed between this and the sending, beat loses the run rather than sending it twice.
        """
        model = self.model
        before = {name: getattr(model, name) for name in ("enabled", "last_run_at", "total_run_count")}
        at = timezone.now()
        after = {"last_run_at": at, "total_run_count": model.total_run_count + 1}
        if model.one_off:
            after |= {"enabled": False, "total_run_count": 0}
        as_read = {"pk": model.pk, "date_changed": model.date_changed, **before}
        if not PeriodicTask.objects.filter(**as_read).update(**after):
            return False
        self.claim = Claim(at, before)
        for name, value in after.items():
            setattr(model, name, value)
        return True

    def give_back(self) -> None:
        """Take the claim back: the run could not be sent, and is still to come."""
        if self.claim is not None:
            PeriodicTask.objects.filter(pk=self.model.pk, last_run_at=self.claim.at).update(**self.claim.before)
            self.claim = None


def _state_of(entry: RowEntry) -> schedstate:
    """Return when `entry` is due; never where its times cannot be reckoned."""
    try:
        return entry.next_state()
    except UnusableSchedule as error:
        logger.warning("Schedule %s is left out, it cannot be run: %s", entry.name, error)
        return schedstate(False, NEVER)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Beat's scheduler over the database; survives a database or a broker that is away for a moment."""

    Entry = RowEntry
    # Jobs are sent through Celery's pool of producers, which connects again by itself.
    producer: ClassVar[None] = None

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._entries: dict[str, RowEntry] = {}
        self._merged = False
        self._seen: datetime | None = None
        self._left_out: dict[int, str] = {}
        # Claimed runs that could not be sent, and not be given back either, because the database was away.
        self._owed: list[RowEntry] = []
        self._clock = _clock()
        self._loaded_at = self._checked_at = self._resume_at = float("-inf")
        super().__init__(app, *args, **kwargs)
        self.max_interval = kwargs.get("max_interval") or app.conf.beat_max_loop_interval or MAX_INTERVAL

    def setup_schedule(self) -> None:
        """Do nothing yet: the first tick merges the settings, and goes on trying while the database is away."""

    @property
    def schedule(self) -> dict[str, RowEntry]:
        """The enabled schedules as they were read last."""
        return self._entries

    def schedules_equal(self, *args: Any, **kwargs: Any) -> bool:
        """Return True: the heap is thrown away whenever the schedules are read again."""
        return True

    def sync(self) -> None:
        """Do nothing: each run is written down before it is sent."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds to sleep."""
        beat.beat_tick()
        try:
            self._refresh()
            return float(min(super().tick(*args, **kwargs), self.max_interval))
        except DATABASE_AWAY as error:
            logger.warning("Beat: the database is unavailable: %s", error)
            return RETRY

    def _refresh(self) -> None:
        """Read the schedules again if someone changed them."""
        self._notice_clock()
        now = time.monotonic()
        if now - self._checked_at < CHECK_INTERVAL:
            return
        close_old_connections()
        self._give_back_owed()
        if not self._merged:
            services.merge_settings(self.app.conf.beat_schedule)
            self._merged = True
        changed = PeriodicTasks.last_change()
        # Different, not later: the clocks of two machines need not agree.
        if changed != self._seen or now - self._loaded_at > RELOAD_INTERVAL:
            self._load()
            self._seen, self._loaded_at = changed, now
        self._checked_at = now

    def _notice_clock(self) -> None:
        """Reckon everything again when someone has set this machine's clock: the times in the heap are worthless."""
        clock = _clock()
        if abs(clock - self._clock) > CLOCK_MOVED:
            logger.warning("The clock was set by %+.0f s; all schedules count from the new time", clock - self._clock)
            self._reload_soon()
        self._clock = clock

    def _reload_soon(self) -> None:
        self._loaded_at = self._checked_at = float("-inf")

    def _load(self) -> None:
        """Read all enabled schedules; one that makes no sense is logged and left out."""
        rows = PeriodicTask.objects.filter(enabled=True).exclude(expires__lte=timezone.now())
        entries, left_out = {}, {}
        for row in services.repair_clock(rows.select_related("interval", "crontab", "solar", "clocked", "detail")):
            with rounds.isolated("reading schedules", f"schedule {row.name}"):
                try:
                    entry = RowEntry(row, app=self.app)
                    entry.next_state()
                    entries[row.name] = entry
                except UnusableSchedule as error:
                    left_out[row.pk] = str(error)
                    if self._left_out.get(row.pk) != str(error):
                        logger.warning("Schedule %s is left out, it cannot be run: %s", row.name, error)
        self._left_out = left_out
        self._entries, self._heap = entries, None
        logger.info("Beat has read %d schedules", len(entries))

    def is_due(self, entry: RowEntry) -> schedstate:
        """Return whether `entry` is due, and ours: the claim is part of the answer."""
        state = schedstate(False, FAULTY)
        with rounds.isolated("sending schedules", f"schedule {entry.name}"):
            state = _state_of(entry)
        if not state.is_due:
            return state
        held = self._resume_at - time.monotonic()
        if held > 0:
            return schedstate(False, held)
        try:
            if entry.take():
                return state
        except DATABASE_AWAY as error:
            logger.warning("Schedule %s: the database is unavailable: %s", entry.name, error)
            return schedstate(False, RETRY)
        self._reload_soon()
        return schedstate(False, RETRY)

    def reserve(self, entry: RowEntry) -> RowEntry:
        """Return the entry for the run after this one."""
        return next(entry)

    def apply_entry(self, entry: RowEntry, producer: Any = None) -> None:
        """Send the job of a claimed entry; while the broker is away the run is still to come.

        A run for which its owner has no right any more is left out, and so is one that a person wanted left out.
        """
        try:
            if self._is_left_out(entry):
                return
        except DATABASE_AWAY as error:
            logger.warning("Schedule %s waits, the database is unavailable: %s", entry.name, error)
            self._owe(entry)
            return
        logger.info("Sending %s (%s)", entry.name, entry.task)
        try:
            self.apply_async(entry, advance=False)
        except SchedulingError as error:
            cause = error.__cause__ or error.__context__
            if not isinstance(cause, broker_errors(self.app)):
                logger.exception("Schedule %s could not send its job", entry.name)
                return
            logger.warning("Failed to publish schedule %s, the broker is unavailable: %s", entry.name, cause)
            self._owe(entry)

    def _is_left_out(self, entry: RowEntry) -> bool:
        """Return whether this run does not take place; the log says why."""
        if pauses.leaves_out(entry.model):
            logger.info("Schedule %s was not run: this run was to be left out", entry.name)
            return True
        if reason := services.refusal_of(entry.model):
            logger.warning("Schedule %s was not run: %s", entry.name, reason)
            return True
        return False

    def _owe(self, entry: RowEntry) -> None:
        """Give a claimed run back, now or as soon as the database answers: it is still to come."""
        self._resume_at = time.monotonic() + RETRY
        self._owed.append(entry)
        self._give_back_owed()

    def _give_back_owed(self) -> None:
        """Give back what is owed; raises what the database raises, and goes on with the rest at the next look."""
        while self._owed:
            self._owed[0].give_back()
            del self._owed[0]
            self._reload_soon()
