"""Failures grouped by cause: a fingerprint is computed when a failure is recorded, with one row for each.

The cause is the type of the error, the project's own frames and the error's words without what varies. A list of causes so
costs the same however many jobs there are. What another job answered did not run, and is not counted.
"""

import dataclasses
import hashlib
import re
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Case, F, Q, Sum, Value, When
from django.db.models.functions import Greatest, Least
from django.utils import timezone

from jobroom.jobs.failure_models import FailureCount, FailureGroup, GroupState
from jobroom.jobs.models import Job, State
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.staged_models import StagedRetry

# The states that are failures.
FAILED = frozenset({State.FAILED, State.LOST})
# So long days are counted, and causes kept that no one has said anything of.
KEPT = timedelta(days=90)
# So many counts are written with one statement.
STEP = 150
# Older failures get their cause so many at a time, and for so many seconds of a round of housekeeping.
OLDER, OLDER_SECONDS = 50, 0.25
# Characters of a sentence, and the deepest frames, that make the cause.
SENTENCE, FRAMES = 300, 5
FRAME = re.compile(
    r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>.+)\n(?:    (?P<code>.+))?', re.MULTILINE
)
_LIBRARIES = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# What differs between two failures for the same reason: quoted values, ids, paths, numbers.
_VALUES = re.compile(
    r"'[^']*'|\"[^\"]*\"|“[^”]*”|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b|0x[0-9a-fA-F]+|(?<![\w/])(?:/[^\s/:,;()]+)+/?"
    r"|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\d+(?:\.\d+)?"
)


class Key(NamedTuple):
    """What is counted together."""

    group: str
    day: date
    task: str
    worker: str


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why a job failed, without what varies from job to job."""

    error_type: str
    sentence: str
    place: str

    @property
    def fingerprint(self) -> str:
        """The id of the cause: the same for the same cause on every machine and in every process."""
        text = "\0".join((self.error_type, self.sentence, self.place))
        return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()


def alike(sentence: str) -> str:
    """Return a sentence without the values in it, so that two failures for the same reason read the same."""
    return _VALUES.sub("…", sentence)


def own_frames(traceback: str) -> list[re.Match[str]]:
    """Return the frames of a traceback that are in the project's code: in no library and no machinery around the task."""
    own = [
        found
        for found in FRAME.finditer(traceback)
        if not found["file"].startswith((*_LIBRARIES, "<")) and "site-packages" not in found["file"]
    ]
    return [found for found in own if "/jobroom/" not in found["file"]] or own[-1:]


def cause_of(job: Any) -> Cause:
    """Return why a failed job failed."""
    first = str(job.error).strip().partition("\n")[0][: 4 * SENTENCE]
    # No line numbers, which every change of a file moves, and no folders, which differ between machines.
    frames = [f"{found['file'].rpartition('/')[2]}:{found['name']}" for found in own_frames(job.traceback)[-FRAMES:]]
    kind = job.error_type or ("the worker vanished" if job.state == State.LOST else "")
    return Cause(kind[:255], alike(first)[:SENTENCE], " > ".join(frames)[:500])


def fingerprint_of(job: Any) -> str:
    """Return the fingerprint of a job's failure; empty for a job that has not failed, or that another job answered."""
    return cause_of(job).fingerprint if job.state in FAILED and not job.answer_of else ""


def key_of(job: Any) -> Key | None:
    """Return where the failure of a job counts; None for one that is none."""
    if not job.fingerprint or job.finished_at is None:
        return None
    return Key(job.fingerprint, job.finished_at.astimezone(UTC).date(), job.task, job.worker)


# Written by the recorder ------------------------------------------------------------------------------------------------
def add(changes: Counter[Key], failed: Iterable[Any]) -> None:
    """Count failures, where a number may be negative: one that was corrected. `failed` are the jobs of those that are new."""
    newest: dict[str, Any] = {}
    first: dict[str, Any] = {}
    for job in sorted(failed, key=lambda job: job.finished_at):
        newest[job.fingerprint] = job
        first.setdefault(job.fingerprint, job)
    _make(first)
    numbers: Counter[str] = Counter()
    for key, number in changes.items():
        numbers[key.group] += number
    # In one order, so that two recorders never wait for each other.
    for group in sorted(numbers):
        _update(group, numbers[group], first.get(group), newest.get(group))
    _count(sorted((key, number) for key, number in changes.items() if number))


def _make(first: Mapping[str, Any]) -> None:
    groups = []
    for fingerprint in sorted(first):
        job, cause = first[fingerprint], cause_of(first[fingerprint])
        groups.append(
            FailureGroup(
                id=fingerprint,
                error_type=cause.error_type,
                sentence=cause.sentence,
                place=cause.place,
                first_seen=job.finished_at,
                last_seen=job.finished_at,
                last_job=job.pk,
            )
        )
    if groups:
        FailureGroup.objects.bulk_create(groups, ignore_conflicts=True)


