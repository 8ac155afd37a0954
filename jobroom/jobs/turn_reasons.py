"""Why a job waits for its turn: which limit is reached and who has its places, or whose turn on a fair queue is before."""

import dataclasses

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst, get_text_list

from jobroom import redis
from jobroom.anchors import anchor
from jobroom.celery import turn_order
from jobroom.celery.task_limits import QUEUE
from jobroom.celery.turn_order import Turn
from jobroom.jobs.models import Job
from jobroom.jobs.number_formats import clock, number_of
from jobroom.jobs.queue_position import Waiting
from jobroom.jobs.reasons import NAMED, Reader, Why
from jobroom.users import User


def turn(job: Job, place: Waiting, reader: Reader) -> Why | None:
    """Say which limit is reached and who has its places, or whose turn is before; None for one that waits for no turn."""
    try:
        found = turn_order.turn_of(job.pk, job.queue)
    except (redis.Error, OSError):
        found = None
    if found is None:
        # It waits for its batch or a last call, which come by themselves; or for the moment that a rate allows.
        return Why("", capfirst(place.turn), then="It starts by itself") if place.turn else None
    query = urlencode({"job": job.pk})
    path = f"{reverse('jobroom:queues:locks')}?{query}#{anchor('limit', found.group.name)}"
    said = _fair(found, reader) if found.group.what.startswith(QUEUE) else _limit(found, reader)
    remedy = "Let it be the next" if found.group.what.startswith(QUEUE) else "Free a place, or let it be the next"
    return Why(
        "", said, then="It starts by itself when it is its turn; no process waits with it", remedy=remedy, path=path
    )


def _limit(turn: Turn, reader: Reader) -> str:
    group = turn.group if reader.reads_arguments else dataclasses.replace(turn.group, key="")
    names = reader.names(list(group.holders)[:NAMED])
    more = len(group.holders) - len(names)
    if more > 0:
        names.append(f"{more:,} {'more' if names else 'other' if more == 1 else 'others'}")
    since = clock(min(group.holders.values())) if group.holders else ""
    held = (
        f"; the place{'s are' if group.most != 1 else ' is'} held by {get_text_list(names, 'and')} since {since}"
        if since
        else ""
    )
    before = f"; {turn.before:,} before it" if turn.before else ""
    return f"{capfirst(group.sentence)} (the limit {group.what}){held}{before}"


def _fair(turn: Turn, reader: Reader) -> str:
    queue = turn.group.what.removeprefix(QUEUE)
    start = f"Each person has a turn on the queue {queue}"
    if turn.before is None:
        return f"{start}, and very many are before it"
    parts = [f"{turn.own:,} of the same person"] if turn.own else []
    if others := sum(turn.others.values()):
        who = f" ({_people(turn)})" if reader.is_staff else ""
        parts.append(f"{others:,} of {number_of(len(turn.others), 'other person', 'other people')}{who}")
    taken = f"{len(turn.group.holders):,} of {turn.group.most:,} places are taken"
    if not parts:
        return f"{start}: it is the next, and {taken}"
    return f"{start}: {turn.before:,} before it, {get_text_list(parts, 'and')}; {taken}"


def _people(turn: Turn) -> str:
    """Name the people whose turn is before, those with the most first; one who is no user is called as the message calls them."""
    most = sorted(turn.others, key=lambda person: (-turn.others[person], person))[:NAMED]
    # A message may say anything: also a number longer than Python reads.
    ids = [int(one) for one in most if one.isascii() and one.isdigit() and len(one) < 20]
    rows = User._default_manager.filter(pk__in=ids)
    known = {str(user.pk): user.get_username() for user in rows}
    names = [known.get(one, one or "no one") for one in most]
    return get_text_list([*names, *(["others"] if len(turn.others) > NAMED else [])], "and")
