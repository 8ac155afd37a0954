"""Makes, changes and deletes calendars, in a person's name."""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.control_characters import escaped
from jobroom.schedules.exceptions import NotNow
from jobroom.schedules.models import Calendar, SchedulePolicy
from jobroom.schedules.services import marks
from jobroom.schedules.services.calendar_days import canonical
from jobroom.signals import acted
from jobroom.users import User
from jobroom.web.versions import version_of

# What a version of a calendar is of, and what may be given.
FIELDS = ("name", "description", "days")
# Calendars that one installation holds.
MOST = 500
_LONGEST = {"name": 100, "description": 300}


def version(calendar: Calendar | None) -> str:
    """Return the version of a calendar."""
    return version_of(calendar, FIELDS)


def checked(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the values as they are kept; raise WrongArguments with the wrong fields."""
    wrong: dict[str, list[str]] = {}
    values = {name: escaped(" ".join(str(given[name]).split())) for name in _LONGEST if name in given}
    for name, value in values.items():
        if len(value) > _LONGEST[name]:
            wrong[name] = [f"Write at most {_LONGEST[name]} characters."]
    if "name" in values and not values["name"]:
        wrong["name"] = ["Write a name, such as Public holidays."]
    if "days" in given:
        try:
            values["days"] = canonical(str(given["days"]))
        except WrongArguments as error:
            wrong |= error.errors
    if wrong:
        raise WrongArguments(wrong)
    return values


def add(*, by: User | None, given: Mapping[str, Any]) -> Calendar:
    """Make a calendar; raise WrongArguments with the wrong fields."""
    values = checked({"name": "", **given})
    if Calendar.objects.count() >= MOST:
        raise WrongArguments({"name": [f"There are {MOST} calendars, which are the most: delete one first."]})
    try:
        with transaction.atomic():
            made = Calendar.objects.create(**values, changed_by=_who(by))
    except IntegrityError as error:
        raise _taken(values["name"]) from error
    _audit(by, "made", made.name, _size(made))
    return made


def change(
    calendar: Calendar,
    *,
    by: User | None,
    given: Mapping[str, Any],
    check_version: Callable[[str], None] = lambda version: None,
) -> list[str]:
    """Change what is named; return what changed. Schedules that name it by its old name name it by the new one.

    `check_version` is called with the version that is stored, under its lock: where it raises, nothing is written.
    """
    values = checked(given)
    try:
        with transaction.atomic():
            stored = Calendar.objects.select_for_update().get(pk=calendar.pk)
            check_version(version(stored))
            said = [name for name, value in values.items() if getattr(stored, name) != value]
            if "name" in said:
                _rename(stored.name, values["name"])
            for name, value in values.items():
                setattr(stored, name, value)
            if said:
                stored.changed_by, stored.changed_at = _who(by), timezone.now()
                stored.save()
    except IntegrityError as error:
        raise _taken(values["name"]) from error
    if said:
        renamed = f" It was called {calendar.name}." if "name" in said else ""
        _audit(by, "changed", stored.name, f"Changed: {', '.join(said)}.{renamed} {_size(stored)}")
    return said


def delete(calendar: Calendar, *, by: User | None, check_version: Callable[[str], None] = lambda version: None) -> None:
    """Delete a calendar; raise NotNow while schedules name it. `check_version` as for `change`."""
    with transaction.atomic():
        stored = Calendar.objects.select_for_update().filter(pk=calendar.pk).first()
        check_version(version(stored))
        used = users_of(calendar.name)
        if used:
            many = f"{len(used)} schedules follow it" if len(used) > 1 else "1 schedule follows it"
            raise NotNow(f"{many}, such as “{used[0].name}”: take it out of their policies first.")
        calendar.delete()
    _audit(by, "deleted", calendar.name, "")


def users() -> dict[str, list[PeriodicTask]]:
    """Return the schedules that follow calendars, by the calendars' names."""
    found: dict[str, list[PeriodicTask]] = {}
    for policy in _following():
        for name in dict.fromkeys((*policy.not_on, *policy.only_on)):
            found.setdefault(name, []).append(policy.row)
    return found


def users_of(name: str) -> list[PeriodicTask]:
    """Return the schedules that name a calendar."""
    return users().get(name, [])


def followed(policy: SchedulePolicy) -> list[tuple[str, list[tuple[str, int | None]]]]:
    """Return the calendars of a policy, by what they do; each with its id, None where there is none of this name."""
    named = {"Not on": policy.not_on, "Only on": policy.only_on}
    ids = dict(Calendar.objects.filter(name__in=[*policy.not_on, *policy.only_on]).values_list("name", "pk"))
    return [(word, [(name, ids.get(name)) for name in names]) for word, names in named.items() if names]


def _following() -> QuerySet[SchedulePolicy]:
    # Names in JSON are compared in Python: the databases differ in what they can ask of it.
    return SchedulePolicy.objects.exclude(not_on=[], only_on=[]).select_related("row").order_by("row__name")


def _rename(before: str, after: str) -> None:
    changed = []
    for policy in _following():
        if before not in (*policy.not_on, *policy.only_on):
            continue
        for field in ("not_on", "only_on"):
            setattr(policy, field, [after if name == before else name for name in getattr(policy, field)])
        policy.save(update_fields=["not_on", "only_on"])
        changed.append(policy.row_id)
    marks.changed(changed)


def _taken(name: str) -> WrongArguments:
    return WrongArguments({"name": [f"There is a calendar called “{name}” already: choose another name."]})


def _who(by: User | None) -> str:
    return by.get_username()[:150] if by is not None else "the command line"


def _size(calendar: Calendar) -> str:
    lines = sum(not line.startswith("#") for line in calendar.days.splitlines())
    return f"It has {lines} line{'' if lines == 1 else 's'}."


def _audit(by: User | None, action: str, name: str, outcome: str) -> None:
    if by is not None:
        acted.send(sender=Calendar, who=by.get_username(), action=action, kind="calendar", target=name, outcome=outcome)
