"""What an operator does about a worker whose heartbeat has stopped: another one takes its queues, and its messages go back.

A round of rescue gives messages back too, after a while in which the worker might speak again. Who says that it is gone for good
does not wait. A worker that was only slow and comes back goes on with what it runs; a job that may run twice may run beside it then.
"""

from jobroom import redis
from jobroom.events import consumer, heartbeat
from jobroom.events.heartbeat import Worker
from jobroom.runner import restarts
from jobroom.signals import acted
from jobroom.workers import broker, remote_control
from jobroom.workers.conf import settings
from jobroom.workers.exceptions import NoSuchWorker, WrongCommand
from jobroom.workers.rescue import Round, living_and_gone

WORDS = {
    "hand_over": "hand its queues over to {}",
    "give_back": "give back what it holds",
    "restart": "start again",
}


def hand_over(name: str, to: str, *, by: str, reason: str = "") -> str:
    """Let a living worker take the queues of a silent one that no other serves; return what happened in a sentence.

    Raises NoSuchWorker, and WrongCommand where there is nothing to take over, or it cannot.
    """
    worker = max(_silent(name), key=lambda one: one.started)  # the newest of its name
    served = {queue for other in heartbeat.workers() if other.takes_jobs for queue in other.queues}
    wanted = [queue for queue in worker.queues if queue not in served]
    if not wanted:
        raise WrongCommand(f"Other workers take from all queues of {name}.")
    said = [remote_control.give(to, "add", queue, by=by, reason=reason or f"{name} is silent") for queue in wanted]
    return " ".join(said)


def give_back(name: str, *, by: str, reason: str = "") -> str:
    """Give back what a silent worker holds, and forget it; return what happened in a sentence.

    A job that ran in it and may run twice is run again, another one is lost. Raises NoSuchWorker, and WrongCommand where its broker
    gives back by itself, or the history is behind and does not know yet what has ended.
    """
    found = _silent(name)
    if consumer.lag().is_late:
        raise WrongCommand("The history is behind, so it is not known which jobs have ended. Try again in a moment.")
    living, _ = living_and_gone(heartbeat.workers())
    with broker.connect() as connection:
        if connection is None:
            raise WrongCommand("Its broker gives back by itself what it held; nothing is to be done here.")
        one = Round(redis.client(), connection, living, found)
        for worker in found:
            one.give_back(worker)
            heartbeat.note_vanished(worker, settings.REMEMBER_VANISHED)
            heartbeat.forget(worker.instance)
    numbers = len(one.report.put_back), len(one.report.lost)
    said = f"{name} is forgotten: {_jobs(numbers[0])} went back into the queue{f', {_jobs(numbers[1])} lost' if numbers[1] else ''}."
    acted.send(sender=Worker, who=by, action="gave back", kind="worker", target=name, reason=reason, outcome=said)
    return said


def restart(name: str, *, by: str, reason: str = "") -> str:
    """Let `manage.py up` kill a worker of its own that hangs, which it starts again; give back what it held at once.

    Return what happened in a sentence. Raises NoSuchWorker, and WrongCommand with what to do where no supervisor of ours runs it.
    """
    hung = [one for one in heartbeat.workers() if one.name == name and (one.stuck or not one.alive)]
    if not hung:
        raise NoSuchWorker(f"There is no worker called “{name}” that hangs: it may be back by now.")
    worker = max(hung, key=lambda one: one.started)
    supervisor = restarts.supervisor_of(worker.host, worker.pid)
    if supervisor is None:
        raise WrongCommand(
            f"No `manage.py up` runs it, so it cannot be restarted from here. Run `kill -9 {worker.pid}` on {worker.host}: what "
            "started it (systemd, a container) starts it again. Its queues and messages can be handed over and given back here."
        )
    try:
        problem = restarts.ask(supervisor, worker.pid, by=by, seconds=remote_control.PATIENCE)
    except restarts.NoAnswer as error:
        problem = str(error)
    done = f"{name} (process {worker.pid}) was killed; it is started again."
    said = f"{name} was not restarted: {problem}" if problem else done
    acted.send(sender=Worker, who=by, action="restarted", kind="worker", target=name, reason=reason, outcome=said)
    if problem:
        raise WrongCommand(said)
    try:
        return said if worker.alive else f"{said} {give_back(name, by=by, reason=reason)}"
    except (NoSuchWorker, WrongCommand) as error:
        return f"{said} {error}"  # the next round of rescue gives back


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number or 'no'} jobs"


def _silent(name: str) -> list[Worker]:
    found = [worker for worker in heartbeat.workers() if worker.name == name and not worker.alive]
    if not found:
        raise NoSuchWorker(f"There is no silent worker called “{name}”: it may be back by now.")
    return found
