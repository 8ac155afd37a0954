"""Whose job this is: in whose name a job launches workflows."""

from typing import Any

from django.contrib.auth.models import User

from jobs.models import Job


def owner_of(request: Any) -> User | None:
    """Return the owner of a running job, None for one that belongs to the machine."""
    pk = getattr(request, "owner", None) or Job.objects.filter(pk=request.id).values_list("owner", flat=True).first()
    return User.objects.filter(pk=pk).first() if pk else None
