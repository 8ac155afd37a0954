"""Notifies open pages of jobs that wait when the reason changes: a pause, a worker's silence and a lock are no events of the job.

A recorder looks once a second, at what some page shows and no more. Two recorders that look both notify; pages take that as one.
"""

from collections.abc import Hashable, Sequence

from jobroom import locks
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.models import Job, State
from jobroom.jobs.queue_position import Waiting, waiting
from jobroom.live.publish import publish, watched_of
from jobroom.locks import Holder

# Seconds between two looks.
PAUSE = 1.0
# So many waiting jobs that are on a page are looked at.
MOST = 200
# A place nearer to the front than this counts at once, one further back when the page looks again by itself.
NEAR = 5
_CHANGED = {"type": "changed", "seq": 0}
_COLUMNS = ("id", "task", "state", "queue", "queued_at", "lock", "answer_of")


class Reasons:
    """What the reasons were at the last look."""

    def __init__(self) -> None:
        self.known: dict[str, Hashable] = {}

    def look(self) -> None:
        """Notify the pages of those jobs whose reason is another one; also of those that are new here, as it may have changed since."""
        ids = watched_of("job")
        jobs = (
            list(Job.objects.filter(pk__in=ids[:MOST], state=State.QUEUED, answer_of="").only(*_COLUMNS)) if ids else []
        )
        now = signs(jobs)
        changed = [job for job, sign in now.items() if self.known.get(job) != sign]
        self.known = now
        if changed:
            publish((f"job:{job}", _CHANGED) for job in changed)


def signs(jobs: Sequence[Job]) -> dict[str, Hashable]:
    """Return for each job what its reason is made of, without what changes all the time."""
    places, holders = waiting(jobs, locked=True, fresh=True), _holders(jobs)
    return {job.pk: (_of_place(places.get(job.pk)), _of_holder(holders.get(job.lock))) for job in jobs}


def _of_place(place: Waiting | None) -> Hashable:
    if place is None:
        return None
    gone = tuple(worker.instance for worker in place.silent), place.kept and place.kept.instance
    near = min(place.ahead, NEAR)
    return (
        *(place.unserved, place.missing, place.stuck, place.quiet, gone, place.limit, bool(place.late)),
        *(place.turn, place.paused, near, place.processes is None),
    )


def _of_holder(holder: Holder | None) -> Hashable:
    return (holder.job, holder.fencing) if holder is not None else None


def _holders(jobs: Sequence[Job]) -> dict[str, Holder]:
    try:
        return locks.holders_of({job.lock for job in jobs if job.lock})
    except RedisUnavailable:
        return {}
