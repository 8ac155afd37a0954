"""Lists of tasks as people see them: what a search finds, with the person's own first, and steps below their bigger task."""

from collections.abc import Sequence
from itertools import groupby

from jobroom.jobs import catalogue
from jobroom.jobs.catalogue import TaskEntry
from jobroom.jobs.models import Job, Profile
from jobroom.users import User

# Tasks that the person launched last are shown first, so many; among so many of their newest jobs.
RECENT, LOOKED_AT = 4, 100


def matches(task: TaskEntry, words: Sequence[str]) -> bool:
    """Return whether a search finds the task: each of its words, in lower case, in title, name or first line."""
    text = f"{task.title} {task.name} {task.summary}".lower()
    return all(word in text for word in words)


def shown_by(alone: Sequence[TaskEntry], found: set[str]) -> tuple[set[str], set[str]]:
    """Return the names of the rows that a search shows, and of the tasks whose steps it unfolds: those with a step that matches."""
    shown, opened = set(), set()
    for task in alone:
        steps = {step.name for step in task.steps}
        if steps & found:
            opened.add(task.name)
            shown |= {task.name} | (steps & found)
        elif task.name in found:
            shown |= {task.name} | steps
    return shown, opened


def folded(tasks: Sequence[TaskEntry], pinned: Sequence[str]) -> list[TaskEntry]:
    """Return the tasks that stand by themselves: a step is folded below its bigger task, where that is there."""
    by_name = {task.name: task for task in tasks}
    alone: list[TaskEntry] = []
    for task in tasks:
        bigger = by_name.get(task.step_of)
        if bigger is None or bigger.step_of or task.name in pinned:
            alone.append(task)
        else:
            bigger.steps.append(task)
    return alone


def pinned_by(user: User) -> list[str]:
    """Return the names of the tasks that the person has pinned."""
    found = Profile.objects.filter(user=user).values_list("pinned", flat=True).first()
    return [name for name in found or [] if isinstance(name, str)]


def recent_of(user: User) -> list[str]:
    """Return the tasks that the person launched last, the newest first."""
    own = Job.objects.filter(owner=user).exclude(owner=None).newest_first().values_list("task", flat=True)
    return list(dict.fromkeys(own[:LOOKED_AT]))[:RECENT]


def _heading(app: str) -> str:
    return "Of Jobroom itself" if app == catalogue.OWN_APP else app


def grouped(
    tasks: Sequence[TaskEntry], pinned: Sequence[str], recent: Sequence[str]
) -> list[tuple[str, list[TaskEntry]]]:
    """Return the tasks under their headings; each stands in one place."""
    by_name = {task.name: task for task in tasks}
    first = [by_name[name] for name in pinned if name in by_name]
    lately = [by_name[name] for name in recent if name in by_name and name not in pinned]
    shown = {task.name for task in (*first, *lately)}
    rest = [task for task in tasks if task.name not in shown]
    by_app = [(_heading(app), list(members)) for app, members in groupby(rest, key=lambda task: task.app)]
    return [(title, group) for title, group in [("Pinned", first), ("Lately", lately), *by_app] if group]
