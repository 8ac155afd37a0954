"""Why a job has not started, in one sentence that names who or what keeps it, and the one page where that is mended.

Its page, the API and `manage.py show` say the same. What the reader may not see is left out: names of others' jobs and people, keys
that are made of arguments, and links to pages of the staff.
"""

import dataclasses
from collections.abc import Callable

from django.db.models import Count
from django.urls import reverse
from django.utils.text import capfirst

from jobroom import locks
from jobroom.anchors import anchor
from jobroom.conf import settings
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.models import FINISHED, Job, State
from jobroom.jobs.number_formats import clock
from jobroom.jobs.queue_position import Waiting, front_for, waiting
from jobroom.jobs.reasons import Reader, Why
from jobroom.jobs.turn_reasons import turn
from jobroom.locks import Holder
from jobroom.users import User

# What stands for a job of others.
HIDDEN = "a job that you may not see"


def why(job: Job, user: User | None) -> Why | None:
    """Return why a job that is queued has not started, as `user` may know it (None: someone with a shell).

    None for a job in another state, and for one that waits for the result of another. One that gave its place to other tasks
    has none of its own, and no `place`.
    """
    if job.state != State.QUEUED or job.answer_of:
        return None
    if not (job.queue or job.lock):
        return _replaced(job) if job.gave_its_place else None
    reader = Reader(user, job)
    place = waiting([job], locked=True, fresh=True).get(job.pk) or Waiting(job.queue, 0, None)
    reasons = ((kind, say(job, place, reader)) for kind, applies, say in _KINDS if applies(job, place))
    kind, said = next((kind, said) for kind, said in reasons if said is not None)
    found = dataclasses.replace(said, kind=kind, place=place)
    if job.lock and kind != "lock":
        found = dataclasses.replace(found, besides=_lock(job, place, reader).text)
    return found if reader.is_staff else dataclasses.replace(found, remedy="", path="")


def _replaced(job: Job) -> Why:
    parts = Job.objects.filter(parent_id=job.pk).exclude(parent_id="").order_by()
    states: dict[str, int] = dict(parts.values_list("state").annotate(Count("pk")))
    number, ended = sum(states.values()), sum(states.get(state, 0) for state in FINISHED)
    if not number:
        text = "It gave its place to other tasks, none of which is recorded"
    elif number == 1:
        text = f"It gave its place to another job, which {'has ended' if ended else 'has not ended yet'}"
    else:
        text = f"It gave its place to {number} other jobs, of which {ended or 'none'} {'have' if ended > 1 else 'has'} ended"
    return Why("replaced", text, then="It goes on when they have all ended")


# What is said of each kind ----------------------------------------------------------------------------------------------
def _paused(job: Job, place: Waiting, reader: Reader) -> Why:
    assert place.paused is not None  # noqa: S101 — it applies
    paused, back = place.paused, f"The {place.paused.kind} {place.paused.name}"
    reason = f": {paused.reason}" if paused.reason else ""
    if paused.kind == "queue":
        path = reverse("jobroom:queues:queue", args=[paused.name])
    else:
        path = f"{reverse('jobroom:queues:queues')}#{anchor('pause', f'task:{paused.name}')}"
    return Why(
        "", f"{back} is paused by {paused.by} since {clock(paused.moment)}{reason}", remedy=f"Resume the {paused.kind}", path=path,
        then="It keeps its place and starts when that is resumed",
    )  # fmt: skip


def _silent(job: Job, place: Waiting, reader: Reader) -> Why:
    worker = place.kept or max(place.silent, key=lambda one: one.since)
    if place.kept:
        then = "The message goes back into the queue by itself, within a minute while a recorder runs"
    else:
        then = "It does not start until that worker is back, or another one takes the queue"
    return Why("", capfirst(place.silence), then=then, remedy="Replace the worker", path=_worker(worker.instance))


