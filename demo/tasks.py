"""The documentation's sample tasks. `IMAGE_DEMO=0` switches them off."""

import os
import signal
import time
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

from celery import chord
from celery.exceptions import SoftTimeLimitExceeded

from common.tasks import Argument, BaseTask, NotifyAdminTaskMixin
from image.celery import app

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


@app.task(name="demo.add", acks_late=True)
def add(
    x: Annotated[float, Argument(help="First addend.")], y: Annotated[float, Argument(help="Second addend.")]
) -> float:
    """Add two numbers."""
    return x + y


@app.task(name="demo.mul", acks_late=True)
def mul(
    x: Annotated[float, Argument(help="First factor.")], y: Annotated[float, Argument(help="Second factor.")]
) -> float:
    """Multiply two numbers."""
    return x * y


@app.task(name="demo.xsum", acks_late=True)
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
