"""A schedule as beat runs it: when it is due, which message it sends, and the claim of a run."""

import dataclasses
import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from celery.schedules import schedstate
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from jobroom.schedules import services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.services import jitter, unsent
from jobroom.schedules.services.due_times import due_times
from jobroom.schedules.services.next_runs import UNUSABLE, run_after, start_of

logger = logging.getLogger(__name__)

# Seconds until a schedule is asked again that will not run as things are; a change of it is noticed anyway.
NEVER = 3600.0
# A run's job id is made from its row and the run before it, so a run that is sent again is the same job.
_JOBS = uuid.UUID("5c1d9d1e-6a0e-4b5b-9a53-3a1f2c9d7b10")
# What a claim changes in a row, or may.
CLAIMED = ("enabled", "last_run_at", "total_run_count")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A run that this scheduler alone may send.

    `at` is now, without the delay by jitter; `written` the last run as it stands in the row; `before` the row's fields as they were.
    """

    at: datetime
    written: datetime
    before: dict[str, Any]


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
        self.delayed = bool(jitter.longest(model))
        run = f"{model.pk}:{model.total_run_count}:{self.last_run_at.timestamp()}"
        self.options["task_id"] = str(uuid.uuid5(_JOBS, run))
        self.claim: Claim | None = None
        # The moments for which it is due, of which the claim is; and whether there were older ones than those.
        self.dues: list[datetime] = []
        self.older = False

    def is_due(self) -> schedstate:
        """Return whether it must run, and the seconds until it should be asked again."""
        model, now = self.model, timezone.now()
        if not model.enabled or (model.expires is not None and now >= model.expires):
            return schedstate(False, NEVER)
        if model.start_time is not None and now < model.start_time:
            return schedstate(False, min((model.start_time - now).total_seconds(), NEVER))
        if self.delayed:
            left = (self.start_of(run_after(model, self.schedule, self.last_run_at)) - now).total_seconds()
            if left > 0:
                return schedstate(False, left)
        if model.solar_id:  # by the times that are shown: Celery's lie within the same second
            left = (run_after(model, self.schedule, self.last_run_at) - now).total_seconds()
            following = (run_after(model, self.schedule, now) - now).total_seconds() if left <= 0 else left
            return schedstate(left <= 0, following)
        return schedstate(*self.schedule.is_due(self.last_run_at.astimezone(self.app.timezone)))

    def start_of(self, due: datetime) -> datetime:
        """Return when the run that is due at `due` takes place, with its jitter."""
        return start_of(self.model, self.schedule, due)

    def next_state(self) -> schedstate:
        """Return the same as `is_due`; raise UnusableSchedule where the time of the next run cannot be computed."""
        try:
            return self.is_due()
        except UNUSABLE as error:
            raise UnusableSchedule(f"{self.model.scheduler}: {error}") from error

    def state_after(self, state: schedstate) -> schedstate:
        """Return that it is due, and the seconds until the run after this one, which has been taken."""
        if not self.delayed:
            return state
        follows = next(self).is_due()
        return schedstate(True, 0 if follows.is_due else follows.next)

    def __next__(self) -> "RowEntry":
        """Return the entry for the run after this one."""
        return type(self)(self.model, app=self.app)

    def prepare(self, at: datetime) -> Claim:
        """Return the claim of the run that is due at `at`, and note which moments that is for."""
        self.dues = self._due_until(at)
        before = {name: getattr(self.model, name) for name in CLAIMED}
        # A delayed run counts from the time at which it was due, or the delays would add up.
        written = self.dues[-1] if self.delayed else at
        return Claim(at - (self.start_of(self.dues[-1]) - self.dues[-1]), written, before)

    def take(self, claim: Claim) -> None:
        """Be as the row is with a claim that the database has."""
        self.claim = claim
        self._set(
            {"last_run_at": claim.written, "enabled": False, "total_run_count": 0}
            if self.model.one_off
            else {"last_run_at": claim.written, "total_run_count": self.model.total_run_count + 1}
        )

    def _set(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            setattr(self.model, name, value)

    def _due_until(self, at: datetime) -> list[datetime]:
        """Return the moments for which it is due at `at`; the newest may be due and still wait for its delay to pass."""
        dues, self.older = due_times(self.model, self.schedule, self.last_run_at, at)
        if len(dues) > 1 and self.start_of(dues[-1]) > at:
            dues.pop()
        return dues or [at]

    def of(self, due: datetime, job: str = "") -> "RowEntry":
        """Return the entry with a message that says for which moment it is; `job` is another id for it."""
        self.options["headers"]["schedule_due"] = due.isoformat()
        if job:
            self.options["task_id"] = job
        return self

    def give_back(self) -> None:
        """Take the claim back: the run could not be sent, and is still to come, unless another scheduler sends it meanwhile."""
        if self.claim is None:
            return
        with transaction.atomic():
            if not unsent.is_taken_over(self):
                as_claimed = PeriodicTask.objects.filter(pk=self.model.pk, last_run_at=self.claim.written)
                as_claimed.update(**self.claim.before)
                unsent.forget([self])
        self.claim = None


def take_all(entries: list[RowEntry]) -> list[RowEntry]:
    """Claim the runs of these entries, all in one step; return those whose rows are as they were read, and which no one else took.

    What is claimed is remembered until it is sent, so that a scheduler which is killed in between loses none.
    """
    at = timezone.now()
    claims = {entry.model.pk: entry.prepare(at) for entry in entries}
    with transaction.atomic():
        now = _locked(claims)
        taken = [entry for entry in entries if now.get(entry.model.pk) == _as_read(entry.model)]
        for (written, one_off), rows in _alike(taken, claims).items():
            after: dict[str, Any] = {"total_run_count": F("total_run_count") + 1}
            if one_off:
                after = {"total_run_count": 0, "enabled": False}
            PeriodicTask.objects.filter(pk__in=rows).update(last_run_at=written, **after)
        unsent.remember(taken)
    for entry in taken:
        entry.take(claims[entry.model.pk])
    return taken


def _locked(rows: Collection[int]) -> dict[int, tuple[Any, ...]]:
    """Return what these rows say now, which no one else changes until the end of the transaction."""
    if not connection.features.has_select_for_update:
        # SQLite: who writes first may go on; who has read before another wrote is refused.
        PeriodicTask.objects.filter(pk=-1).update(total_run_count=0)
    found = PeriodicTask.objects.select_for_update().filter(pk__in=rows).order_by("pk")
    return {pk: tuple(said) for pk, *said in found.values_list("pk", "date_changed", *CLAIMED)}


def _as_read(row: PeriodicTask) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in ("date_changed", *CLAIMED))


def _alike(taken: list[RowEntry], claims: Mapping[int, Claim]) -> dict[tuple[datetime, bool], list[int]]:
    """Return the rows into which the same is written."""
    found: dict[tuple[datetime, bool], list[int]] = defaultdict(list)
    for entry in taken:
        found[claims[entry.model.pk].written, entry.model.one_off].append(entry.model.pk)
    return found


def state_of(entry: RowEntry) -> schedstate:
    """Return when `entry` is due; never where its times cannot be computed."""
    try:
        return entry.next_state()
    except UnusableSchedule as error:
        logger.warning("Schedule %s is left out, it cannot be run: %s", entry.name, error)
        return schedstate(False, NEVER)