def _stuck(job: Job, place: Waiting, reader: Reader) -> Why:
    names = place.stuck or place.quiet
    remedy = "Restart it" if place.stuck else "Let it take jobs again"
    path = _worker(place.workers.get(names[0], names[0]))
    some = "The worker" if len(names) == 1 else "The workers"
    return Why("", f"{some} {place.idleness}", then="It does not start until then", remedy=remedy, path=path)


def _missing(job: Job, place: Waiting, reader: Reader) -> Why:
    return Why(
        "", f"Its queue waits for {place.waits_for}", then="It starts when a worker has loaded it",
        remedy="How far the load is", path=reverse("jobroom:workers:workers"),
    )  # fmt: skip


def _unserved(job: Job, place: Waiting, reader: Reader) -> Why:
    since = f"; this job has waited since {clock(job.queued_at)}" if job.queued_at else ""
    return Why(
        "", f"No worker serves the queue {place.queue}{_front(place, reader)}{since}", then="It does not start until one does",
        remedy="Give the queue a worker, or move its messages", path=reverse("jobroom:queues:queue", args=[place.queue]),
    )  # fmt: skip


def _lock(job: Job, place: Waiting, reader: Reader) -> Why:
    path = f"{reverse('jobroom:queues:locks')}#{anchor('lock', job.lock)}"
    made = Why("", "", remedy="Free the lock", path=path)
    lock = f"the lock {job.lock}" if reader.reads_arguments else "its lock"  # the name may hold an argument
    try:
        holder = locks.holder(job.lock)
    except RedisUnavailable:
        held = _of(job.holder, reader, ", held by") if job.holder else ""
        return dataclasses.replace(made, text=f"It waits for {lock}{held}; Redis does not answer now")
    if holder is None:
        free = f"It waits for {lock}, which is free: it is its turn at its next try"
        return dataclasses.replace(made, text=free, remedy="", path="")
    since = clock(holder.since)
    text = f"It waits for {lock}, held by {_holder(holder, reader)} since {since}"
    return dataclasses.replace(made, text=text, then="It starts by itself when the lock is free")


def _holder(holder: Holder, reader: Reader) -> str:
    if holder.job:
        return _of(holder.job, reader, "").strip()
    return f"{holder.task or 'a process'} on {holder.host}" if reader.is_staff else "a process"


def _of(job: str, reader: Reader, words: str) -> str:
    return f"{words} {(reader.names([job]) or [HIDDEN])[0]}"


def _late(job: Job, place: Waiting, reader: Reader) -> Why:
    path = reverse("jobroom:queues:queue", args=[place.queue])
    return dataclasses.replace(_line(job, place, reader), remedy="Look into the queue", path=path)


def _line(job: Job, place: Waiting, reader: Reader) -> Why:
    return Why("", f"{capfirst(place.short)}{_front(place, reader)}")


# Each kind with what says that it is the cause, the first that applies; a lock comes after what stops the whole queue.
_KINDS: tuple[tuple[str, Callable[[Job, Waiting], bool], Callable[[Job, Waiting, Reader], Why | None]], ...] = (
    ("paused", lambda job, place: place.paused is not None, _paused),
    ("silent", lambda job, place: place.is_silent, _silent),
    ("unserved", lambda job, place: place.unserved, _unserved),
    ("stuck", lambda job, place: bool(place.stuck), _stuck),
    ("quiet", lambda job, place: bool(place.quiet), _stuck),
    ("resource", lambda job, place: bool(place.missing), _missing),
    ("lock", lambda job, place: bool(job.lock), _lock),
    ("turn", lambda job, place: bool(place.turn) or job.queue in settings.FAIR_QUEUES, turn),
    ("rate", lambda job, place: bool(place.limit), _line),
    ("late", lambda job, place: bool(place.late), _late),
    ("line", lambda job, place: True, _line),
)


def _front(place: Waiting, reader: Reader) -> str:
    if not place.front:
        return ""
    return f"; in front: {place.in_front if reader.user is None else front_for(reader.user, place)}"


def _worker(instance: str) -> str:
    return f"{reverse('jobroom:workers:workers')}#{anchor('worker', instance)}"
