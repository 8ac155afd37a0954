"""Whose turn is before a job that waits for a limit or on a fair queue, and letting it be the next.

Each person has a turn, in the order of their last ones; the jobs of one person come in the order in which they were sent. So before a
job stand the earlier ones of its own person, and of each other person as many as turns pass until then.
"""

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

from jobroom import redis
from jobroom.celery import delayed, task_limits
from jobroom.celery.task_limits import QUEUE, Group
from jobroom.conf import settings
from jobroom.lua_scripts import source

# So many people are looked at, and so far into the line of each: to find a job among more would hold Redis up.
PEOPLE, DEEP = 200, 50_000
# Messages that one command reads.
AT_ONCE = 20

NEXT_UP = source("jobroom.celery", "next_up")


@dataclasses.dataclass(frozen=True)
class Turn:
    """The place of a job that waits for its turn."""

    group: Group
    own: int | None = None  # jobs of the same person before it; None where it stands too far back to be found
    others: dict[str, int] = dataclasses.field(default_factory=dict)  # other person → how many of theirs are before it

    @property
    def before(self) -> int | None:
        """How many jobs have their turn before it."""
        return None if self.own is None else self.own + sum(self.others.values())


def turn_of(job: str, queue: str = "") -> Turn | None:
    """Return the turn of a job, None for one that waits for none; a few questions to Redis, and its errors.

    On a fair queue, which `queue` names, also of one that lies in the list still, where no worker has looked at it yet.
    """
    client = redis.client()
    name: Any = client.hget(redis.key("turns", "parked"), job)
    ahead = _listed(queue) if not name and queue in settings.FAIR_QUEUES else []
    if not name and job not in dict(ahead):
        return None
    name = name or f"{QUEUE}{queue}"
    (group,) = task_limits.read([name])
    if job in group.holders:
        return None
    return _among(job, group, _lines(name, job), [(one, person) for one, person in ahead if one not in group.holders])


def _lines(name: str, job: str) -> list[tuple[str, int | None, int]]:
    """Return each person who waits, in the order of their turns, with the place of the job among theirs, and how many they have."""
    client, base = redis.client(), redis.key("turn", name)
    people: Any = client.zrange(f"{base}:people", 0, PEOPLE - 1)
    with client.pipeline(transaction=False) as pipe:
        for person in people:
            pipe.lpos(f"{base}:of:{person}", job, maxlen=DEEP)
            pipe.llen(f"{base}:of:{person}")
        answers: Any = pipe.execute()
    return list(zip(people, answers[::2], answers[1::2], strict=True))


def _listed(queue: str) -> list[tuple[str, str]]:
    """Return job and person of the messages that a worker would look at next, the first first: as many, and as many bytes."""
    found, read = [], 0
    for text in _from_the_next(queue):
        found.append(_job_and_person(text))
        read += len(text)
        if read >= task_limits.AHEAD_BYTES:
            break
    return list(filter(None, found))


def _from_the_next(queue: str) -> Iterator[str]:
    """Yield the messages in the order in which they are taken, few at a time: each may be as large as a message may be."""
    for first in range(0, task_limits.AHEAD, AT_ONCE):
        texts: Any = redis.client().lrange(queue, -first - AT_ONCE, -first - 1)
        yield from reversed(texts)
        if len(texts) < AT_ONCE:
            return


def _job_and_person(text: str) -> tuple[str, str] | None:
    try:
        headers = json.loads(text)["headers"]
        return str(headers["id"]), str(headers.get(task_limits.PERSON) or headers.get("owner") or "")
    except (ValueError, TypeError, KeyError):
        return None


def _among(job: str, group: Group, lines: list[tuple[str, int | None, int]], ahead: list[tuple[str, str]]) -> Turn:
    """Return the turn of a job among those that were put aside person by person, and those that still lie in the list."""
    mine = next((person for person, at, _ in lines if at is not None), dict(ahead).get(job))
    own = next((at for _, at, _ in lines if at is not None), None)
    numbers = {person: number for person, _, number in lines}
    if own is None and mine is not None:
        before = ahead[: [one for one, _ in ahead].index(job)]
        own = numbers.get(mine, 0) + sum(person == mine for _, person in before)
    if own is None:
        return Turn(group)
    for _, person in ahead:  # those who are new come after those who wait already
        numbers[person] = numbers.get(person, 0) + 1
    order = list(numbers)
    rank = order.index(str(mine))
    turns = {person: min(numbers[person], own + (at < rank)) for at, person in enumerate(order) if at != rank}
    return Turn(group, own, {person: number for person, number in turns.items() if number})


def let_be_next(job: str, queue: str = "") -> str | None:
    """Put a job before all others that wait for the same; return the name of what it waits for, None where it waits for nothing.

    It starts with the next place that is free. Raises the errors of Redis.
    """
    fair = queue in settings.FAIR_QUEUES
    values: list[str | float] = [
        settings.REDIS_PREFIX, job, time.time(), delayed.PARKED, f"{QUEUE}{queue}" if fair else "", queue,
        task_limits.AHEAD, task_limits.AHEAD_BYTES, task_limits.PERSON,
    ]  # fmt: skip
    found: Any = redis.script(NEXT_UP)([], values, client=redis.client())
    return str(found) if found else None
