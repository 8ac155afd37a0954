"""The documentation's sample tasks. `IMAGE_DEMO=0` switches them off."""

import enum
import functools
import os
import signal
import time
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from celery import chord
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth.models import Group
from django.db.models import QuerySet

from image.celery import app
from jobroom.arguments.redaction import Secret
from jobroom.tasks import Argument, BaseTask, File, NotifyAdminTaskMixin

# Seconds between two looks at the clock while a sample pretends to work.
TICK = 0.05

Level = Literal["debug", "info", "warning", "error"]


@app.task(bind=True, base=app.Task, name="demo.echo", acks_late=True)
def echo(self: Any, text: Annotated[str, Argument(help="What to say back.")] = "Hello") -> str:
    """Answer with the text it was given: the shortest way to see that a queue has a worker."""
    return text


@app.task(bind=True, base=app.Task, name="demo.log", acks_late=True)
def log(
    self: Any,
    message: Annotated[str, Argument(help="The line to write.")] = "Hello from a job",
    level: Annotated[Level, Argument(help="How much it matters.")] = "info",
) -> None:
    """Write one line into the job's log."""
    self.log(level, message)


@app.task(bind=True, base=app.Task, name="demo.wait", acks_late=True)
def wait(self: Any, secs: Annotated[float, Argument(help="How long to sleep, in seconds.")] = 1.0) -> float:
    """Sleep, and answer how long.

    It is acknowledged late: when its worker is killed, the job is **run again** from the start by another worker.
    """
    time.sleep(secs)
    return secs


@app.task(bind=True, base=app.Task, name="demo.progress", acks_late=True)
def progress(
    self: Any,
    secs: Annotated[float, Argument(help="How long the work takes, in seconds.")] = 5.0,
    steps: Annotated[int, Argument(help="In how many steps progress is reported.")] = 100,
) -> int:
    """Pretend to work and report each step, so that a page can show a moving bar. Answers the number of steps."""
    for _ in self.track(range(steps), "Working"):
        time.sleep(secs / steps)
    return steps


@app.task(
    bind=True,
    base=app.Task,
    name="demo.answer_once",
    acks_late=True,
    cache_for=timedelta(hours=1),
    fingerprint=lambda text: " ".join(text.lower().split()),
)
def answer_once(
    self: Any,
    text: Annotated[str, Argument(help="What to think about. Upper and lower case are the same to it.")],
    secs: Annotated[float, Argument(help="How long to think, in seconds.")] = 5.0,
) -> dict[str, int]:
    """Think about a text, and answer how many words and letters it has. Answers are **kept for an hour**.

    Who asks about the same text gets the answer at once; who asks while it is being thought about waits for it.
    """
    for _ in self.track(range(20), "Thinking"):
        time.sleep(secs / 20)
    return {"words": len(text.split()), "letters": sum(map(str.isalpha, text))}


class Flavour(enum.Enum):
    """What a choice looks like that is an Enum."""

    VANILLA = "vanilla"
    LEMON = "lemon"


SCOOPS = {"cup": [(1, "One"), (2, "Two"), (3, "Three")], "cone": [(1, "One"), (2, "Two")]}


def _group(title: str) -> Any:
    """Return what the fields under one heading have in common."""
    return functools.partial(Argument, group=title)


_words, _numbers, _times, _choices, _things = map(_group, ["Words", "Numbers", "Times", "Choices", "Things"])


@app.task(bind=True, base=app.Task, name="demo.every_field", acks_late=True)
def every_field(
    self: Any,
    word: Annotated[str, _words(help="A line of text, from 2 to 20 letters."), MinLen(2), MaxLen(20)] = "Hello",
    text: Annotated[str, _words(help="Text of several lines.", multiline=True)] = "",
    password: Annotated[str, Secret, _words(help="A secret: hidden in the database, the log and the mail.")] = "",
    names: Annotated[list[str], _words(help="Several words.")] = [],  # noqa: B006 — as people write it
    count: Annotated[int, Ge(1), Le(10), _numbers(help="A whole number from 1 to 10.")] = 3,
    weight: Annotated[float, Gt(0), _numbers(help="A number above 0, in grams.")] = 1.5,
    price: Annotated[Decimal, _numbers(help="An exact number.")] = Decimal("9.90"),
    day: Annotated[date | None, _times(help="A day, or none.")] = None,
    moment: Annotated[datetime | None, _times(help="A moment, or none.")] = None,
    pause: Annotated[timedelta, _times(help="A duration, such as 1h 30m.")] = timedelta(minutes=90),
    loud: Annotated[bool, _choices(help="Yes or no.")] = False,
    flavour: Annotated[Flavour, _choices(help="One of an Enum.")] = Flavour.VANILLA,
    vessel: Annotated[Literal["cup", "cone"], _choices(help="Decides how many scoops there can be.")] = "cup",
    scoops: Annotated[
        int, _choices(help="A cone holds two.", choices=lambda answers: SCOOPS.get(answers.get("vessel") or "cup", []))
    ] = 1,
    lid: Annotated[
        bool | None, _choices(help="Asked of cups alone.", visible=lambda answers: answers.get("vessel") != "cone")
    ] = None,
    extra: Annotated[dict[str, Any] | None, _things(help="JSON, or nothing.")] = None,
    ticket: Annotated[UUID | None, _things(help="A UUID, or none.")] = None,
    file: Annotated[File | None, _things(help="An upload, or one of your files, or none.")] = None,
    person: Annotated[Group | None, _things(title="Group", help="A row of a table, or none.")] = None,
    groups: Annotated[QuerySet[Group] | None, Group, _things(help="Several rows of a table, or none.")] = None,
    dry_run: Annotated[bool, Argument(help="Say what would be done, and do nothing.")] = False,
) -> dict[str, str]:
    """Show a field of every kind, and answer with what came of each.

    Nothing is done with the answers. **Dry run** launches it with `dry_run`, which a form offers for every task that
    has an argument of that name.
    """
    self.log("info", "A dry run: nothing would be done anyway." if dry_run else "Reading the answers.")
    given = {name: value for name, value in locals().items() if name not in {"self", "password"}}
    return {name: f"{type(value).__name__}: {value}" for name, value in given.items()}


