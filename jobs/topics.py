"""What live pages hear of jobs: the topic `job:<id>` tells everything of one, `jobs` that there is news of any."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser, User

from common import events
from jobs import policies, reading
from jobs.models import Job, State
from live import topics

Event = dict[str, Any]
_PROGRESS = ("fraction", "current", "total", "message", "stage", "at")
_LOG = ("level", "message", "obj", "at")
# Of these events a page needs to know only that the job is in another state now.
_STATES = {"queued": State.QUEUED, "started": State.RUNNING, "waiting": State.QUEUED, "retrying": State.RETRYING}


def connect() -> None:
    """Register the kinds of topics; twice is the same as once."""
    topics.register(
        "job",
        topics.Kind(
            may_watch=_may_watch,
            snapshot=_snapshot,
            render=render,
            replay=events.replay,
            private=frozenset({"log", "file"}),
            may_read=_may_read,
        ),
    )
    topics.register(
        "jobs",
        topics.Kind(may_watch=_is_somebody, snapshot=lambda name: {"seq": 0}, render=lambda event: {"type": "changed"}),
    )


def _is_somebody(user: Any, name: str) -> bool:
    return bool(user.is_authenticated and user.is_active) and not name


def _may_watch(user: Any, name: str) -> bool:
    found = reading.whose(name)
    return found is not None and policies.may_see(_fresh(user), found)


def _may_read(user: Any, name: str) -> bool:
    found = reading.whose(name)
    return found is not None and policies.may_see_arguments(_fresh(user), found)


def _fresh(user: Any) -> Any:
    """Return the person as the database knows them now: a socket may be open for days."""
    if not user.is_authenticated:
        return user
    # A socket opened with a cookie has a lazy stand-in, whose type is not the model.
    return User.objects.filter(pk=user.pk).first() or AnonymousUser()


def _snapshot(name: str) -> Event:
    found = reading.job(name)
    return {"seq": found.last_event, **state_of(found)} if found is not None else {"seq": 0}


def state_of(job: Job) -> Event:
    """Return the state, the times and the progress of a job, which everybody may know who may see it."""
    return {
        "state": job.state,
        "attempts": job.attempts,
        "created_at": _text(job.created_at),
        "run_after": _text(job.run_after),
        "queued_at": _text(job.queued_at),
        "started_at": _text(job.started_at),
        "finished_at": _text(job.finished_at),
        "progress": progress_of(job),
    }


def progress_of(job: Job) -> Event | None:
    """Return the progress of the job's current attempt, None when there is none."""
    if not job.progress or job.progress.get("execution") != job.execution:
        return None
    return {key: job.progress.get(key) for key in ("fraction", "current", "total", "message", "stage")}


def render(event: Event) -> Event | None:
    """Return what viewers may see of an event."""
    kind = str(event.get("type"))
    if kind == "progress":
        return {"type": kind, **{key: event.get(key) for key in _PROGRESS}}
    if kind == "log":
        return {"type": kind, **{key: event.get(key) for key in _LOG}}
    if kind == "file":
        return {"type": kind, "id": event.get("file"), "name": event.get("name"), "size": event.get("size")}
    if kind == "changed":
        return {"type": kind}
    if kind == "finished":
        return {"type": "state", "state": event.get("state"), "at": event.get("at")}
    if kind in _STATES:
        waits = kind == "queued" and event.get("eta")
        return {"type": "state", "state": State.SCHEDULED if waits else _STATES[kind], "at": event.get("at")}
    return None


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
