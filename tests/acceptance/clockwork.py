"""The app with a beat whose clock a test moves: `celery -A tests.acceptance.clockwork beat`.

A test puts moments into the list `clock:moments`. Beat works off what is due at one of them, says so, and goes to the next. What it
sends stands with the time of this clock in `clock:sent`.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any

import django

django.setup()

import time_machine  # noqa: E402
from celery.signals import beat_init, before_task_publish  # noqa: E402

from image.celery import app  # noqa: E402
from jobroom import redis  # noqa: E402
from jobroom.schedules import scheduler  # noqa: E402 — needs the apps

__all__ = ["app"]

MOMENTS, REACHED, SENT = "clock:moments", "clock:reached", "clock:sent"

_tick = scheduler.Scheduler.tick
_not_claimed = scheduler.Scheduler._not_claimed


class Clock:
    """The wall clock of this process: it runs on to a moment, or is set to one."""

    def __init__(self) -> None:
        self.hands = time_machine.travel(datetime.now(tz=UTC), tick=True).start()
        self.ahead = scheduler._clock()
        self.stays_until = 0.0  # by the clock that no one can set

    def move(self, moment: str, how: str) -> None:
        """Move to the moment; only a clock that was set is away from the one that no one can set."""
        before = time.time()
        self.hands.move_to(datetime.fromisoformat(moment))
        if how == "set":
            self.ahead += time.time() - before


def tick(self: Any, *args: Any, **kwargs: Any) -> float:
    """Tick; go to the next moment where nothing is due any more, and nothing is tried again."""
    pause = _tick(self, *args, **kwargs)
    if pause == scheduler.RETRY:  # the database did not answer
        stay()
    client = redis.client()
    tried_again = self._unsure or self._owed or time.monotonic() < clock.stays_until
    if pause <= 0 or tried_again or (order := client.lpop(MOMENTS)) is None:
        return min(pause, 0.1)
    clock.move(*json.loads(str(order)))
    client.incr(REACHED)
    return 0.0


def not_claimed(self: Any, entries: Any, error: Exception) -> None:
    """Stay at this moment until what could not be claimed was tried again: a run that is late would be one of another moment."""
    _not_claimed(self, entries, error)
    stay()


def stay() -> None:
    """Stay at this moment for longer than beat waits until it tries again."""
    clock.stays_until = time.monotonic() + scheduler.RETRY + 0.5


def note(headers: dict[str, Any], **_: Any) -> None:
    """Note which schedule sends which job at what time of this clock."""
    sent = [headers.get("periodic_task_name"), datetime.now(tz=UTC).isoformat(), headers["id"]]
    redis.client().rpush(SENT, json.dumps(sent))


def begin(**_: Any) -> None:
    """Take the clock in hand, in beat's process alone."""
    global clock  # noqa: PLW0603 — one a process
    clock = Clock()
    scheduler._clock = lambda: clock.ahead
    scheduler.Scheduler.tick = tick  # type: ignore[method-assign]
    scheduler.Scheduler._not_claimed = not_claimed  # type: ignore[method-assign]
    before_task_publish.connect(note, weak=False)


clock: Clock
app.conf.beat_schedule = {}
beat_init.connect(begin, weak=False)
