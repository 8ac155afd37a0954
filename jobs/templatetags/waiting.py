"""How long waiting jobs will wait, and whether one may be dealt with, for the pages."""

from collections.abc import Iterable

from django import template

from jobs import policies
from jobs.models import Job
from jobs.waiting import Waiting, waiting

register = template.Library()


@register.simple_tag
def with_waiting(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs, each with `waiting`: its place in its queue, or None when it does not wait for a worker."""
    found = list(jobs)
    places = waiting(found)
    for job in found:
        job.waiting = places.get(job.pk)  # type: ignore[attr-defined] # for the template alone
    return found


@register.simple_tag
def waiting_of(job: Job) -> Waiting | None:
    """Return the place of one job in its queue, None when it does not wait for a worker."""
    return waiting([job]).get(job.pk)


@register.simple_tag(takes_context=True)
def touchable(context: template.Context, job: Job) -> bool:
    """Return whether the person who looks may cancel or retry the job when its state allows it."""
    return policies.may_cancel(context["request"].user, job)
