"""A pytest plugin: tests that need what this machine has not are skipped with the remedy, and the end says so.

In CI (variable CI) a skipped tier fails the run: there nobody reads the reasons.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from common.testing import postgresql, rabbitmq

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Tier:
    """Tests with a marker, and a function that says what they lack on this machine (empty: nothing)."""

    marker: str
    lacks: Callable[[], str]


def chromium() -> str | None:
    """Return the browser: IMAGE_CHROMIUM, else the first that is installed."""
    named = os.environ.get("IMAGE_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, CHROMIUMS)), None)


def _browser() -> str:
    if chromium():
        return ""
    return "no Chromium: apt-get install chromium (macOS: brew install chromium), or set IMAGE_CHROMIUM to its program"


TIERS = [Tier("browser", _browser), Tier("postgresql", postgresql.lacks), Tier("rabbitmq", rabbitmq.lacks)]


def skipped_tiers(tiers: list[Tier] | None = None) -> dict[str, str]:
    """Return the tiers that cannot run here, each with the reason and the remedy."""
    reasons = {tier.marker: tier.lacks() for tier in (TIERS if tiers is None else tiers)}
    return {marker: reason for marker, reason in reasons.items() if reason}


def in_ci() -> bool:
    """Return whether this run is a machine's."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run; keep the tests that want the machine for themselves together, on one xdist worker."""
    skipped = skipped_tiers()
    for item in items:
        for marker, reason in skipped.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name the tiers that ran, and those that were skipped."""
    skipped = skipped_tiers()
    for tier in TIERS:
        count = _ran(terminalreporter, tier.marker)
        if count and tier.marker not in skipped:
            terminalreporter.write_line(f"Tier ran: {tier.marker} ({count} tests)")
    for marker, reason in skipped.items():
        verdict = "; in CI that is a failure" if in_ci() else ""
        terminalreporter.write_line(f"Tier skipped: {marker} ({reason}){verdict}", yellow=True)


def _ran(terminalreporter: Any, marker: str) -> int:
    """Return how many tests with the marker were called, whatever came of it."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    return sum(getattr(report, "when", "") == "call" and marker in report.keywords for report in reports)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped a tier."""
    if in_ci() and skipped_tiers() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
