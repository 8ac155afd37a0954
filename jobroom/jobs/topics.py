"""Live topics of jobs: `job:<id>` carries everything of one, `jobs` says that any has changed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser

from jobroom import events
from jobroom.jobs import current_state, policies
from jobroom.jobs.models import Job, State
from jobroom.live import topics
from jobroom.users import User

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
            plain=plain,
        ),
    )
    topics.register(
        "jobs",
        topics.Kind(
            may_watch=_is_known,
            snapshot=lambda name: {"seq": 0},
            render=lambda event: {"type": "changed"},
            hearing=_hearing,
        ),
    )


def _is_known(user: Any, name: str) -> bool:
    return bool(user.is_authenticated and user.is_active) and not name


def _may_watch(user: Any, name: str) -> bool:
    person = _fresh(user)
    found = current_state.whose(name, Job.objects.visible_to(person))
    return found is not None and policies.may_see(person, found)


def _may_read(user: Any, name: str) -> bool:
    person = _fresh(user)
    found = current_state.whose(name, Job.objects.visible_to(person))
    return found is not None and policies.may_see_arguments(person, found)


def _hearing(user: Any) -> Callable[[Event], bool]:
    """Return what says of a change whether it is of a job that the user may see; one that names no job is for all.

    An event says under `of` which tasks and owners its jobs have.
    """
    person = _fresh(user)
    if policies.sees_all(person):
        return lambda event: True
    shown, own = policies.tasks_open_to(person, "see"), person.pk
    return lambda event: "of" not in event or any(task in shown or owner == own for task, owner in event["of"])


def _fresh(user: Any) -> Any:
    """Return the person as the database knows them now: a socket may be open for days."""
    if not user.is_authenticated:
        return user
    # A socket opened with a cookie has a lazy stand-in, whose type is not the model.
    return User.objects.filter(pk=user.pk).first() or AnonymousUser()


def _snapshot(name: str) -> Event:
    found = current_state.job(name)
    return {"seq": found.last_event, **state_of(found)} if found is not None else {"seq": 0}


def state_of(job: Job) -> Event:
    """Return the state, the times and the progress of a job."""
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


def progress_of(job: Job, *, readable: bool = True) -> Event | None:
    """Return the progress of the job's current attempt, None when there is none; see `plain` for what is `readable`."""
    if not job.progress or job.progress.get("execution") != job.execution:
        return None
    found = {key: job.progress.get(key) for key in ("current", "total", "message", "stage")} | {
        "fraction": job.fraction
    }
    return found if readable else plain(found)


def plain(said: Event) -> Event:
    """Return a progress, or a message that holds one, for those who may see the job and not read its arguments.

    They see how far it is and the stage, which its code names; the message is made from what it works on, as the log is.
    """
    found = {key: None if key == "message" else value for key, value in said.items()}
    progress = found.get("progress")
    return {**found, "progress": plain(progress)} if progress else found


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
