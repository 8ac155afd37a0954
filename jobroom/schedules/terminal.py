"""What the commands about schedules share: their parts, the schedule that one is about, and errors as a sentence and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.jobs import terminal
from jobroom.jobs.exceptions import JobError
from jobroom.schedules import policies
from jobroom.schedules.exceptions import ScheduleError
from jobroom.schedules.filters import RELATED
from jobroom.users import User


def add_part(parts: Any, name: str, text: str, *, about: str = "schedule") -> Any:
    """Declare a part of a command and return its parser; it asks for a name where it is about one thing."""
    parser = parts.add_parser(name, help=text, description=text)
    if about:
        parser.add_argument("name", help=f"name of the {about}")
    parser.add_argument("--as", dest="user", metavar="USER", help="act as this person, with their rights")
    parser.add_argument("--json", action="store_true")
    return parser


def visible(by: User | None) -> "QuerySet[PeriodicTask]":
    """Return the schedules that the person may see; the machine, None, sees all."""
    return PeriodicTask.objects.all() if by is None else policies.visible_to(by)


def schedule_called(name: str, by: User | None) -> PeriodicTask:
    """Return the schedule of this name, or end the command where the person sees none."""
    found = visible(by).select_related(*RELATED).filter(name=name.replace("\x00", "")).first()
    return found or terminal.refuse(f"There is no schedule “{name}”.")


@contextmanager
def sentences() -> Iterator[None]:
    """End the command with a sentence: with 1 for what cannot be done, and with 2 for what makes no sense."""
    try:
        yield
    except (ScheduleError, JobError) as error:
        terminal.refuse(str(error), 1)
    except WrongArguments as wrong:
        terminal.refuse(" ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.errors.items()))