@app.task(name="demo.add", acks_late=True)
def add(
    x: Annotated[float, Argument(help="First addend.")], y: Annotated[float, Argument(help="Second addend.")]
) -> float:
    """Add two numbers."""
    return x + y


@app.task(name="demo.mul", title="Multiply", acks_late=True)
def mul(
    x: Annotated[float, Argument(help="First factor.")], y: Annotated[float, Argument(help="Second factor.")]
) -> float:
    """Multiply two numbers."""
    return x * y


@app.task(name="demo.xsum", title="Add up a list", acks_late=True)
def xsum(
    numbers: Annotated[list[float], Argument(help="The numbers to add up, for example the results of a group.")],
) -> float:
    """Add up a list of numbers."""
    return sum(numbers)


@app.task(name="demo.give", acks_late=True)
def give(value: Annotated[Any, Argument(help="Anything that is JSON.")]) -> Any:
    """Return what it is given: the beginning of a workflow over a list."""
    return value


@app.task(name="demo.count_words", acks_late=True)
def count_words(text: Annotated[str, Argument(help="A piece of text.")]) -> dict[str, int]:
    """Count the words of one text: the *map* half of `demo.map_reduce`."""
    counts: dict[str, int] = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return counts


@app.task(name="demo.merge_counts", acks_late=True)
def merge_counts(
    parts: Annotated[list[dict[str, int]], Argument(help="What each `demo.count_words` found.")],
) -> dict[str, int]:
    """Merge the counts of all texts: the *reduce* half of `demo.map_reduce`."""
    total: dict[str, int] = {}
    for part in parts:
        for word, count in part.items():
            total[word] = total.get(word, 0) + count
    return total


@app.task(bind=True, base=app.Task, name="demo.map_reduce", acks_late=True)
def map_reduce(
    self: Any, texts: Annotated[list[str], Argument(help="The texts whose words are counted, at least one.")]
) -> Any:
    """Count the words of many texts at once.

    The chord is built while the job runs: one `demo.count_words` for each text, then one `demo.merge_counts`, whose
    result becomes the result of this job.
    """
    return self.replace(chord([count_words.s(text) for text in texts], merge_counts.s()))


class Countdown(BaseTask):
    """Count down to zero: a sample of a class-based task."""

    name = "demo.countdown"
    description = "Counts down to zero, one number a tick. A sample of a task that is a **class**."
    acks_late = True

    def run(self, start: Annotated[int, Argument(help="The number to begin with.")] = 3) -> str:
        """Report each number as progress."""
        for number in self.track(range(start, 0, -1), "Counting"):
            self.log("info", f"{number} …")
            time.sleep(TICK)
        return "Lift-off"


app.tasks.register(Countdown)  # type: ignore[arg-type]


class NotifyingTask(NotifyAdminTaskMixin, app.Task):  # type: ignore[name-defined,misc]
    """Base of the samples whose failure is mailed to the admins."""

    abstract = True


@app.task(base=NotifyingTask, name="demo.fail")
def fail(message: Annotated[str, Argument(help="The text of the error.")] = "This sample always fails") -> None:
    """Fail. Every address in `ADMINS` gets one mail with the traceback."""
    raise ValueError(message)


@app.task(base=NotifyingTask, name="demo.killed")
def killed() -> None:
    """Kill the process it runs in, as a machine that runs out of memory would.

    It is acknowledged early, so it is **not** run again; the admins get one mail.
    """
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(base=NotifyingTask, name="demo.ignores_time_limit", soft_time_limit=1, time_limit=3)
def ignores_time_limit(secs: Annotated[float, Argument(help="How long to go on, in seconds.")] = 60.0) -> float:
    """Ignore the soft limit of one second, so that the hard limit of three kills its process.

    Only a prefork pool has time limits; elsewhere it ends after `secs`.
    """
    end = time.monotonic() + secs
    while (left := end - time.monotonic()) > 0:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(min(left, TICK))
    return secs
