"""Commands to workers (quiet, stop, grow, shrink, queues), confirmed by the worker's heartbeat.

The hash `orders:pending` in Redis keeps what was asked and not seen yet; the page of workers shows it until it is.
"""

import dataclasses
import json
import time
from collections.abc import Callable

from jobroom import redis
from jobroom.celery import worker_commands
from jobroom.celery.worker_commands import NoAnswer
from jobroom.events import heartbeat
from jobroom.events.heartbeat import Worker
from jobroom.signals import acted
from jobroom.users import User
from jobroom.workers.exceptions import NoSuchWorker, WrongCommand

# Seconds that the answer, and what follows in the heartbeat, is waited for; and for which a command is shown.
PATIENCE, SHOWN = 4.0, 3600.0
# Most processes by which a pool is changed at once.
MOST = 64

NEEDS = "Giving commands to workers needs the permission “Can change queues, messages, pauses, workers and locks”."

WORDS = {
    "quiet": "take no more jobs",
    "loud": "take jobs again",
    "stop": "end when its jobs have ended",
    "grow": "have {} more processes",
    "shrink": "have {} fewer processes",
    "add": "consume the queue {}",
    "cancel": "consume the queue {} no more",
}


@dataclasses.dataclass(frozen=True)
class Pending:
    """A command that a worker has not been seen to have carried out."""

    instance: str
    worker: str
    action: str
    argument: str
    expected: int  # processes afterwards, where that is what changes
    by: str
    at: float
    problem: str = ""  # what the worker said about it

    @property
    def words(self) -> str:
        """What was asked."""
        return WORDS[self.action].format(self.argument)

    @property
    def field(self) -> str:
        """Its place in the hash."""
        return f"{self.instance} {self.action} {self.argument}"


def may_operate(user: User) -> bool:
    """Return whether the user may give commands to workers."""
    return user.is_active and user.is_staff and user.has_perm("jobroom_queues.operate")


def key() -> str:
    """Return the key of the hash of commands that were not seen yet."""
    return redis.key("orders", "pending")


def give(name: str, action: str, argument: str = "", *, by: str, reason: str = "") -> str:
    """Give a worker a command, wait a few seconds until its heartbeat shows it, and return what happened in a sentence.

    Raises NoSuchWorker, and WrongCommand for one that no worker knows or this one cannot carry out.
    """
    worker = _living(name)
    pending = _command(worker, action, argument.strip(), by)
    redis.client().hset(key(), pending.field, json.dumps(dataclasses.asdict(pending)))
    problem = _given(worker, pending)
    if problem is None:
        said = _followed(pending)
    else:
        redis.client().hdel(key(), pending.field)
        said = f"{name} did not: {problem}"
    acted.send(
        sender=Pending,
        who=by,
        action=f"asked to {pending.words}",
        kind="worker",
        target=name,
        reason=reason,
        outcome=said,
    )
    if problem is not None:
        raise WrongCommand(said)
    return said


def _living(name: str) -> Worker:
    found = [worker for worker in heartbeat.workers() if worker.name == name and worker.alive and not worker.starting]
    if not found:
        raise NoSuchWorker(f"There is no living worker called “{name}”.")
    return found[0]


def _command(worker: Worker, action: str, argument: str, by: str) -> Pending:
    if action not in WORDS:
        raise WrongCommand(f"A worker takes these commands: {', '.join(WORDS)}.")
    expected = 0
    if action in {"grow", "shrink"}:
        number = int(argument) if argument.isascii() and argument.isdigit() else 0
        if not 1 <= number <= MOST:
            raise WrongCommand(f"Say by how many processes, from 1 to {MOST}.")
        expected = worker.concurrency + (number if action == "grow" else -number)
        if expected < 1:
            raise WrongCommand(
                f"It has {worker.concurrency} processes and keeps at least one; ask it to be quiet instead."
            )
    if action in {"add", "cancel"} and not 0 < len(argument) <= 255:
        raise WrongCommand("Name the queue, in at most 255 characters.")
    return Pending(worker.instance, worker.name, action, argument, expected, by, time.time())


def _given(worker: Worker, pending: Pending) -> str | None:
    """Give the command; return what the worker has against it, None where it has nothing."""
    try:
        answer = worker_commands.give(worker.instance, pending.action, pending.argument, seconds=PATIENCE)
    except NoAnswer:
        return None  # shown until it is seen
    return str(answer["error"]) if "error" in answer else None


def _followed(pending: Pending) -> str:
    began = time.monotonic()
    while not _is_seen(pending, heartbeat.workers()):
        if time.monotonic() - began > PATIENCE:
            return f"{pending.worker} was asked to {pending.words}. It has not said yet that it has; its row shows when it does."
        time.sleep(0.1)
    redis.client().hdel(key(), pending.field)
    return f"{pending.worker} was asked to {pending.words}, and its heartbeat says that it has."


# What a heartbeat says when a command has been carried out.
_SEEN: dict[str, Callable[[Worker, Pending], bool]] = {
    "quiet": lambda worker, _: worker.quiet,
    "loud": lambda worker, _: not worker.quiet,
    "stop": lambda worker, _: False,  # until there is none any more
    "grow": lambda worker, pending: worker.concurrency >= pending.expected,
    "shrink": lambda worker, pending: worker.concurrency <= pending.expected,
    "add": lambda worker, pending: pending.argument in worker.queues,
    "cancel": lambda worker, pending: pending.argument not in worker.queues,
}


def _is_seen(pending: Pending, workers: list[Worker]) -> bool:
    worker = next((each for each in workers if each.instance == pending.instance), None)
    if worker is None:
        return True  # it is gone, and with it what it was asked to do
    return _SEEN[pending.action](worker, pending)


def pending() -> dict[str, list[Pending]]:
    """Return what was asked of each worker, by its instance, and is not seen yet; forget what is."""
    texts: dict[str, str] = redis.client().hgetall(key())  # type: ignore[assignment]
    if not texts:
        return {}
    workers, found = heartbeat.workers(), dict[str, list[Pending]]()
    for field, text in texts.items():
        command = Pending(**json.loads(text))
        if _is_seen(command, workers) or time.time() - command.at > SHOWN:
            redis.client().hdel(key(), field)
        else:
            found.setdefault(command.instance, []).append(command)
    return found


def stack(job: str) -> str:
    """Return the stack of a job that runs; raise NoSuchWorker or WrongCommand, which say why there is none."""
    workers = [worker for worker in heartbeat.workers() if worker.alive]
    worker = next((w for w in workers if job in w.held or any(row["job"] == job for row in w.running)), None)
    if worker is None:
        raise NoSuchWorker("No living worker says that it runs this job.")
    try:
        answer = worker_commands.give(worker.instance, "stack", job, seconds=PATIENCE)
    except NoAnswer as error:
        raise WrongCommand(f"{worker.name} does not answer: {error}") from error
    if "error" in answer:
        raise WrongCommand(str(answer["error"]))
    return str(answer["done"])
