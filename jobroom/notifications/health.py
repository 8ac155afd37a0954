"""The health check of the mails, for `/readyz` and the health sentence."""

from datetime import timedelta

from django.db.models import Min, Q
from django.utils import timezone

from jobroom.health import Part
from jobroom.notifications.models import Mail, State

# A mail that waits longer than this after its first attempt shows that none goes out.
LATE = timedelta(minutes=5)


def mails() -> Part:
    """Warn of mails that do not get out: tried at least once, and still waiting."""
    stuck = Mail.objects.filter(Q(state=State.WAITING), attempts__gt=0, created_at__lt=timezone.now() - LATE)
    oldest = stuck.aggregate(oldest=Min("created_at"))["oldest"]
    if oldest is None:
        return Part(ok=True, detail="None waits.")
    return Part(
        ok=True,
        warning=True,
        detail="Mails do not get out.",
        since=oldest.timestamp(),
        action="Read what the mail server says.",
        url="jobroom:notifications:mails",
    )
