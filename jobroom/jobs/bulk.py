"""Cancels or retries many jobs at once, after a preview of what would happen to which."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Literal, get_args

from django.db import transaction
from django.db.models import Q

from jobroom import redis
from jobroom.arguments import WrongArguments
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import control, launches, policies
from jobroom.jobs.exceptions import JobError
from jobroom.jobs.filters import LOOKED, JobFilter
from jobroom.jobs.models import Job, Source
from jobroom.jobs.number_formats import number_of
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.search import Count, Place, Search
from jobroom.limits import TooMany
from jobroom.signals import acted
from jobroom.users import User

Action = Literal["cancel", "retry"]
ACTIONS: tuple[Action, ...] = get_args(Action)
# The task that does what a page cannot wait for.
TASK = "jobroom.jobs.bulk"
# So many are done while the person waits.
AT_ONCE = 100
# Ids that one request may name; more are chosen by a filter.
MOST_IDS = 1000
# Jobs that are read at a time.
CHUNK = 200
# A plan looks at so many jobs, shows so many of them, and names so many reasons.
PLANNED = 1000
SHOWN = 5
REASONS = 8

_ASK: dict[Action, Callable[[Job, User], str]] = {"cancel": control.why_not_cancel, "retry": control.why_not_retry}


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which jobs: those of `ids`, or without any all that `query` asks for and that were there at `until`."""

    query: Mapping[str, str]
    ids: Sequence[str] = ()
    until: datetime | None = None

    def search(self, user: User, also: Q | None = None) -> Search:
        """Return how the chosen jobs that `user` may see are found; the filter is that of the list."""
        if self.ids:
            ids = list(self.ids)[:MOST_IDS]
            found = Search(Job.objects.visible_to(user).filter(pk__in=ids), [[Q(pk__in=ids)]])
        else:
            found = JobFilter(self.query, user).search
            also = (also or Q()) & (Q(created_at__lte=self.until) if self.until else Q())
        return Search(found.rows.filter(also), found.paths, found.columns) if also else found


@dataclasses.dataclass
class Outcome:
    """How many jobs can be, or were, dealt with, and why the others cannot."""

    done: int = 0
    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    more: bool = False  # there may be more jobs than were looked at
    newest: list[str] = dataclasses.field(default_factory=list)  # ids of the first ones
    stopped: str = ""  # why it went no further

    @property
    def total(self) -> int:
        """All jobs that were looked at."""
        return self.done + self.left_alone

    @property
    def left_alone(self) -> int:
        """How many of them cannot be dealt with."""
        return self.refused.total()

    @property
    def able(self) -> Count:
        """How many can be dealt with."""
        return Count(self.done, self.more)

    @property
    def every(self) -> Count:
        """How many were chosen."""
        return Count(self.total, self.more)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """The reasons with the number of their jobs, the most frequent first."""
        return self.refused.most_common(REASONS)


def plan(action: Action, choice: Choice, user: User) -> Outcome:
    """Return what `act` would do to the first PLANNED chosen jobs that a page finds in its time, without doing it."""
    found = Outcome()
    looked = choice.search(user).look(most=PLANNED, seconds=LOOKED)
    found.more = looked.upto is not None
    ids = [pk for _, pk in looked.places]
    found.newest = ids[:SHOWN]
    for job in _needed(action).in_bulk(ids).values():
        reason = _ASK[action](job, user)
        if reason:
            found.refused[reason] += 1
        else:
            found.done += 1
    return found


def _needed(action: Action) -> JobQuerySet:
    """Return the jobs with the columns that the reasons look at; only a retry needs the arguments."""
    columns = ("pk", "state", "task", "owner")
    return Job.objects.only(*columns, "args", "kwargs") if action == "retry" else Job.objects.only(*columns)


