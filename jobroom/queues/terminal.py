"""What the operator's commands share: who acts, and errors as a sentence and an exit code."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandParser

from jobroom.jobs import terminal
from jobroom.queues import broker, policies
from jobroom.queues.exceptions import QueueError
from jobroom.queues.views.base import NEEDS


def add_who(parser: CommandParser) -> None:
    """Declare the option that names who acts."""
    parser.add_argument("--as", dest="user", metavar="USER", help="act as this person, with their rights")


def actor(user: str | None) -> str:
    """Return the name under which the act is kept; end the command for a person who may not act."""
    by = terminal.person(user)
    if by is None:
        return f"{getpass.getuser()} (command line)"
    if not policies.may_operate(by):
        terminal.refuse(NEEDS, 1)
    return by.get_username()


def check_may_see(user: str | None) -> None:
    """End the command for a person who may not look at queues and locks."""
    by = terminal.person(user)
    if by is not None and not policies.may_see(by):
        terminal.refuse("Only staff may look at queues, messages and locks.", 1)


@contextmanager
def sentences() -> Iterator[None]:
    """End the command with a sentence and exit code 1 for what cannot be done."""
    try:
        yield
    except QueueError as error:
        terminal.refuse(str(error), 1)
    except broker.AWAY:
        terminal.refuse("The broker or Redis does not answer, so nothing was done.", 1)
