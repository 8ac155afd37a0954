"""How long jobs take: what the latest jobs of their task took, by the size of their input where that is known.

Every forecast asks here: the end of a running job, the start of a waiting one, whether one will be late, what a workflow still takes.
"""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from django.core.cache import cache
from django.utils import timezone

from jobroom.jobs import forecast, input_sizes
from jobroom.jobs.history import LOOKED_AT, SIFTED, ended
from jobroom.jobs.models import Job, State
from jobroom.jobs.search import union_all

# The usual run times of so many tasks are read at once, each from so many jobs, and remembered for so many seconds.
MOST_TASKS = 50
LATEST = 25
KEPT = 60
# Of so many tasks at most the inputs of waiting jobs are looked at; those of others count as long as their task usually takes.
MOST_SIZED = 10
# The size of a job's input does not change: it is remembered for so many seconds, of so many jobs of a task.
SIZES_KEPT, MOST_SIZES = 3600, 4000

# Tasks of jobs by their ids.
Tasks = Mapping[str, str]


def typical(tasks: Collection[str]) -> dict[str, float]:
    """Return how many seconds jobs of each task usually take: the median of its latest that ended by themselves.

    Over all owners: it names none of them. A task without such a job is left out, and so are those beyond `MOST_TASKS` that
    no one has asked for in the last minute.
    """
    keys = {f"jobroom.jobs.typical.{key_of(task)}": task for task in tasks}
    kept: dict[str, float | None] = {keys[key]: value for key, value in cache.get_many(keys).items()}
    missing = sorted(task for task in keys.values() if task not in kept)[:MOST_TASKS]
    if missing:
        fresh = _read_typical(missing)
        cache.set_many({key: fresh[task] for key, task in keys.items() if task in fresh}, KEPT)
        kept.update(fresh)
    return {task: seconds for task, seconds in kept.items() if seconds is not None}


def key_of(task: str) -> str:
    """Return a task's name as the key of a cache may have it."""
    return hashlib.sha256(task.encode()).hexdigest()[:24]