def act(
    action: Action, jobs: Iterator[Job], user: User, notify: Callable[[Outcome, Job], object] = lambda so_far, job: None
) -> Outcome:
    """Do it to `jobs`; rights and states are looked at again for each, in this moment.

    `notify` hears what was done so far after each. When Redis does not answer, the rest is left as it is.
    """
    found = Outcome()
    while chunk := list(islice(jobs, CHUNK)):
        try:
            for job in _cancel(chunk, user, found) if action == "cancel" else _retry(chunk, user, found):
                notify(found, job)
        except (redis.Error, RedisUnavailable, OSError):
            found.stopped = "Redis does not answer, so the rest was left as it is. Try again in a moment."
            break
        except TooMany as error:
            found.stopped = f"{error} The rest was left as it is."
            break
    did = {"cancel": "cancelled", "retry": "retried"}[action]
    acted.send(
        sender=Job, who=user.get_username(), action=did, kind="job", target="many", outcome=sentence(action, found)
    )
    return found


def _cancel(jobs: Sequence[Job], user: User, found: Outcome) -> Iterator[Job]:
    """Cancel jobs together: one statement, one round trip and one message to the workers for all of them."""
    reasons = {job.pk: control.why_not_cancel(job, user) for job in jobs}
    ids = [pk for pk, reason in reasons.items() if not reason]
    control.ask_to_end(Job.objects.filter(pk__in=ids), ids, user.get_username())
    for job in jobs:
        if reasons[job.pk]:
            found.refused[reasons[job.pk]] += 1
        else:
            found.done += 1
        yield job


def _retry(jobs: Sequence[Job], user: User, found: Outcome) -> Iterator[Job]:
    for job in jobs:
        try:
            control.retry(job=job, by=user)
            found.done += 1
        except (JobError, WrongArguments) as error:
            found.refused[control.why_not_retry(job, user) or str(error)] += 1
        yield job


def each(choice: Choice, user: User, *, ended_by: datetime | None = None, but: str = "") -> Iterator[Job]:
    """Yield the chosen jobs, newest first, a chunk at a time: each is read shortly before it is dealt with.

    Args:
        choice: which jobs.
        user: whose eyes it is seen with.
        ended_by: leaves out what ended later, so that a second run does not repeat what the first one did.
        but: the id of a job that is left out.

    """
    also = ~Q(pk=but)
    if ended_by is not None:
        also &= Q(finished_at=None) | Q(finished_at__lte=ended_by)
    search = choice.search(user, also)
    place: Place | None = None
    while True:
        found = search.look(most=CHUNK, seconds=LOOKED, after=place)
        policies.asked_afresh(user)  # a right may have been taken since the chunk before
        jobs = Job.objects.in_bulk([pk for _, pk in found.places])
        yield from (jobs[pk] for _, pk in found.places if pk in jobs)
        if found.upto is None:
            return
        place = found.upto


def at_once(action: Action, choice: Choice, user: User) -> Outcome:
    """Do it now to at most AT_ONCE jobs that can be dealt with."""
    return act(action, islice(each(choice, user), AT_ONCE), user)


def in_background(action: Action, choice: Choice, user: User, until: datetime) -> Job:
    """Launch the job that does it, with the person as its owner: it may do what they may."""
    arguments = {
        "action": action,
        "query": dict(choice.query),
        "ids": list(choice.ids)[:MOST_IDS],
        "until": until.isoformat(),
    }
    with transaction.atomic():
        # By the machine: everyone may act on many jobs, though few may launch the task with arguments of their own.
        job = launches.launch(task=TASK, arguments=arguments, by=None, source=Source.PAGE)
        Job.objects.filter(pk=job.pk).update(owner=user)
    return job


def action_called(name: str) -> Action | None:
    """Return the action of that name, None when there is none."""
    return name if name in ACTIONS else None


def sentence(action: Action, outcome: Outcome) -> str:
    """Return what was done and what not."""
    word = {"cancel": "asked to stop", "retry": "sent again"}[action]
    parts = [f"{number_of(outcome.done, 'job', 'jobs')} {word}."]
    for reason, number in outcome.reasons:
        parts.append(f"{number_of(number, 'job', 'jobs')} left alone: {reason}")
    return " ".join([*parts, outcome.stopped]).strip()
