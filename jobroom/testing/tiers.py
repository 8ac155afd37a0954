"""A pytest plugin: tests whose programs are missing on this machine are skipped with the remedy, and the end says so.

In CI (variable CI) a skipped tier fails the run: there no one reads the reasons.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from jobroom.testing import patience, postgresql, rabbitmq

Case = TypeVar("Case")
# Debian's Chromium without windows first: it takes a third of the processor time for a page.
CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


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
    return "no Chromium: apt-get install chromium-headless-shell (macOS: brew install chromium), or set IMAGE_CHROMIUM to its program"


TIERS = [Tier("browser", _browser), Tier("postgresql", postgresql.lacks), Tier("rabbitmq", rabbitmq.lacks)]


def skipped_tiers(tiers: list[Tier] | None = None) -> dict[str, str]:
    """Return the tiers that cannot run here, each with the reason and the remedy."""
    reasons = {tier.marker: tier.lacks() for tier in (TIERS if tiers is None else tiers)}
    return {marker: reason for marker, reason in reasons.items() if reason}


def in_ci() -> bool:
    """Return whether this run is a machine's."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


_long: dict[str, bool] = {}
# Of how many cases a quick run takes one, for tests that ask every address of a site.
SHARE = 5


def pytest_configure(config: pytest.Config) -> None:
    """Note whether all cases are wanted, for those that are chosen while a file is imported."""
    _long["all"], _long["part"] = bool(config.getoption("--long")), bool(config.getoption("--share"))
    _let_hypothesis_take_its_time()


def _let_hypothesis_take_its_time() -> None:
    """Have no property fail by the clock: the machine has other work. Before tests are imported, which take these settings as theirs."""
    settings.register_profile(
        "unhurried", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("unhurried")


def cases(some: int, all_of_them: int) -> int:
    """Return how many cases a test marked long takes, where a decorator must know it."""
    return all_of_them if _long.get("all") else some


def share(cases: list[Case]) -> list[Case]:
    """Return one in SHARE of the cases in a quick run (`--share`), other ones each day; and all of them otherwise."""
    return cases[date.today().toordinal() % SHARE :: SHARE] if _long.get("part") else cases  # noqa: DTZ011 — any day will do


def takes_all() -> bool:
    """Return whether `share` takes all cases."""
    return not _long.get("part")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how much of the tests of the apps runs on PostgreSQL too."""
    parser.addoption(
        "--postgresql",
        choices=("sql", "all"),
        default="sql",
        help="run on PostgreSQL too: the tests marked sql (default), or all that speak to the database",
    )
    parser.addoption(
        "--long", action="store_true", help="run the tests marked long with all their cases, and not with some"
    )
    parser.addoption(
        "--share", action="store_true", help=f"ask one address in {SHARE} in tests that ask all, other ones each day"
    )


@pytest.fixture(scope="session")
def all_cases(pytestconfig: pytest.Config) -> bool:
    """Return whether a test marked long takes all its cases, and not a part that is enough for each change."""
    return bool(pytestconfig.getoption("--long"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run."""
    skipped = skipped_tiers()
    for item in items:
        for marker, reason in skipped.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what the tiers took, and name those that ran and those that were skipped."""
    skipped = skipped_tiers()
    for marker, (count, seconds) in spent(terminalreporter).items():
        part = f", those marked {config.getoption('--postgresql')}" if marker == "postgresql" else ""
        if marker not in skipped:
            terminalreporter.write_line(f"Tier ran: {marker} ({count} tests, {seconds:.0f} s{part})")
    shortened = len(long_ones(terminalreporter))
    if shortened and not config.getoption("--long"):
        terminalreporter.write_line(f"Shortened: {shortened} tests took some of their cases; --long takes all")
    if config.getoption("--share"):
        terminalreporter.write_line(f"Shortened: tests of all addresses took one in {SHARE}, other ones each day")
    for marker, reason in skipped.items():
        verdict = "; in CI that is a failure" if in_ci() else ""
        terminalreporter.write_line(f"Tier skipped: {marker} ({reason}){verdict}", yellow=True)


def spent(terminalreporter: Any) -> dict[str, tuple[int, float]]:
    """Return for each tier, and for the tests of none, how many were called and their seconds, set-up included.

    Several processes work at the same time: the sum is longer than the run.
    """
    found: dict[str, tuple[int, float]] = {}
    for report in (report for kind in terminalreporter.stats.values() for report in kind):
        when = getattr(report, "when", None)
        if when in {"setup", "call", "teardown"}:
            tier = tier_of(report.keywords)
            count, seconds = found.get(tier, (0, 0.0))
            found[tier] = (count + (when == "call"), seconds + report.duration)
    order = ["plain", "acceptance", *(tier.marker for tier in TIERS)]
    return {tier: found[tier] for tier in order if found.get(tier, (0, 0))[0]}


def long_ones(terminalreporter: Any) -> set[str]:
    """Return the ids of the tests marked long that ran."""
    reports = (report for kind in terminalreporter.stats.values() for report in kind)
    return {report.nodeid for report in reports if getattr(report, "when", "") == "call" and "long" in report.keywords}


def tier_of(keywords: Any) -> str:
    """Return the tier of a test; most start no process and are plain."""
    return next((name for name in (*(tier.marker for tier in TIERS), "acceptance") if name in keywords), "plain")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped a tier."""
    if in_ci() and skipped_tiers() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Give a test more time on a busy machine, as `wait_until` does."""
    import pytest_timeout  # only where it is installed

    pytest_timeout.pytest_timeout_set_timer(item, settings._replace(timeout=settings.timeout * patience()))
    return True
