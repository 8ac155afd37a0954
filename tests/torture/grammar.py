"""Makes programs of nasty behaviour at random, the same ones for the same seed."""

import dataclasses
import random
from typing import Any

from tests.torture.behaviour import DEATHS, ERRORS, SAYINGS, VALUES, nested

# What a task is given, beside its program.
GIVEN: dict[str, Any] = {
    "nothing": None,
    "nan": [float("nan"), float("-inf")],
    "surrogates": "a\x00b\ud800c",
    "nested_150": nested(150),
    "nested_900": nested(900),
    "million": "x" * 1_000_000,
    "too_much": "x" * 17_000_000,
    "number": 10**4000,
    "huge_number": 10**5000,
    "object": object(),
    "odd_keys": {"": {"__type__": "nothing"}},
    "marked": {"__type__": "uuid", "__value__": 3},
    "secret": {"password": "x" * 100, "nested": {"token": [1, {"secret": object}]}},
}
_HOW = {"return": 8, "raise": 12, "die": 2, "recurse": 1, "ignore": 1, "sleep": 1, "sleep_on": 1, "retry": 2}
# What no process may do that others live in: it would say nothing about the room.
_LONG = {"sleep", "sleep_on"}


@dataclasses.dataclass(frozen=True)
class Program:
    """One nasty task: what it is given, what it says, how it ends."""

    task: str
    given: str
    saying: str
    how: str
    what: str

    def options(self) -> dict[str, Any]:
        """Return the options of its message."""
        return {"soft_time_limit": 1, "time_limit": 2} if self.how in _LONG else {}


def programs(seed: int, count: int) -> list[Program]:
    """Return so many programs."""
    chance = random.Random(seed)
    return [_program(chance) for _ in range(count)]


def _program(chance: random.Random) -> Program:
    how = chance.choices(list(_HOW), list(_HOW.values()))[0]
    words = {"return": VALUES, "raise": ERRORS, "die": DEATHS, "retry": ERRORS}.get(how, {"": None})
    return Program(
        task=chance.choice(["torture.nasty", "torture.nasty_late"]),
        given=chance.choice(list(GIVEN)) if chance.random() < 0.3 else "nothing",
        saying=chance.choice(list(SAYINGS)) if chance.random() < 0.5 else "nothing",
        how=how,
        what=chance.choice(list(words)),
    )
