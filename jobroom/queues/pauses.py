"""Pauses and resumes queues and tasks: the row first, then Redis, which workers read."""

import time

from django.db import transaction
from django.utils import timezone

from jobroom.celery import delayed
from jobroom.celery import pauses as held
from jobroom.events import heartbeat
from jobroom.queues.exceptions import NotThere, Refused
from jobroom.queues.models import Pause
from jobroom.signals import acted

# Seconds that are waited for workers to say that they hold a pause.
PATIENCE = 4.0


def pause(kind: str, name: str, *, by: str, reason: str) -> str:
    """Let no worker take jobs of a queue or a task; return the sentence that says what happens now.

    Raises Refused for a kind or name that is none, or one that is paused already.
    """
    _check(kind, name)
    if not reason.strip():
        raise Refused("reason", "Say why: the pages of the jobs that wait show it.")
    with transaction.atomic():
        row, fresh = Pause.objects.get_or_create(
            kind=kind, name=name, defaults={"by": by[:150], "reason": reason.strip()[:500], "at": timezone.now()}
        )
        if not fresh:
            raise Refused("name", f"The {kind} {name} is paused already, by {row.by}.")
        said = f"The {kind} {name} is paused. What runs goes on; nothing of it is started until it is resumed."
        acted.send(sender=Pause, who=by, action="paused", kind=kind, target=name, reason=reason.strip(), outcome=said)
        transaction.on_commit(lambda: held.put([row.as_workers_read_it]))
    return f"{said}{_confirmed(kind, name, paused=True)}"


def resume(kind: str, name: str, *, by: str, reason: str = "") -> str:
    """Let workers go on with a queue or a task; return the sentence that says what happens. Raises NotThere if it is not paused."""
    # Asked before the transaction: while it is open, no one else writes, and Redis may be slow to answer.
    count = delayed.parked(held.group_of(name)) if kind == "task" else 0
    waits = f" {count:,} of its jobs go on." if count else ""
    with transaction.atomic():
        row = Pause.objects.select_for_update().filter(kind=kind, name=name).first()
        if row is None:
            raise NotThere(f"The {kind} {name} is not paused.")
        said = f"The {kind} {name} is resumed: workers take its jobs within a second or two.{waits}"
        row.delete()
        acted.send(sender=Pause, who=by, action="resumed", kind=kind, target=name, reason=reason, outcome=said)
        transaction.on_commit(lambda: held.remove(kind, name))
    return f"{said}{_confirmed(kind, name, paused=False)}"


def _confirmed(kind: str, name: str, *, paused: bool) -> str:
    """Wait until the workers say so themselves, for a few seconds; return the sentence about those that do not."""
    end = time.monotonic() + PATIENCE
    while silent := _silent(kind, name, paused):
        if time.monotonic() > end or transaction.get_connection().in_atomic_block:
            return f" Not confirmed yet by {', '.join(silent)}."
        time.sleep(0.1)
    return ""


def _silent(kind: str, name: str, paused: bool) -> list[str]:
    """Return the living workers that it concerns and whose last heartbeat says otherwise."""
    living = [worker for worker in heartbeat.workers() if worker.alive and not worker.starting]
    if kind == "queue":
        return [worker.name for worker in living if name in worker.queues and (name in worker.paused) != paused]
    return [worker.name for worker in living if (name in worker.paused_tasks) != paused]


def _check(kind: str, name: str) -> None:
    if kind not in held.KINDS:
        raise Refused("kind", "What is paused is a queue or a task.")
    if not name.strip() or len(name) > 255:
        raise Refused("name", f"Name the {kind}, in at most 255 characters.")


def reconcile() -> None:
    """Bring Redis in line with the rows: it may have been emptied, or a process may have died in between."""
    known = held.current()
    rows = {(row.kind, row.name): row for row in Pause.objects.all()}
    held.put(row.as_workers_read_it for key, row in rows.items() if key not in known)
    for kind, name in known.keys() - rows.keys():
        if not Pause.objects.filter(kind=kind, name=name).exists():
            held.remove(kind, name)
    for group in delayed.groups_parked():
        if ("task", group.removeprefix("task:")) not in rows:
            delayed.unpark(group)