def _update(group: str, number: int, first: Any, last: Any) -> None:
    changes: dict[str, Any] = {"number": Greatest(F("number") + number, Value(0))}
    if last is not None:
        at = last.finished_at
        back = When(state=GroupState.RESOLVED, resolved_at__lt=at, then=Value(GroupState.OPEN.value))
        changes |= {
            "first_seen": Least(F("first_seen"), Value(first.finished_at)),
            "last_seen": Greatest(F("last_seen"), Value(at)),
            "last_job": Case(When(last_seen__lte=at, then=Value(last.pk)), default=F("last_job")),
            "state": Case(back, default=F("state")),
            "came_back_at": Case(
                When(state=GroupState.RESOLVED, resolved_at__lt=at, then=Value(at)), default=F("came_back_at")
            ),
        }
    FailureGroup.objects.filter(pk=group).update(**changes)


def _count(changes: list[tuple[Key, int]]) -> None:
    table = FailureCount._meta.db_table
    for some in (changes[at : at + STEP] for at in range(0, len(changes), STEP)):
        values = [
            value
            for key, number in some
            for value in (key.group, connection.ops.adapt_datefield_value(key.day), key.task, key.worker, number)
        ]
        places = ", ".join(["(%s, %s, %s, %s, %s)"] * len(some))
        text = (
            f"INSERT INTO {table} (group_id, day, task, worker, number) VALUES {places} "  # noqa: S608 — a name, and places
            f"ON CONFLICT (group_id, day, task, worker) DO UPDATE SET number = {table}.number + excluded.number"
        )
        with connection.cursor() as cursor:
            cursor.execute(text, values)


def group_older() -> int:
    """Give failures from before causes were kept theirs, the newest first, for a moment; return how many.

    What is older than causes are kept is marked and not counted.
    """
    until, total = time.monotonic() + OLDER_SECONDS, 0
    while _without_cause().exists():
        total += _group_some()
        if time.monotonic() >= until:
            break
    return total


def _without_cause() -> JobQuerySet:
    return Job.objects.filter(state__in=["failed", "lost"], fingerprint="", answer_of="")


@transaction.atomic
def _group_some() -> int:
    # What the recorder writes at the moment gets its cause from it; neither waits for the other.
    rows = _without_cause().select_for_update(skip_locked=True)
    columns = ("state", "task", "worker", "error", "error_type", "traceback", "finished_at", "answer_of", "fingerprint")
    jobs = list(rows.only("id", *columns).order_by("-finished_at", "-id")[:OLDER])
    for job in jobs:
        job.fingerprint = fingerprint_of(job)
    Job.objects.bulk_update(jobs, ["fingerprint"])
    limit = timezone.now() - KEPT
    counted = [job for job in jobs if job.finished_at is not None and job.finished_at > limit]
    add(Counter(key for job in counted if (key := key_of(job))), counted)
    return len(jobs)


def forget_old() -> int:
    """Delete counts and retries in stages older than `KEPT`, and causes not seen since of which no one has said anything."""
    before = timezone.now() - KEPT
    StagedRetry.objects.filter(ended_at__lt=before).delete()
    FailureGroup.objects.filter(last_seen__lt=before, state=GroupState.OPEN, assigned_to=None).delete()
    return FailureCount.objects.filter(day__lt=before.date()).delete()[0]


# Read by pages ----------------------------------------------------------------------------------------------------------
def shares(group: FailureGroup, column: str, most: int = 10) -> list[tuple[str, int]]:
    """Return the tasks or the workers (`column`) of a cause with their numbers, the largest first."""
    rows = FailureCount.objects.filter(group_id=group.pk).values_list(column).annotate(sum=Sum("number"))
    return [(name or "none", number) for name, number in rows.filter(~Q(sum=0)).order_by("-sum", column)[:most]]


def tasks_of(groups: Iterable[FailureGroup]) -> dict[str, list[str]]:
    """Return for each cause the tasks whose jobs failed for it, by their names; in one query."""
    found: dict[str, list[str]] = {group.pk: [] for group in groups}
    rows = FailureCount.objects.filter(group_id__in=list(found)).values_list("group_id", "task")
    for group, task, _ in rows.annotate(sum=Sum("number")).filter(sum__gt=0).order_by("task"):
        found[group].append(task)
    return found


def trend(groups: Iterable[FailureGroup], days: int = 14) -> dict[str, list[int]]:
    """Return for each cause how many jobs failed on each of the last days, the oldest first; in one query."""
    today = timezone.now().astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    found = {group.pk: [0] * days for group in groups}
    rows = FailureCount.objects.filter(group_id__in=list(found), day__gte=first).values_list("group_id", "day")
    for group, day, number in rows.annotate(sum=Sum("number")):
        if day <= today:
            found[group][(day - first).days] += number
    return found
