"""The doctor: checks everything that can be wrong with an installation, each with its cause and what to do next.

Page, API and command share `examine`. What the health sentence asks every few seconds is asked here too; besides, what is
too slow or too seldom wrong for that: settings against each other, clocks, the server of Redis, who is notified of failures.
"""

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterator
from typing import Any

from celery import current_app
from django.db import DatabaseError

from jobroom import redis
from jobroom.exceptions import RedisUnavailable
from jobroom.workers import health

logger = logging.getLogger(__name__)

# The worst first. “unknown” is what could not be looked at, as something else is away.
STATES = ("error", "warning", "unknown", "ok")
# Names that are said of many.
SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came of one check."""

    check: str
    state: str  # one of STATES
    detail: str  # what was found; for trouble, its cause
    action: str = ""  # what to do next
    url: str = ""  # the name of the page that says more

    @property
    def troubled(self) -> bool:
        """Whether something is to be done."""
        return self.state in {"error", "warning"}


Found = Iterator[Finding]
Check = Callable[[], Found]


def error(check: str, detail: str, action: str, url: str = "") -> Finding:
    """Return what breaks jobs or people now, or will."""
    return Finding(check, "error", detail, action, url)


def warning(check: str, detail: str, action: str, url: str = "") -> Finding:
    """Return what is better done otherwise."""
    return Finding(check, "warning", detail, action, url)


def ok(check: str, detail: str) -> Finding:
    """Return what is in order."""
    return Finding(check, "ok", detail)


def our_tasks() -> Iterator[Any]:
    """Yield the project's tasks: Celery's own chores do not count."""
    for name, task in current_app.tasks.items():
        if not name.startswith("celery."):
            yield task


def shortened(names: Collection[str]) -> str:
    """Return the first of the names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(sorted(names)[:SHOWN])}{more}"


def examine() -> list[Finding]:
    """Run every check; return what was found, the worst first. Never raises: a check that breaks says so itself."""
    from jobroom.workers.doctor import configuration, processes  # noqa: PLC0415 — workers.doctor.configuration imports this module

    found = [*_parts()]
    for name, check in configuration.CHECKS.items():
        found += _run(name, check)
    redis_is_there = all(finding.state != "error" for finding in found if finding.check == "redis")
    for name, check in processes.CHECKS.items():
        # Each of them would wait for it again.
        found += _run(name, check) if redis_is_there else [Finding(name, "unknown", "Unknown while Redis is away.")]
    return sorted(found, key=lambda finding: STATES.index(finding.state))


def _parts() -> Found:
    """Give the parts of the health sentence as findings."""
    now = health.current()
    troubles = {trouble.part: trouble for trouble in now.troubles}
    for name, part in now.parts.items():
        if not part.troubled:
            yield ok(name, part.detail)
        elif name in troubles:
            state = "warning" if part.ok else "error"
            yield Finding(name, state, f"{part.detail} {part.rows}".rstrip(), troubles[name].action, troubles[name].url)
        else:
            yield Finding(name, "unknown", part.detail)


def _run(name: str, check: Check) -> list[Finding]:
    try:
        return list(check())
    except (redis.Error, RedisUnavailable, DatabaseError, OSError) as fault:
        # The text of such an error may hold an address with its password: it goes to the log alone.
        logger.warning("The check %s cannot look: %s", name, fault)
        return [Finding(name, "unknown", "Redis or the database does not answer, so this could not be looked at.")]
    except Exception as fault:  # the boundary: one check that breaks leaves the others
        logger.exception("The check %s broke", name)
        detail = f"The check broke ({type(fault).__name__}); the log says more."
        return [Finding(name, "unknown", detail)]
