"""Finds the person in whose name a job launches workflows."""

from typing import Any

from jobroom.jobs.models import Job
from jobroom.users import User
from jobroom.workflows.exceptions import NotAllowed


def owner_of(request: Any) -> User | None:
    """Return the owner of a running job, None for one that belongs to the machine; raise NotAllowed if they are gone."""
    pk = getattr(request, "owner", None) or Job.objects.filter(pk=request.id).values_list("owner", flat=True).first()
    if not pk:
        return None
    found = User.objects.filter(pk=pk, is_active=True).first()
    if found is None:
        raise NotAllowed("The account of its owner is closed, so nothing is launched in its name.")
    return found
