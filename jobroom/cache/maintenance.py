"""Counts and deletes cached results."""

import dataclasses
from typing import Any

from jobroom import redis
from jobroom.cache import scripts

# Answers that one step of a purge forgets: Redis does nothing else meanwhile.
STEP = 2000


@dataclasses.dataclass
class Tally:
    """The cached results of one task; counts begin when Redis was new."""

    task: str
    kept: int = 0
    bytes: int = 0  # in Redis, roughly
    computed: int = 0  # answers that were computed and kept
    hits: int = 0  # jobs that got one at once
    near: int = 0  # of near-duplicates
    joined: int = 0  # jobs that waited for one that computed the same
    refused: int = 0  # answers too large to be kept
    flying: int = 0  # questions that are being answered now

    @property
    def saved(self) -> int:
        """Jobs that did not have to run."""
        return self.hits + self.near + self.joined

    @property
    def share(self) -> float | None:
        """The share of the jobs, 0 to 1, that did not have to run; None without any."""
        every = self.saved + self.computed + self.refused
        return self.saved / every if every else None


def tallies() -> list[Tally]:
    """Return the counts of every task that has kept an answer, by name; raise redis.Error."""
    purge(task="", step=0)  # strikes those whose time is over
    client = redis.client()
    rows: Any = client.hgetall(redis.key("answers", "tally"))
    found: dict[str, Tally] = {}
    for name, number in rows.items():
        what, _, task = name.partition("|")
        if task:
            setattr(found.setdefault(task, Tally(task)), what, int(number))
    questions: Any = client.zrange(redis.key("answers", "flights"), 0, -1)
    for question in questions:
        task = question.rpartition("|")[0]
        found.setdefault(task, Tally(task)).flying += 1
    return sorted(found.values(), key=lambda one: one.task.lower())


def tally(task: str) -> Tally:
    """Return the counts of one task; raise redis.Error."""
    return next((one for one in tallies() if one.task == task), Tally(task))


def purge(*, task: str = "", older_than: float = 0.0, step: int = STEP) -> int:
    """Forget the answers of `task` (all without one) that are older than so many seconds; return how many.

    Jobs that have got one keep it. Raises redis.Error.
    """
    before = str(int((redis.now() - older_than) * 1000)) if older_than > 0 else ""
    count = 0
    while True:
        gone = int(redis.script(scripts.PURGE)([redis.key("answers", "")], [task, before, step], client=redis.client()))
        count += gone
        if not step or gone < step:
            return count
