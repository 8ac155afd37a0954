"""All that an operator does to one worker, by one name each: commands that it carries out itself, and what is done about a silent one."""

from jobroom.workers import remote_control, silent

WORDS = {**remote_control.WORDS, **silent.WORDS}


def act(name: str, action: str, argument: str = "", *, by: str, reason: str = "") -> str:
    """Do it, and return what happened in a sentence.

    Args:
        name: the worker, such as default@host.
        action: a key of WORDS.
        argument: a number of processes, a queue, or the worker that takes the queues over.
        by: who does it, for the audit.
        reason: why.

    Raises NoSuchWorker, and WrongCommand for what no worker knows or this one cannot do.

    """
    if action == "hand_over":
        return silent.hand_over(name, argument.strip(), by=by, reason=reason)
    if action == "give_back":
        return silent.give_back(name, by=by, reason=reason)
    if action == "restart":
        return silent.restart(name, by=by, reason=reason)
    return remote_control.give(name, action, argument, by=by, reason=reason)
