"""What an operator does with messages: delete one, purge, move, put to the front or the back.

Messages leave their queue in steps of a few hundred into a list of their own, see `jobroom.celery.queue_messages`. What has
to be done with them there is done right away for the first ones, and by the recorder's looks for the rest; killed in
between, it goes on. The jobs of removed messages end as cancelled, with who did it and why.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from jobroom import events, redis
from jobroom.celery import queue_messages
from jobroom.celery.connections import pooled
from jobroom.celery.queue_messages import Queues, Work, new_work
from jobroom.queues import broker, queue_rows
from jobroom.queues.exceptions import NotThere, Refused
from jobroom.signals import acted

logger = logging.getLogger(__name__)

# Messages that are dealt with before the answer, by one look of a recorder, and in one round trip.
AT_ONCE, A_LOOK, CHUNK = 2000, 500, 100
# Messages that one purge removes at most from a broker that does not show them.
UNSEEN = 20_000
REMOVED = "RemovedFromQueue"


def preview(queue: str) -> list[int]:
    """Return how many messages each list of a queue has now: what a purge or a move that is confirmed takes at most."""
    if not broker.shows_messages():
        return [broker.depths([queue]).get(queue, 0)]
    with broker.queues() as found:
        return found.depths([queue])[queue]


def purge(queue: str, counts: Sequence[int], *, by: str, reason: str) -> str:
    """Remove the oldest `counts` messages of the lists of a queue; return the sentence that says what happened."""
    _check(queue, reason)
    if not broker.shows_messages():
        return _purge_unseen(queue, sum(counts), by=by, reason=reason)
    with broker.queues() as found:
        work = new_work("purge", queue, by=by, reason=reason)
        number = _take(found, work, counts)
        said = f"Removed {_messages(number)} from the queue {queue}. Their jobs end as cancelled{_rest(found, work)}"
    return _kept(work, "purged", said)


def _purge_unseen(queue: str, count: int, *, by: str, reason: str) -> str:
    """Remove messages from a broker that does not show them: each is received and acknowledged."""
    work, number = new_work("purge", queue, by=by, reason=reason), 0
    with pooled() as connection, connection.channel() as channel:
        while number < min(count, UNSEEN) and (jobs := list(_received(channel, queue, min(CHUNK, count - number)))):
            number += len(jobs)
            _end(work, [job for job in jobs if job])
    left = f" {count - number:,} were not reached: purge again." if count > UNSEEN else ""
    said = f"Removed {_messages(number)} from the queue {queue}. Their jobs end as cancelled.{left}"
    return _kept(work, "purged", said)


def _received(channel: Any, queue: str, most: int) -> Iterator[str]:
    """Take messages for good; yield the job of each, empty for one that is not recorded."""
    for _ in range(most):
        message = channel.basic_get(queue)
        if message is None:
            return
        headers = message.headers if isinstance(message.headers, dict) else {}
        yield str(headers.get("id") or "") if headers.get("tracked") else ""
        channel.basic_ack(message.delivery_tag)


def move(queue: str, target: str, counts: Sequence[int], *, by: str, reason: str) -> str:
    """Move the oldest `counts` messages of the lists of a queue to another one; return the sentence that says what happened."""
    _check(queue, reason)
    _check_target(queue, target)
    with broker.queues() as found:
        work = new_work("move", queue, by=by, reason=reason, target=target)
        number = _take(found, work, counts)
        said = f"Moved {_messages(number)} from the queue {queue} to {target}{_rest(found, work)}"
    return _kept(work, "moved", said)


def act_on_one(kind: str, queue: str, position: int, digest: str, *, by: str, reason: str, target: str = "") -> str:
    """Delete, move, or put to the front or the back one message; return the sentence that says what happened.

    Args:
        kind: delete, move, front or back.
        queue: where it was seen.
        position: where in it; it may be nearer to the front by now.
        digest: of the message, as its page names it.
        by: who does it.
        reason: why; needed to delete and to move.
        target: the queue that it moves to.

    Raises:
        NotThere: a worker has taken it meanwhile.
        Refused: something is wrong with the request.

    """
    if kind not in {"delete", "move", "front", "back"}:
        raise Refused("action", "Choose delete, move, front or back.")
    _check(queue, reason if kind in {"delete", "move"} else "-")
    if kind == "move":
        _check_target(queue, target)
    with broker.queues() as found:
        goes_to = {"delete": "", "move": target}.get(kind, queue)
        work = new_work(kind, queue, by=by, reason=reason, target=goes_to)
        found.begin(work)
        if position > queue_messages.DEEPEST_PICK:
            found.finish(work)
            raise Refused(
                "position",
                f"It is more than {queue_messages.DEEPEST_PICK:,} messages from the front: to take it out would hold Redis up. "
                "Cancel its job, which keeps it from starting as surely.",
            )
        if not found.pick(work, position, digest):
            found.finish(work)
            raise NotThere("The message is not in the queue any more: a worker has taken it, or it was removed.")
        job = next((queue_messages.job_of(text) for text in found.taken(work, 1)), "")
        _settle(found, work, AT_ONCE)
    said = {
        "delete": f"Removed the message of job {job} from the queue {queue}. Its job ends as cancelled.",
        "move": f"Moved the message of job {job} from the queue {queue} to {target}.",
        "front": f"The message of job {job} is taken next from the queue {queue}.",
        "back": f"The message of job {job} is the last of the queue {queue} now.",
    }[kind]
    return _kept(
        work, {"delete": "deleted message of", "move": "moved message of"}.get(kind, f"put to {kind} of"), said
    )


def finish_all() -> None:
    """Go on with what was started; for a recorder's look, so it does little at once."""
    with broker.queues() as found:
        for work in found.works():
            _settle(found, work, A_LOOK)


