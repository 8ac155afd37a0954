"""What the rules of alerts watch: what holds at this moment, as far as the owner of the rule may see it."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min
from django.utils import timezone

from jobroom.events import heartbeat
from jobroom.jobs import lateness, policies
from jobroom.jobs.failure_models import FailureGroup, GroupState
from jobroom.jobs.models import FINISHED, Job, LateKind, Lateness, State
from jobroom.jobs.number_formats import short
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.signals import missed_asked
from jobroom.notifications.alert_models import AlertRule, What
from jobroom.users import User

# So many things one rule reports at most.
MOST = 50
# A queue that fell below this share of the threshold has recovered; between both it stays as it was.
CALM = 0.8
# A dry run looks at so many ended jobs or causes, and so far back.
LOOKED, WEEK = 5000, timedelta(days=7)
# What only staff see.
FOR_STAFF = frozenset({What.FAILURE, What.DEPTH, What.AGE, What.WORKER})
FAILED = frozenset({State.FAILED, State.LOST})


@dataclasses.dataclass(frozen=True)
class Condition:
    """One thing that holds: its sentence, and a mark that is another one when it has changed."""

    sentence: str
    mark: str = ""
    page: tuple[str, ...] = ()  # the name of a page, and what stands in its address


Conditions = dict[str, Condition]


def holding(rule: AlertRule, open_now: frozenset[str] = frozenset()) -> Conditions:
    """Return what holds for a rule by its key; `open_now` are the keys that were reported and have not recovered."""
    owner = policies.asked_afresh(rule.owner)
    if not owner.is_active or (rule.what in FOR_STAFF and not policies.sees_all(owner)):
        return {}
    found = _HOLDING[What(rule.what)](rule, owner, open_now)
    return dict(list(found.items())[:MOST])


def _jobs(rule: AlertRule, owner: User) -> JobQuerySet:
    rows = Job.objects.visible_to(owner)
    return rows.filter(task=rule.of) if rule.of else rows


def _task(rule: AlertRule, owner: User, open_now: frozenset[str]) -> Conditions:
    newest = _jobs(rule, owner).filter(finished_at__isnull=False).newest_first()
    columns = ("id", "state", "fingerprint", "finished_at")
    ended = [job for job in newest.only(*columns)[:20] if job.state in FAILED | {State.SUCCEEDED}]
    last = max(ended, key=lambda job: (job.finished_at, job.pk), default=None)
    if last is None or last.finished_at is None or last.state not in FAILED:
        return {}
    if not open_now and last.finished_at < rule.created_at:
        return {}
    page = ("jobroom:jobs:job", last.pk)
    return {rule.of: Condition(f"The latest job of {rule.of} failed: {last.pk}", last.fingerprint, page)}


def _failure(rule: AlertRule, owner: User, open_now: frozenset[str]) -> Conditions:
    rows = FailureGroup.objects.visible_to(owner).filter(state=GroupState.OPEN, last_seen__gte=rule.created_at)
    rows = rows.filter(pk=rule.of) if rule.of else rows.filter(number__gt=0)
    found: Conditions = {}
    for group in rows.newest_first()[: 4 * MOST]:
        new = bool(rule.of) or max(group.first_seen, group.came_back_at or group.first_seen) >= rule.created_at
        if new or group.pk in open_now:
            back = group.came_back_at.isoformat() if group.came_back_at else ""
            found[group.pk] = Condition(_cause(group), back, ("jobroom:jobs:failure", group.pk))
    return found


def _cause(group: FailureGroup) -> str:
    return f"{'Came back: ' if group.came_back_at else ''}{group.error_type or 'Failures'} {group.pk[:8]}"


def _depth(rule: AlertRule, owner: User, open_now: frozenset[str]) -> Conditions:
    waiting = Job.objects.filter(state=State.QUEUED, queue=rule.of)
    number = waiting.order_by()[: rule.threshold + 1].count()
    if number < (rule.threshold * CALM if open_now else rule.threshold):
        return {}
    page = ("jobroom:queues:queue", rule.of)
    return {rule.of: Condition(f"{rule.threshold:,} jobs or more wait in the queue {rule.of}", page=page)}


def _age(rule: AlertRule, owner: User, open_now: frozenset[str]) -> Conditions:
    waiting = Job.objects.filter(state=State.QUEUED, queue=rule.of, queued_at__isnull=False)
    oldest: datetime | None = waiting.aggregate(oldest=Min("queued_at"))["oldest"]
    limit = rule.threshold * (CALM if open_now else 1)
    if oldest is None or (timezone.now() - oldest).total_seconds() < limit:
        return {}
    text = f"A job waits in the queue {rule.of} for more than {short(rule.threshold)}"
    return {rule.of: Condition(text, page=("jobroom:queues:queue", rule.of))}


def _worker(rule: AlertRule, owner: User, open_now: frozenset[str]) -> Conditions:
    workers = [worker for worker in heartbeat.workers() if not rule.of or worker.name == rule.of]
    living = {worker.name for worker in workers if worker.alive}
    page = ("jobroom:workers:workers",)
    found = {w.name: Condition(f"The worker {w.name} is silent", page=page) for w in workers if w.name not in living}
    # One that was reported as silent is so until it lives again; what Redis has forgotten of it meanwhile says nothing.
    for name in open_now - living:
        found.setdefault(name, Condition(f"The worker {name} is silent", page=page))
    return found


def _missed(rule: AlertRule, owner: User, open_now: frozenset[str]) -> Conditions:
    found: Conditions = {}
    answers: Any = missed_asked.send(sender=AlertRule, user=owner, since=rule.created_at, name=rule.of)
    for _, runs in answers:
        for schedule, pk, due in runs or ():
            text = f"The run of {schedule} at {timezone.localtime(due):%Y-%m-%d %H:%M %Z} was missed"
            found[schedule] = Condition(text, due.isoformat(), ("jobroom:schedules:schedule", str(pk)))
    return found


def _late(rule: AlertRule, owner: User, open_now: frozenset[str]) -> Conditions:
    rows = Lateness.objects.filter(kind=LateKind.LATE, job__in=_jobs(rule, owner)).select_related("job")
    found: Conditions = {}
    for row in rows.order_by("since", "pk")[:MOST]:
        passed = "passed" if row.deadline and row.deadline < timezone.now() else "ahead"
        said = f"Job {row.job_id} of {row.job.task}: {lateness.sentence(row, row.job)}"
        found[row.job_id] = Condition(said[:500], passed, ("jobroom:jobs:job", row.job_id))
    return found


_HOLDING: dict[What, Callable[[AlertRule, User, frozenset[str]], Conditions]] = {
    What.TASK: _task,
    What.FAILURE: _failure,
    What.DEPTH: _depth,
    What.AGE: _age,
    What.WORKER: _worker,
    What.MISSED: _missed,
    What.LATE: _late,
}


# The last week ----------------------------------------------------------------------------------------------------------
def last_week(rule: AlertRule) -> list[dict[str, Any]] | None:
    """Return what a rule on failures would have reported in the last week, the oldest first; None for one on anything else."""
    owner, since = policies.asked_afresh(rule.owner), timezone.now() - WEEK
    if rule.what == What.FAILURE and policies.sees_all(owner):
        rows = FailureGroup.objects.visible_to(owner).filter(number__gt=0)
        rows = rows.filter(pk=rule.of) if rule.of else rows
        reported = [
            {"at": at, "change": change, "sentence": _cause(group)}
            for group in rows.newest_first()[:LOOKED]
            for at, change in ((group.first_seen, "first"), (group.came_back_at, "changed"))
            if at is not None and at >= since
        ]
        return sorted(reported, key=lambda one: one["at"])
    return _task_week(rule, owner, since) if rule.what == What.TASK else None


def _task_week(rule: AlertRule, owner: User, since: datetime) -> list[dict[str, Any]]:
    ended = _jobs(rule, owner).filter(state__in=FINISHED, finished_at__gte=since)
    rows = ended.order_by("-finished_at", "-id").values_list("finished_at", "state", "fingerprint", "pk")[:LOOKED]
    reported, mark = [], None
    for at, state, cause, pk in reversed(rows):
        if state == State.SUCCEEDED and mark is not None:
            reported.append({"at": at, "change": "recovered", "sentence": f"Job {pk} of {rule.of} succeeded"})
            mark = None
        elif state in FAILED and cause != mark:
            change = "first" if mark is None else "changed"
            reported.append({"at": at, "change": change, "sentence": f"Job {pk} of {rule.of} failed"})
            mark = cause
    return reported
