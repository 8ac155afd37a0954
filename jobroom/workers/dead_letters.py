"""Stores dead letters from the events of workers, the newest ones."""

from datetime import UTC, datetime
from typing import Any

from jobroom.workers.conf import settings
from jobroom.workers.models import DeadLetter

_LENGTHS = {"job": 255, "task": 255, "queue": 255, "worker": 255, "kind": 20}


def record(event: dict[str, Any]) -> None:
    """Keep the dead letter that an event reports; the same event twice is one dead letter."""
    short = {name: str(event.get(name) or "")[:length] for name, length in _LENGTHS.items()}
    job = short.pop("job")
    size = event.get("size")
    DeadLetter.objects.get_or_create(
        pk=event["seq"],
        defaults={
            **short,
            "at": datetime.fromtimestamp(float(event["at"]), UTC),
            "job_id": job,
            "reason": str(event.get("reason") or ""),
            "head": str(event.get("head") or ""),
            "size": size if isinstance(size, int) and 0 <= size < 2**63 else 0,
        },
    )


def prune() -> int:
    """Delete all but the newest WORKERS_DEAD_LETTERS_KEPT; return how many."""
    oldest = DeadLetter.objects.order_by("-pk").values_list("pk", flat=True)[settings.DEAD_LETTERS_KEPT :].first()
    return DeadLetter.objects.filter(pk__lte=oldest).delete()[0] if oldest is not None else 0
