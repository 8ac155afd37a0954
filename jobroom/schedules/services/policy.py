"""The policy of a schedule: for runs that overlap or were missed, for days of calendars, and for failures in a row."""

from collections.abc import Callable, Mapping
from typing import Any

from celery import current_app
from django.core.exceptions import ValidationError
from django.db import transaction
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.celery.tracked import is_tracked
from jobroom.schedules import audit
from jobroom.schedules.models import Calendar, Overlap, SchedulePolicy
from jobroom.schedules.services import marks
from jobroom.schedules.services.arguments import closest
from jobroom.schedules.services.runs import policy_of
from jobroom.users import User
from jobroom.web.versions import version_of

# What may be chosen, as the API, the command and the settings call it.
FIELDS = ("overlap", "missed", "missed_window", "pause_after", "jitter", "not_on", "only_on", "closed")
# Those that are names of calendars, and how many may be named.
CALENDARS = ("not_on", "only_on")
MOST_CALENDARS = 20
# Seconds: a window of more than a year is a mistake.
LONGEST_WINDOW = 366 * 86_400
# Failures in a row that may be asked for: so many of the newest jobs are looked at.
MOST_FAILURES = 100
# Seconds: a run that is delayed by more than a day belongs to another day.
MOST_JITTER = 86_400


def values(row: PeriodicTask) -> dict[str, Any]:
    """Return all values of a schedule's policy, the defaults too."""
    found = policy_of(row) or SchedulePolicy()
    return {name: getattr(found, name) for name in FIELDS}


def defaults() -> dict[str, Any]:
    """Return the values of a schedule for which nothing was chosen."""
    return {name: getattr(SchedulePolicy(), name) for name in FIELDS}


def chosen(row: PeriodicTask) -> dict[str, Any]:
    """Return the values of a schedule's policy that are not the defaults."""
    return without_defaults(values(row))


def without_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that are not the defaults."""
    usual = SchedulePolicy()
    return {name: value for name, value in given.items() if value != getattr(usual, name)}


def version(row: PeriodicTask) -> str:
    """Return the version of a schedule's policy."""
    return version_of(policy_of(row) or SchedulePolicy(), FIELDS)


def check(task: str, given: Mapping[str, Any], *, delayable: bool = True) -> None:
    """Raise WrongArguments for values that no policy can have; each error names the field and the remedy.

    `delayable` says whether the schedule is an interval or a crontab.
    """
    wrong = {
        name: [f"“{name}” is no part of a policy. {closest(name, FIELDS)}"] for name in given if name not in FIELDS
    }
    try:
        SchedulePolicy(**{name: value for name, value in given.items() if name in FIELDS}).clean_fields(
            exclude=["row", *CALENDARS]
        )
    except ValidationError as error:
        wrong |= {name: [_sentence(name, text) for text in texts] for name, texts in error.message_dict.items()}
    wrong |= {name: [text] for name in CALENDARS if (text := _wrong_names(given.get(name, [])))}
    if "missed_window" not in wrong and not 60 <= int(given.get("missed_window", 60)) <= LONGEST_WINDOW:
        wrong["missed_window"] = ["Give a time from a minute to 366 days, in seconds."]
    if "pause_after" not in wrong and int(given.get("pause_after", 0)) > MOST_FAILURES:
        wrong["pause_after"] = [f"Give a number from 1 to {MOST_FAILURES}, or 0 for never."]
    if "jitter" not in wrong:
        wrong |= _wrong_jitter(int(given.get("jitter", 0)), delayable=delayable)
    registered = current_app.tasks.get(task)
    if registered is not None and not is_tracked(registered):
        wrong |= _untracked(given)
    if wrong:
        raise WrongArguments(wrong)


def _wrong_names(names: Any) -> str:
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return 'Give a list of names of calendars, such as ["Holidays"], or [] for none.'
    return f"Give at most {MOST_CALENDARS} calendars." if len(names) > MOST_CALENDARS else ""


def _check_calendars(given: Mapping[str, Any]) -> None:
    """Raise WrongArguments for calendars that there are not."""
    known = set(Calendar.objects.values_list("name", flat=True))
    wrong = {
        field: [f"There is no calendar “{name}”. {closest(name, known)}" for name in given[field] if name not in known]
        for field in CALENDARS
        if field in given
    }
    both = set(given.get("not_on", [])) & set(given.get("only_on", []))
    if both:
        wrong.setdefault("only_on", []).append(f"“{min(both)}” cannot be both: take it out of one.")
    if wrong := {field: texts for field, texts in wrong.items() if texts}:
        raise WrongArguments(wrong)


def _wrong_jitter(seconds: int, *, delayable: bool) -> dict[str, list[str]]:
    if seconds and not delayable:
        return {"jitter": ["Only runs of an interval or a crontab can be delayed: give 0."]}
    if seconds > MOST_JITTER:
        return {"jitter": [f"Give a time of at most a day, {MOST_JITTER} seconds, or 0 for none."]}
    return {}


def _untracked(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what cannot be kept of a policy whose jobs leave no trace."""
    wrong = {}
    if given.get("overlap", Overlap.ALLOW) != Overlap.ALLOW:
        wrong["overlap"] = [
            "Jobs of this task are not tracked, so it is not known whether one still runs: choose “allow”."
        ]
    if given.get("pause_after"):
        wrong["pause_after"] = ["Jobs of this task are not tracked, so it is not known whether they fail: give 0."]
    return wrong


def _sentence(name: str, text: str) -> str:
    choices = getattr(SchedulePolicy._meta.get_field(name), "choices", None)
    return f"{text} Choose one of: {', '.join(str(value) for value, _ in choices)}." if choices else text


def change(
    row: PeriodicTask,
    *,
    by: User | None,
    given: Mapping[str, Any],
    check_version: Callable[[str], None] = lambda version: None,
) -> list[str]:
    """Change the values that are named; return what changed as sentences. Raises WrongArguments.

    `check_version` is called with the version that is stored, under its lock: where it raises, nothing is written.
    """
    with transaction.atomic():
        stored = PeriodicTask.objects.select_for_update(of=("self",)).select_related("policy").get(pk=row.pk)
        check_version(version(stored))
        before = values(stored)
        check(row.task, {**before, **given}, delayable=bool(stored.interval_id or stored.crontab_id))
        after = {**before, **given}
        changed = {name: after[name] for name in FIELDS if before[name] != after[name]}
        if changed.keys() & set(CALENDARS):
            _check_calendars({name: after[name] for name in CALENDARS})
        said = [f"{name} from {shown(before[name])} to {shown(value)}" for name, value in changed.items()]
        if said:
            write(row, after)
    if said:
        audit.record(by, "changed the policy of", row.name, outcome="; ".join(said))
    return said


def shown(value: Any) -> str:
    """Return a value of a policy as people read it."""
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


def write(row: PeriodicTask, given: Mapping[str, Any]) -> None:
    """Write these values; beat reads them at its next look."""
    SchedulePolicy.objects.update_or_create(row=row, defaults=dict(given))
    row._state.fields_cache.pop("policy", None)  # what was read with the row is old now
    marks.changed([row.pk])
