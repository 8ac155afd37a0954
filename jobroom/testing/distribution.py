"""A pytest plugin: which tests stay together when several processes share them out, and which begin first.

pytest-xdist's own `--dist loadgroup` writes the group into the test's id, before our plugins have said what belongs
together. Here the processes that collect write down the groups, and the one that shares out reads them.
"""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

# Tests with these marks start processes and mostly wait: the longest of a run.
PROCESSES = ("acceptance", "browser", "postgresql", "rabbitmq")
_KEY = "image_groups"
# Of so many processes one begins with the tests that start none: they fill the processors while the others wait.
ONE_IN = 4
# Seconds up to which the set-up and the teardown of a test that passed are no news to the process that shares out.
SHORT = 0.1


def group(item: pytest.Item) -> str:
    """Return what the test must share a process with: its named group, its file, or nothing but itself."""
    if item.get_closest_marker("serial"):
        return "serial"
    named = item.get_closest_marker("xdist_group")
    if named:
        return str(named.args[0] if named.args else named.kwargs["name"])
    if takes_processes(item) and not shares_fixtures(item):
        return item.nodeid
    return item.nodeid.partition("::")[0]


def takes_processes(item: pytest.Item) -> bool:
    """Return whether the test starts processes."""
    return any(item.get_closest_marker(name) for name in PROCESSES)


def shares_fixtures(item: pytest.Item) -> bool:
    """Return whether the test uses what its file or its folder makes once for several tests: a worker, a browser."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(
        found.scope in {"class", "module", "package", "session"} and found.baseid  # those of plugins have none
        for name in definitions
        for found in definitions[name][-1:]
    )


def first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests group by group, those first that may take longest; among equals the order stays as it is."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    ordered = sorted(groups.values(), key=longest, reverse=True)
    return [item for members in ordered for item in members]


def longest(members: list[pytest.Item]) -> tuple[bool, float]:
    """Return what groups are ordered by: do they start processes, and the sum of their time limits."""
    limits = [marker.args[0] for item in members for marker in item.iter_markers("timeout") if marker.args]
    return any(map(takes_processes, members)), float(sum(limits))


def plain_first(waits: Mapping[str, bool]) -> str:
    """Return the first group that starts no processes, or the first of all; `waits` says of each whether it does."""
    return next((name for name, does in waits.items() if not does), next(iter(waits)))


class Brief:
    """Takes the place of what reports to the process that shares out: six events for each test cost it two thousandths of a second.

    It hears nothing of a set-up and a teardown that passed at once; their seconds are added to those of the test, or of the
    next one. That a test begins it hears where it shows that (`-v`).
    """

    def __init__(self, send: Callable[..., None], *, begins: bool) -> None:
        self.send = send
        self.begins = begins
        self.unsaid = 0.0  # seconds

    def __call__(self, name: str, **words: Any) -> None:
        """Report an event, or do not."""
        if name == "logstart" and not self.begins:
            return
        if name == "testreport":
            report = words["data"]
            if report["when"] != "call" and report["outcome"] == "passed" and report["duration"] < SHORT:
                self.unsaid += report["duration"]
                return
            report["duration"] += self.unsaid
            self.unsaid = 0.0
        self.send(name, **words)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Have a process that was started by pytest-xdist be brief."""
    for plugin in session.config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "WorkerInteractor":
            plugin.sendevent = Brief(plugin.sendevent, begins=session.config.option.verbose > 0)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests, and note their groups for the process that shares them out."""
    items[:] = first(items)
    path = getattr(config, "workerinput", {}).get(_KEY)
    if path:
        text = json.dumps({item.nodeid: [group(item), takes_processes(item)] for item in items})
        # Each process writes the same; the last one wins.
        written = Path(f"{path}.{os.getpid()}")
        written.write_text(text)
        written.replace(path)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass to a process of pytest-xdist where to write the groups down."""
    node.workerinput[_KEY] = str(_path(node.config))


def _path(config: pytest.Config) -> Path:
    """Return the file for the groups of this run."""
    if not hasattr(config, "_image_groups"):
        number, name = tempfile.mkstemp(prefix="image-groups-")
        os.close(number)
        config.add_cleanup(lambda: Path(name).unlink(missing_ok=True))
        config._image_groups = Path(name)  # type: ignore[attr-defined]
    return config._image_groups  # type: ignore[attr-defined,no-any-return]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share out our groups where pytest-xdist would share out files or groups."""
    if config.getvalue("dist") not in {"loadscope", "loadgroup", "loadfile"}:
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        """Shares out group by group; a process gets the next one when it has nothing else to begin."""

        groups: dict[str, tuple[str, bool]] | None = None

        def _split_scope(self, nodeid: str) -> str:
            if self.groups is None:
                self.groups = json.loads(_path(config).read_text())
            return self.groups[nodeid][0]

        def _assign_work_unit(self, node: Any) -> None:
            if list(self.assigned_work).index(node) < len(self.assigned_work) // ONE_IN and self.groups is not None:
                waits = {name: any(self.groups[test][1] for test in tests) for name, tests in self.workqueue.items()}
                self.workqueue.move_to_end(plain_first(waits), last=False)
            super()._assign_work_unit(node)

        def _reschedule(self, node: Any) -> None:
            # One that waits is enough: a test that takes minutes must not have others behind it.
            if self._pending_of(self.assigned_work[node]) < 2 or not self.workqueue:
                super()._reschedule(node)

    config.option.loadscopereorder = False  # the order is ours already
    return Groups(config, log)
