"""The doctor: checks everything that can be wrong with an installation, each with its cause and what to do next.

Page, API and command share `examine`. What the health sentence asks every few seconds is asked here too; besides, what is
too slow or too seldom wrong for that: settings against each other, clocks, the server of Redis, who is notified of failures.
"""

import logging

from django.db import DatabaseError

from jobroom import redis
from jobroom.exceptions import RedisUnavailable
from jobroom.workers import health
from jobroom.workers.doctor import configuration, processes
from jobroom.workers.doctor.findings import STATES, Check, Finding, Found, ok

__all__ = ["STATES", "Finding", "examine"]

logger = logging.getLogger(__name__)


def examine() -> list[Finding]:
    """Run every check; return what was found, the worst first. Never raises: a check that breaks says so itself."""
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
