"""Template tags for the expected waiting time of jobs, and for the facts about a list's rows."""

from collections.abc import Iterable
from typing import Any

from django import template

from jobroom.jobs import explanations, lateness, policies, task_titles, why_it_waits
from jobroom.jobs.models import Job
from jobroom.jobs.queue_position import Waiting, front_for, waiting
from jobroom.jobs.reasons import Why

register = template.Library()


@register.simple_tag(takes_context=True)
def as_rows(context: template.Context, jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs, each with what its row of a list has to know.

    `called` is the title of its task; `waiting` is its place in its queue, None when it does not wait for a worker; `late` says in which ways it is late; `stead` says
    that another job did its work or took its place, None where none did; `readable` and `touchable` say whether the person who
    looks may read its arguments, and cancel or retry it when its state allows that.
    """
    found: list[Any] = list(jobs)
    places, late, steads = waiting(found), lateness.kinds(found), explanations.instead_of(found)
    titles = {name: task_titles.title(name) for name in {job.task for job in found}}
    user = context["request"].user
    may_all = policies.sees_all(user)  # asked once: a page has many rows
    for job in found:
        job.called = titles[job.task]
        job.waiting, job.late, job.stead = places.get(job.pk), late.get(job.pk, ()), steads.get(job.pk)
        job.readable = may_all or policies.may_see_arguments(user, job)
        job.touchable = may_all or policies.may_cancel(user, job)
    return found


@register.simple_tag(takes_context=True)
def why_it_waits_of(context: template.Context, job: Job) -> Why | None:
    """Return why one job has not started, as the person who looks may know it; None when it waits for nothing."""
    return why_it_waits.why(job, context["request"].user)


@register.simple_tag
def locks_taken_from(job: Job, *, readable: bool) -> list[str]:
    """Return a sentence for each lock that an operator took from the job; see `broken_sentence` for what is `readable`."""
    return [explanations.broken_sentence(job, entry, readable=readable) for entry in explanations.locks_taken_from(job)]


@register.simple_tag(takes_context=True)
def front_of(context: template.Context, place: Waiting) -> str:
    """Return who is in front of a waiting job, in words; jobs that the person may not see are no more than that."""
    return front_for(context["request"].user, place)
