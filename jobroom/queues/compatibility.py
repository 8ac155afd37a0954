"""Checks waiting messages against the code that will run them: before a deploy, with the new code and the old database.

Jobs that wait, schedules, presets, definitions and the nodes of workflows in flight name tasks and carry arguments. Those whose
task is gone, or whose arguments fit its signature no longer, would fail one by one after the deploy.
"""

import dataclasses
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from celery import current_app

from jobroom.arguments.redaction import HIDDEN
from jobroom.jobs.models import Job, Preset, State
from jobroom.schedules.querysets import enabled
from jobroom.schedules.services.arguments import argument_problems, closest, registered_tasks
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.parser import WrongDefinition
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.engine.keys import ENDED
from jobroom.workflows.graph import ITEM, REF
from jobroom.workflows.models import ACTIVE, Definition, StoredWorkflow

KINDS = ("job", "schedule", "preset", "definition", "workflow")
# Names of those that have the same trouble that are kept, and rows that are read at once.
EXAMPLES = 5
CHUNK = 1000

# Kind, what it is called, the task, and what is wrong with it.
Trouble = tuple[str, str, str, str]


@dataclasses.dataclass
class Misfit:
    """One trouble, and how many have it."""

    kind: str  # one of KINDS
    task: str
    problem: str
    count: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)  # ids or names of the first

    @property
    def sentence(self) -> str:
        """All of it in a line."""
        what = f"{self.count:,} {self.kind}{'s' * (self.count != 1)}"
        of = f" of {self.task}" if self.task else ""
        more = ", …" if self.count > len(self.examples) else ""
        return f"{what}{of}: {self.problem} ({', '.join(self.examples)}{more})"


@dataclasses.dataclass
class Waiting:
    """What was looked at, and what of it does not fit."""

    looked_at: dict[str, int]
    misfits: list[Misfit]
    unfinished: list[str]  # kinds of which there is more than was looked at


def check_waiting(ignored: Sequence[str] = (), seconds: float = math.inf) -> Waiting:
    """Look at everything that waits; `ignored` are patterns of tasks that other programs run, such as `billing.*`.

    A request looks for so many `seconds` at each kind: a million jobs may wait. Without them everything is looked at.
    """
    seen = dict.fromkeys(KINDS, 0)
    found: dict[tuple[str, str, str], Misfit] = {}
    unfinished = []
    for kind, look in _LOOKS.items():
        end = time.monotonic() + seconds
        for one in look(ignored):
            if one is None:
                if time.monotonic() > end:
                    unfinished.append(kind)
                    break
                seen[kind] += 1
                continue
            kind_of, name, task, problem = one
            row = found.setdefault((kind_of, task, problem), Misfit(kind_of, task, problem))
            row.count += 1
            if len(row.examples) < EXAMPLES:
                row.examples.append(name)
    return Waiting(seen, list(found.values()), unfinished)


def _known(value: Any) -> bool:
    """Return whether a value says of which type it is: not one that is hidden, or that comes from another node."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return not any(mark in text for mark in (HIDDEN, f'"{REF}"', f'"{ITEM}"'))


def _problems(task: str, args: Any, kwargs: Any, ignored: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a call."""
    if not task or any(fnmatchcase(task, pattern) for pattern in ignored):
        return
    registered = current_app.tasks.get(task)
    if registered is None:
        yield f"there is no task of that name. {closest(task, registered_tasks())}"
    elif isinstance(args, list) and isinstance(kwargs, Mapping):
        yield from (problem.text for problem in argument_problems(registered, args, kwargs, _known))
    else:
        yield "its arguments are no list and no object."


def _jobs(ignored: Sequence[str]) -> Iterator[Trouble | None]:
    waiting = Job.objects.filter(state__in=[State.SCHEDULED, State.QUEUED, State.RETRYING])
    rows = waiting.order_by().values_list("pk", "task", "args", "kwargs")
    for pk, task, args, kwargs in rows.iterator(chunk_size=CHUNK):
        yield None
        for problem in _problems(task, args, kwargs, ignored):
            yield "job", pk, task, problem


def _schedules(ignored: Sequence[str]) -> Iterator[Trouble | None]:
    for row in enabled().iterator(chunk_size=CHUNK):
        yield None
        try:
            args, kwargs = json.loads(row.args or "[]"), json.loads(row.kwargs or "{}")
        except ValueError:
            args, kwargs = None, None
        for problem in _problems(row.task, args, kwargs, ignored):
            yield "schedule", row.name, row.task, problem


def _presets(ignored: Sequence[str]) -> Iterator[Trouble | None]:
    # A preset may leave arguments to the person who launches it.
    for row in Preset.objects.iterator(chunk_size=CHUNK):
        yield None
        for problem in _problems(row.task, [], row.arguments, ignored):
            if "is missing" not in problem:
                yield "preset", f"{row.name} ({row.pk})", row.task, problem


def _definitions(ignored: Sequence[str]) -> Iterator[Trouble | None]:
    for name in Definition.objects.filter(enabled=True).order_by("name").values_list("name", flat=True):
        yield None
        source = registry.source_of(name)
        if source is None:
            continue  # written in Python: it is the code itself
        try:
            Recipe(source, registry.source_of).check()
        except WrongDefinition as wrong:
            for problem in _lines(wrong):
                if not any(fnmatchcase(word, pattern) for word in problem.split() for pattern in ignored):
                    yield "definition", name, "", problem


def _lines(wrong: WrongDefinition) -> Iterable[str]:
    return [line for line in str(wrong).splitlines() if line.strip()]


def _workflows(ignored: Sequence[str]) -> Iterator[Trouble | None]:
    for stored in StoredWorkflow.objects.filter(state__in=ACTIVE).order_by().iterator(chunk_size=20):
        yield None
        graph = stored.read_graph()
        elsewhere = [*ignored, *stored.options.get("external", ())]
        node_states = node_states_now(stored).ljust(len(graph.nodes))
        for node in graph.nodes:
            if node.task and node_states[node.index] not in ENDED:
                for problem in _problems(node.task, node.args, node.kwargs, elsewhere):
                    yield "workflow", f"{stored.pk} node {node.key}", node.task, problem


_LOOKS = {
    "job": _jobs,
    "schedule": _schedules,
    "preset": _presets,
    "definition": _definitions,
    "workflow": _workflows,
}
