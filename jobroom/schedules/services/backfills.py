"""Backfills: starts, pauses, resumes and cancels them, in a person's name."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.celery.tracked import is_tracked
from jobroom.jobs import limits
from jobroom.jobs.models import ACTIVE, Job, State
from jobroom.schedules import audit
from jobroom.schedules.exceptions import NotNow, NotSent, UnusableSchedule
from jobroom.schedules.models import Backfill, BackfillState, Overlap, RunState, ScheduleDetail, ScheduledRun
from jobroom.schedules.services import runs
from jobroom.schedules.services.arguments import registered_tasks
from jobroom.schedules.services.backfill_plan import MOST_AT_ONCE, Plan, Range, plan
from jobroom.schedules.services.dispatch import message, refusal
from jobroom.schedules.services.next_runs import reference
from jobroom.users import User

OPEN = (BackfillState.RUNNING, BackfillState.PAUSED)
# Runs that one statement writes.
_PIECE = 500
WAITS = "waits for its turn in the backfill"


def check(row: PeriodicTask, *, by: User | None, at_once: int) -> None:
    """Raise NotSent, NotNow or WrongArguments where the schedule cannot be backfilled by this person, so many at once."""
    task = registered_tasks().get(row.task)
    if task is None:
        raise NotSent(f"“{row.task}” is not a registered task.")
    if not is_tracked(task):
        raise NotNow(
            "Jobs of its task are not tracked, so it is not known when one has ended: no backfill is possible."
        )
    if not 1 <= at_once <= MOST_AT_ONCE:
        raise WrongArguments({"at_once": [f"Give a number from 1 to {MOST_AT_ONCE}."]})
    policy = runs.policy_of(row)
    if at_once > 1 and policy is not None and policy.overlap != Overlap.ALLOW:
        raise WrongArguments(
            {
                "at_once": [
                    "The policy of the schedule keeps its jobs from overlapping: give 1, or change the policy first."
                ]
            }
        )
    try:
        args, kwargs, _ = message(row)
    except UnusableSchedule as error:
        raise NotSent(f"{error}. Edit the schedule.") from error
    if reason := refusal(row, args, kwargs, by):
        raise NotSent(f"No runs are made: {reason}")


def start(
    row: PeriodicTask,
    asked: Range,
    *,
    by: User | None,
    at_once: int = 1,
    newest_first: bool = False,
    seen: int | None = None,
) -> Backfill:
    """Make the runs of a range, at most `at_once` at a time; one backfill of a schedule is open at a time.

    `seen` is the number of runs that the person was shown: where it is another by now, NotNow is raised and nothing is made.
    Raises NotNow, NotSent, WrongArguments with the wrong fields, and TooMany.
    """
    check(row, by=by, at_once=at_once)
    ground = _ground(row)
    _refuse_second(row)
    # Planned before the transaction: it walks through thousands of due times, and all other writers would wait for it.
    found = _planned(row, asked, seen)
    limits.allow_launch(by, row.task)  # what was refused takes nothing from what the person may launch
    with transaction.atomic():
        now = PeriodicTask.objects.select_for_update().filter(pk=row.pk).first()
        _refuse_second(row)
        if now is None or _ground(now) != ground or _is_left_to_scheduler(now, found):
            raise NotNow("It was changed at this moment: look at the range again.")
        made = Backfill.objects.create(
            row=row, since=asked.since, until=asked.until, which=asked.which, newest_first=newest_first, at_once=at_once,
            by=by.get_username() if by is not None else "",
        )  # fmt: skip
        _make(made, found)
        runs.forget_backfills(row)
    audit.record(by, "backfilled", row.name, outcome=f"Backfill {made.pk}: {made.total} runs, {at_once} at a time.")
    return made


def _refuse_second(row: PeriodicTask) -> None:
    if (other := Backfill.objects.filter(row=row, state__in=OPEN).first()) is not None:
        raise NotNow(f"Backfill {other.pk} of it is not over: wait for it, or cancel it.")


def _planned(row: PeriodicTask, asked: Range, seen: int | None) -> Plan:
    found = plan(row, asked)
    if not found.count:
        raise NotNow("There is no run to make in this range.")
    if seen is not None and seen != found.count:
        raise NotNow(f"It would be {found.count} runs by now, and not {seen}: look at the range again.")
    return found


def _ground(row: PeriodicTask) -> tuple[Any, ...]:
    """Return what the checks and a plan rest on: the schedule, its policy, and which backfill of it was the last."""
    policy = runs.policy_of(row)
    said = (policy.overlap, policy.not_on, policy.only_on) if policy is not None else (Overlap.ALLOW, [], [])
    last = Backfill.objects.filter(row=row).order_by("-pk").values_list("pk", flat=True).first()
    return (row.date_changed, *said, last)


def _is_left_to_scheduler(row: PeriodicTask, found: Plan) -> bool:
    """Return whether a scheduler will account for a run of the plan, too: its claim was given back, or it was enabled."""
    return row.enabled and found.dues[-1] > reference(row)


def _make(made: Backfill, found: Plan) -> None:
    for number in range(0, found.count, _PIECE):
        dues = found.dues[number : number + _PIECE]
        rows = [ScheduledRun(row=made.row, due=due, state=RunState.HELD, reason=WAITS, backfill=made) for due in dues]
        ScheduledRun.objects.bulk_create(rows, ignore_conflicts=True)
        known = ScheduledRun.objects.filter(row=made.row, due__in=dues).exclude(backfill=made)
        ended = known.exclude(state__in=runs.OPEN)
        ended.update(state=RunState.HELD, reason=WAITS, backfill=made, not_before=None, at=timezone.now())
    made.total = made.runs.count()
    made.save(update_fields=["total"])


def pause(backfill: Backfill, *, by: User | None) -> str:
    """Let it send nothing until it is resumed; what it has sent goes on. Raises NotNow."""
    _turn(backfill, [BackfillState.RUNNING], BackfillState.PAUSED, f"paused by {_who(by)}")
    audit.record(by, "paused a backfill of", backfill.row.name, outcome=f"Backfill {backfill.pk}.")
    return "It is paused. Jobs that it has sent go on."


def resume(backfill: Backfill, *, by: User | None) -> str:
    """Let it go on, with as many tries as the policy for failures gives. Raises NotNow."""
    with transaction.atomic():
        _turn(backfill, [BackfillState.PAUSED], BackfillState.RUNNING, "")
        ScheduleDetail.objects.update_or_create(row=backfill.row, defaults={"resumed_at": timezone.now()})
    audit.record(by, "resumed a backfill of", backfill.row.name, outcome=f"Backfill {backfill.pk}.")
    return "It goes on."


def cancel(backfill: Backfill, *, by: User | None) -> str:
    """Let it send nothing more; what it has sent goes on. Raises NotNow."""
    with transaction.atomic():
        _turn(backfill, OPEN, BackfillState.CANCELLED, f"cancelled by {_who(by)}")
        count = runs.leave_out(backfill)
        Backfill.objects.filter(pk=backfill.pk).update(ended_at=timezone.now())
    said = f"Backfill {backfill.pk}: {count} runs are not made."
    audit.record(by, "cancelled a backfill of", backfill.row.name, outcome=said)
    return f"It is cancelled: {count} runs are not made. Jobs that it has sent go on."


ACTIONS = {"pause": pause, "resume": resume, "cancel": cancel}


def _turn(backfill: Backfill, before: Any, after: BackfillState, reason: str) -> None:
    rows = Backfill.objects.filter(pk=backfill.pk, state__in=before)
    if not rows.update(state=after, reason=reason[:300]):
        backfill.refresh_from_db()
        raise NotNow(f"It is {backfill.get_state_display().lower()}, so that cannot be done.")
    backfill.refresh_from_db()


def _who(by: User | None) -> str:
    return by.get_username() if by is not None else "the command line"


def progress(backfill: Backfill) -> dict[str, int]:
    """Return how many of its runs wait, are in flight, succeeded, failed, ended otherwise, and were skipped."""
    by_state = dict(backfill.runs.values_list("state").annotate(number=Count("pk")))
    jobs = Job.objects.filter(pk__in=backfill.runs.filter(state=RunState.SENT).values("job"))
    states = dict(jobs.values_list("state").annotate(number=Count("pk")))
    sent = by_state.get(RunState.SENT, 0)
    ended = {state: number for state, number in states.items() if state not in ACTIVE}
    failed = ended.get(State.FAILED, 0) + ended.get(State.LOST, 0)
    succeeded = ended.get(State.SUCCEEDED, 0)
    waiting = by_state.get(RunState.HELD, 0)
    return {
        "total": backfill.total,
        "waiting": waiting,
        "in_flight": sent - sum(ended.values()) + by_state.get(RunState.SENDING, 0),
        "succeeded": succeeded,
        "failed": failed,
        "other": sum(ended.values()) - succeeded - failed,
        "skipped": by_state.get(RunState.SKIPPED, 0),
    }


def ended_percent(numbers: dict[str, int]) -> int:
    """Return how much of it is over, in percent."""
    over = sum(numbers[name] for name in ("succeeded", "failed", "other", "skipped"))
    return 100 * over // numbers["total"] if numbers["total"] else 100


def moment(text: str, row_zone: Any) -> datetime | None:
    """Return the time that a text names, by the clocks of the schedule where it names no zone; None for what is no time."""
    try:
        found = datetime.fromisoformat(text.strip())
        return found if timezone.is_aware(found) else found.replace(tzinfo=row_zone)
    except (ValueError, OverflowError):
        return None
