"""The full class name of the error that ended a job, and those of its bases.

The short name of a class gives no module, and no `except` clause that would have met it.
"""

from collections.abc import Iterable

from jobroom.jobs.models import Attempt, Job

# The base of nearly all says nothing.
_PLAIN = "Exception"


def bases_of(job: Job) -> list[str]:
    """Return the full names of the class of the job's error and of its bases; empty where no one raised one.

    A job that ended as the one which computed the same has no attempt of its own: the error is that one's.
    """
    if not job.error_type:
        return []
    attempts: Iterable[Attempt] = job.known_attempts if job.known_attempts is not None else ()
    if job.known_attempts is None:
        rows = Attempt.objects.filter(job=job.answer_of or job.pk, error_type=job.error_type)
        attempts = rows.only("number", "error_type", "error_bases").order_by("-number")[:1]
    matching = (one for one in attempts if one.error_type == job.error_type)
    latest = max(matching, key=lambda one: one.number, default=None)
    return list(latest.error_bases) if latest is not None else []


def sentence(bases: Iterable[str], error_type: str) -> str:
    """Return what the bases say beyond the short name of the class, in words; empty where that is nothing."""
    own, *others = [name for name in bases if name != _PLAIN] or [""]
    if own in ("", error_type) and not others:
        return ""
    return f"{own}, a kind of {', '.join(others)}" if others else own


def kind_of(job: Job) -> str:
    """Return the kind of the job's error in words, see `sentence`."""
    return sentence(bases_of(job), job.error_type)