def _take(found: Queues, work: Work, counts: Sequence[int]) -> int:
    found.begin(work)
    number = found.take(work, counts)
    # A message belongs to the other queue before the answer; what jobs say of themselves may follow.
    _settle(found, work, max(number, AT_ONCE) if work.target else AT_ONCE)
    return number


def _settle(found: Queues, work: Work, most: int) -> None:
    """Deal with the oldest messages of a work, up to `most`; what another process is at is left to it."""
    if not found.turn(work):
        return
    try:
        for _ in range(0, most, CHUNK):
            texts = found.taken(work, CHUNK)
            if not texts:
                break
            if work.target:
                found.put(work, texts)
            else:
                _end(work, queue_messages.tracked(texts))
                found.done(work, len(texts))
        if not found.left(work) and _report_moved(found, work, most):
            found.finish(work)
    except queue_messages.TurnLost:
        logger.warning("Another process goes on with the messages that were taken out of %s", work.queue)
    finally:
        found.end_turn(work)


def _end(work: Work, jobs: Sequence[str]) -> None:
    """Report the end of the jobs whose messages were removed; of one that runs this was another message."""
    if not jobs:
        return
    runs = redis.client().mget([events.running_key(job) for job in jobs])
    why = f": {work.reason}" if work.reason else ""
    end = {
        "state": "cancelled",
        "execution": None,
        "error": f"Removed from the queue {work.queue} by {work.by}{why}",
        "error_type": REMOVED,
    }
    waiting = [job for job, run in zip(jobs, runs, strict=True) if not run]
    events.emit_all([("finished", job, dict(end)) for job in waiting])


def _report_moved(found: Queues, work: Work, most: int) -> bool:
    """Let up to `most` jobs show their new queue; return whether all of them do."""
    jobs = found.moved(work, min(most, AT_ONCE))
    events.emit_all([("moved", job, {"queue": work.target, "by": work.by}) for job in jobs])
    found.moved_shown(work, len(jobs))
    return len(jobs) < min(most, AT_ONCE)


def _check(queue: str, reason: str) -> None:
    if not queue or len(queue) > 255:
        raise Refused("queue", "Name the queue, in at most 255 characters.")
    if not reason.strip():
        raise Refused("reason", "Say why: it is kept in the audit, and shown on the pages of the jobs.")


def _check_target(queue: str, target: str) -> None:
    if target == queue:
        raise Refused("target", "Choose another queue than the one that the messages are in.")
    known = queue_rows.names_known()
    if target not in known:
        raise Refused("target", f"There is no queue called “{target}”. Known: {', '.join(known)}.")


def _messages(number: int) -> str:
    return f"{number:,} message{'' if number == 1 else 's'}"


def _rest(found: Queues, work: Work) -> str:
    left = found.left(work)
    return f"; the recorder goes on with {left:,} of them." if left else "."


def _kept(work: Work, action: str, said: str) -> str:
    acted.send(
        sender=Work, who=work.by, action=action, kind="queue", target=work.queue, reason=work.reason, outcome=said
    )
    return said
