"""Who owns a schedule, the settings or the database; where the two differ, and the choice between them."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from celery import current_app
from django.db import models, transaction
from django_celery_beat.models import PeriodicTask

from jobroom.schedules import audit
from jobroom.schedules.exceptions import InvalidEntry, NotNow
from jobroom.schedules.models import SettingsSchedule
from jobroom.schedules.services import settings_schedules
from jobroom.schedules.services.settings_schedules import FIELDS, WITHDRAWN
from jobroom.users import User

SETTINGS, DATABASE, GONE = "settings", "database", "gone"
# Characters of a value that are shown.
SHOWN = 200


@dataclasses.dataclass(frozen=True)
class Difference:
    """A field in which a schedule is not what the settings say."""

    field: str
    label: str
    mine: str
    settings: str
    kept: bool  # someone chose to leave it so, and the settings have said the same since
    follows: bool = False  # no one has changed it: the next start of beat takes the settings' value


@dataclasses.dataclass(frozen=True)
class Ownership:
    """Where a schedule comes from, and in what it differs from there."""

    owner: str = DATABASE  # settings, database, or gone: it was in the settings, and is there no more
    entry: str = ""  # its name in the settings
    differences: tuple[Difference, ...] = ()
    kept_by: str = ""

    @property
    def to_choose(self) -> bool:
        """Whether there is a difference about which no one has decided."""
        return self.owner == GONE or any(not (one.kept or one.follows) for one in self.differences)

    @property
    def version(self) -> str:
        """What a choice is about: another one where the differences are others."""
        text = json.dumps([self.owner, *(dataclasses.astuple(one)[:4] for one in self.differences)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def of(row: PeriodicTask) -> Ownership:
    """Return who owns a schedule that was read with its `settings_schedule`, and in what the two differ."""
    record: SettingsSchedule | None = getattr(row, "settings_schedule", None)
    if record is None:
        return Ownership()
    wanted, _ = _wanted(record)
    if wanted is None:
        return Ownership(GONE, record.name)
    current = settings_schedules.state(row)
    found = tuple(
        Difference(
            name,
            label,
            _text(current[name]),
            _text(wanted[name]),
            kept=name in record.kept and record.kept[name] == wanted[name],
            follows=current[name] == record.fields.get(name),
        )
        for name, label in FIELDS.items()
        if name in wanted and current[name] != wanted[name]
    )
    return Ownership(SETTINGS, record.name, found, record.kept_by if any(one.kept for one in found) else "")


def take(row: PeriodicTask, *, by: User | None, seen: str = "") -> str:
    """Let the schedule be what the settings say, or delete it where they say nothing any more; return that as a sentence.

    `seen` is the version of what the person decides about. Raises NotNow where there is nothing to choose, or something else by now.
    """
    with transaction.atomic():
        stored, found = _stored(row, seen)
        if found.owner == GONE:
            stored.delete()
            said = "It is deleted, as its entry has left the settings. Its jobs stay in the history."
        else:
            wanted, timed = _wanted(stored.settings_schedule)
            names = [one.field for one in found.differences]
            settings_schedules.apply(stored, {name: (wanted or {})[name] for name in names}, timed)
            SettingsSchedule.objects.filter(row=stored.pk).update(fields=wanted, kept={}, kept_by="")
            said = f"It is what the settings say again: {', '.join(FIELDS[name] for name in names)}."
    audit.record(by, "took the settings' values of", row.name, outcome=_outcome(found) or said)
    return said


def keep(row: PeriodicTask, *, by: User | None, seen: str = "") -> str:
    """Leave the schedule as it is, whatever the settings say now; return that as a sentence. Raises NotNow as `take` does."""
    with transaction.atomic():
        stored, found = _stored(row, seen)
        record = SettingsSchedule.objects.filter(row=stored.pk)
        if found.owner == GONE:
            record.delete()
            stored.description = stored.description.replace(WITHDRAWN, "").strip()
            stored.save(update_fields=["description", "date_changed"])
            said = "It belongs to the database now. Resume it to let it run."
        else:
            wanted, _ = _wanted(stored.settings_schedule)
            kept = {one.field: (wanted or {})[one.field] for one in found.differences}
            # Remembered as said: the next start of beat takes none of it over.
            fields = {**stored.settings_schedule.fields, **kept}
            record.update(fields=fields, kept=kept, kept_by=by.get_username()[:150] if by else "the command line")
            said = f"It stays as it is: {', '.join(one.label for one in found.differences)}."
    audit.record(by, "kept the difference from the settings of", row.name, outcome=_outcome(found) or said)
    return said


def _stored(row: PeriodicTask, seen: str) -> tuple[PeriodicTask, Ownership]:
    related = ("settings_schedule", "interval", "crontab", "solar", "clocked", "policy")
    locked = PeriodicTask.objects.select_for_update(of=("self",)).select_related(*related)
    stored = locked.filter(pk=row.pk).first()
    found = of(stored) if stored is not None else Ownership()
    if stored is None or (found.owner != GONE and not found.differences):
        raise NotNow("It does not differ from the settings.")
    if seen and seen != found.version:
        raise NotNow("It differs in something else by now: look at the differences, and choose again.")
    return stored, found


def _wanted(record: SettingsSchedule) -> tuple[dict[str, Any] | None, models.Model | None]:
    """Return what the settings say of an entry now, None where they say nothing; an entry that is wrong counts as it was."""
    entries: Mapping[str, Any] = current_app.conf.beat_schedule or {}
    if record.name not in entries:
        return None, None
    try:
        return settings_schedules.read(entries[record.name])
    except InvalidEntry:
        return record.fields, None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _outcome(found: Ownership) -> str:
    return "; ".join(f"{one.label}: {one.mine} here, {one.settings} in the settings" for one in found.differences)[
        :1000
    ]
