"""Writes a row of the audit for each signal `acted`."""

from jobroom.audit.models import Act
from jobroom.signals import acted


def connect() -> None:
    """Connect the receiver; twice is the same as once."""
    acted.connect(_keep, dispatch_uid="jobroom.audit")


def _keep(who: str, action: str, kind: str, target: str, reason: str = "", outcome: str = "", **_: object) -> None:
    Act.objects.create(
        who=who[:255] or "unknown",
        action=action[:40],
        kind=kind[:40],
        target=target[:255],
        reason=reason[:2000],
        outcome=outcome[:2000],
    )
