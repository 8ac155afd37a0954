"""How long waiting jobs will wait, and what the rows of a list have to know of each job, for the pages."""

from collections.abc import Iterable
from typing import Any

from django import template

from jobroom.jobs import facts, policies
from jobroom.jobs.models import Job
from jobroom.jobs.queue_position import Waiting, front_for, waiting

register = template.Library()


@register.simple_tag(takes_context=True)
def as_rows(context: template.Context, jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs, each with what its row of a list has to know.

    `waiting` is its place in its queue, None when it does not wait for a worker; `readable` and `touchable` say whether the
    person who looks may read its arguments, and cancel or retry it when its state allows that.
    """
    found: list[Any] = list(jobs)
    places = waiting(found)
    user = context["request"].user
    may_all = policies.sees_all(user)  # asked once: a page has many rows
    for job in found:
        job.waiting = places.get(job.pk)
        job.readable = may_all or policies.may_see_arguments(user, job)
        job.touchable = may_all or policies.may_cancel(user, job)
    return found


@register.simple_tag
def waiting_of(job: Job) -> Waiting | None:
    """Return the place of one job in its queue, None when it does not wait for a worker."""
    return waiting([job]).get(job.pk)


@register.simple_tag
def locks_taken_from(job: Job) -> list[str]:
    """Return a sentence for each lock that an operator took from the job."""
    return [facts.broken_sentence(job, entry) for entry in facts.locks_taken_from(job)]


@register.simple_tag(takes_context=True)
def front_of(context: template.Context, place: Waiting) -> str:
    """Return who is in front of a waiting job, in words; jobs that the person may not see are no more than that."""
    return front_for(context["request"].user, place)