def _read_typical(tasks: Sequence[str]) -> dict[str, float | None]:
    columns = ("id", "task", "state", "started_at", "finished_at", "answer_of")
    latest = [ended(task).values_list(*columns)[:LATEST] for task in tasks]
    seconds: dict[str, list[float]] = {task: [] for task in tasks}
    for job in Job.objects.raw(*union_all(latest)):
        if job.state in (State.SUCCEEDED, State.FAILED) and job.started_at and job.finished_at and not job.answer_of:
            seconds[job.task].append(max(0.0, (job.finished_at - job.started_at).total_seconds()))
    return {task: sorted(times)[len(times) // 2] if times else None for task, times in seconds.items()}


def usual(tasks: Tasks) -> dict[str, float]:
    """Return how many seconds each job usually takes, by its id: as its task does, with an input of its size.

    Jobs of which no one knows are left out.
    """
    medians = typical(set(tasks.values()))
    found = {job: medians[task] for job, task in tasks.items() if task in medians}
    sized = [task for task in sorted(medians) if input_sizes.counted(task)]
    for task in sized[:MOST_SIZED]:
        fit = _Fit(task, [job for job in found if tasks[job] == task])
        found |= {job: _median(fit.times(job)) for job in fit.sized}
    return found


def times(tasks: Tasks) -> dict[str, list[float]]:
    """Return what the latest successful jobs of the task of each job took, by its id, in seconds.

    Where sizes are known it is what those nearest in size would have taken with the input of that job.
    """
    of_task: dict[str, list[str]] = defaultdict(list)
    for job, task in tasks.items():
        of_task[task].append(job)
    found: dict[str, list[float]] = {}
    for task, jobs in of_task.items():
        fit = _Fit(task, jobs)
        found |= {job: fit.times(job) for job in jobs}
    return found


def remaining(job: Job) -> tuple[float, float] | None:
    """Return the least and the most seconds that the running job should still take, None when no one can know."""
    if job.state != State.RUNNING or job.started_at is None:
        return None
    return left(job, times({job.pk: job.task})[job.pk], timezone.now())


def left(job: Job, times: Sequence[float], now: datetime) -> tuple[float, float] | None:
    """Return the least and the most seconds of work on the job that are still to come; None when no one can know.

    Args:
        job: one that runs, or waits: then all of its work is to come.
        times: what jobs like it took, in seconds: see `times`.
        now: when it is asked.
    """
    if job.state != State.RUNNING or job.started_at is None:
        return forecast.left(times, None, 0.0)
    spent = max(0.0, (now - job.started_at).total_seconds())
    return forecast.left(times, job.fraction, spent, _reached(job, spent))


def _reached(job: Job, spent: float) -> float:
    """Return the seconds after which the running job had done what it has said to be done, at most `spent`."""
    at = job.progress.get("at")
    if job.started_at is None or not isinstance(at, int | float):
        return spent
    return min(max(0.0, at - job.started_at.timestamp()), spent)


class _Fit:
    """The times of one task, fitted to the inputs of some of its jobs."""

    def __init__(self, task: str, jobs: Collection[str]) -> None:
        known = _known(task)
        self.plain = list(known.values())
        self.sizes: dict[str, float] = {}
        self.by_size: dict[float, list[float]] = {}
        if len(known) >= forecast.SIZED and input_sizes.counted(task):
            self.sizes = _sizes(task, {*known, *jobs})
            self.growth = forecast.Growth(self.plain, [self.sizes.get(pk) for pk in known])
        self.sized = [job for job in jobs if job in self.sizes]

    def times(self, job: str) -> list[float]:
        """Return what jobs like this one took."""
        size = self.sizes.get(job)
        if size is None:
            return self.plain
        if size not in self.by_size:
            self.by_size[size] = self.growth.times(size)
        return self.by_size[size]


def _median(times: Sequence[float]) -> float:
    return sorted(times)[len(times) // 2]


def _known(task: str) -> dict[str, float]:
    """Return what the latest successful jobs of the task took, by their ids, over all owners; a minute old at most."""
    key = f"jobroom.jobs.times.{key_of(task)}"
    return cast("dict[str, float]", cache.get_or_set(key, lambda: _read_known(task), KEPT))


def _read_known(task: str) -> dict[str, float]:
    rows = ended(task).values_list("pk", "state", "started_at", "finished_at", "answer_of")
    found = (
        (pk, (end - start).total_seconds())
        for pk, state, start, end, answer_of in rows[:SIFTED]
        if state == State.SUCCEEDED and start and end and not answer_of
    )
    return dict(itertools.islice(found, LOOKED_AT))


def _sizes(task: str, jobs: Collection[str]) -> dict[str, float]:
    """Return the size of the input of jobs by their ids; it is remembered, so that only new jobs are looked at."""
    key = f"jobroom.jobs.sizes.{key_of(task)}"
    kept: dict[str, float | None] = cache.get(key) or {}
    missing = [pk for pk in jobs if pk not in kept]
    if missing:
        fresh = {pk: size for some in _steps(missing) for pk, size in _read_sizes(task, some).items()}
        older = kept if len(kept) + len(missing) <= MOST_SIZES else {pk: kept[pk] for pk in jobs if pk in kept}
        kept = {**older, **{pk: fresh.get(pk) for pk in missing}}
        cache.set(key, kept, SIZES_KEPT)
    return {pk: size for pk in jobs if (size := kept[pk]) is not None}


def _steps(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    # SQLite takes no more than some thousand values in one statement.
    return (ids[at : at + 500] for at in range(0, len(ids), 500))


def _read_sizes(task: str, ids: Sequence[str]) -> dict[str, float]:
    rows = Job.objects.filter(pk__in=ids).values_list("pk", "args", "kwargs")
    return input_sizes.sizes(task, {pk: (args, kwargs) for pk, args, kwargs in rows})
