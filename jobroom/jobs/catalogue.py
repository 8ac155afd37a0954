"""The catalogue: the registered tasks with titles, descriptions and rights, as people see them."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

from celery import current_app
from django.contrib.auth.models import AnonymousUser
from django.db import connection

from jobroom.arguments import schema_of
from jobroom.cache.identity import kept_seconds
from jobroom.celery.tracked import is_tracked
from jobroom.jobs import history, labels, policies
from jobroom.jobs.gate import default_queue
from jobroom.jobs.history import Lately
from jobroom.jobs.models import Job
from jobroom.jobs.signals import schedules_asked
from jobroom.jobs.task_titles import title, title_of, with_title
from jobroom.users import User

# SQLite takes no more than 500 parts in one statement.
MOST_AT_ONCE = 400
# Of our own tasks: in the project of others they are no one's first choice.
OWN_APP = "jobroom"


@dataclasses.dataclass(slots=True)
class TaskEntry:
    """One task of the catalogue."""

    name: str
    summary: str  # the first sentence or line of its description
    details: str  # the rest of it
    queue: str
    may_rerun: bool
    tracked: bool
    limit: float | None  # seconds after which it is stopped
    retries: bool
    app: str  # the Django app that it lives in
    title: str  # as people call it
    cache_for: float | None  # seconds for which its answers are kept
    step_of: str = ""  # the name of the bigger task, below which it is folded
    last: Job | None = None
    lately: Lately = dataclasses.field(default_factory=Lately)
    schedules: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # when it runs by itself, address
    steps: "list[TaskEntry]" = dataclasses.field(default_factory=list)  # that the page folds below it

    @property
    def place(self) -> tuple[bool, str, str]:
        """Where it stands in a list for people: by app and title, Jobroom's own chores after all others."""
        return self.app == OWN_APP, self.app, self.title.lower()


def entries() -> list[TaskEntry]:
    """Return every task but Celery's own chores, ordered by name."""
    return sorted((_entry(task) for task in _tasks()), key=lambda one: one.name.lower())


def tracked_names() -> list[str]:
    """Return the names of the tasks whose jobs are recorded."""
    return [task.name for task in _tasks() if is_tracked(task)]


def choices(user: User | AnonymousUser, chosen: str) -> list[tuple[str, str]]:
    """Return names and words of the tasks that `user` may ask for; of what is `chosen` and none of them no more than was typed."""
    known = {name: title(name) for name in tracked_names() if policies.may_know_of(user, name)}
    found = {name: words if words == name else f"{words} ({name})" for name, words in known.items()}
    typed = {chosen: chosen} if chosen else {}
    return sorted({**typed, **found}.items(), key=lambda one: one[1].lower())


def name_called(words: str, user: User | AnonymousUser) -> str:
    """Return the name of the task that `user` means by its name or its title; other words, and what two bear, as they are."""
    if not words or words in current_app.tasks:
        return words
    named = [name for name in with_title(words) if policies.may_know_of(user, name)]
    return named[0] if len(named) == 1 else words


def _tasks() -> list[Any]:
    return [task for name, task in current_app.tasks.items() if not name.startswith("celery.")]


def open_to(user: User) -> list[TaskEntry]:
    """Return the tasks that `user` may launch or see jobs of, with what became of their latest jobs."""
    found = [one for one in entries() if policies.may_know_of(user, one.name)]
    recent = history.lately(user)
    planned: dict[str, list[tuple[str, str]]] = {}
    answers: Any = schedules_asked.send(sender=TaskEntry, user=user)
    for _, answer in answers:
        for task, rows in answer.items():
            planned.setdefault(task, []).extend(rows)
    for one in found:
        one.lately = recent.get(one.name, Lately())
        # Who may only launch it sees no jobs of others, and so not what others have them run by.
        one.schedules = planned.get(one.name, []) if policies.may_see_task(user, one.name) else []
    return with_last_jobs(found, user)


def entry(name: str) -> TaskEntry:
    """Return the entry of one registered task; raise KeyError for another name."""
    return _entry(current_app.tasks[name])


def with_last_jobs(found: list[TaskEntry], user: User) -> list[TaskEntry]:
    """Add to each task its newest job that `user` may see, in three queries, more of hundreds of tasks."""
    open_ones = [one.name for one in found if policies.may_see_task(user, one.name)]
    ids = _newest_of(open_ones)
    if len(open_ones) < len(found):
        # No index has a person's jobs of one task together: the last one of all tasks is sought among the newest.
        own = Job.objects.filter(owner=user).exclude(owner=None).newest_first().values_list("task", "pk")
        for task, pk in own[: history.RECENT]:
            ids.setdefault(task, pk)
    jobs = Job.objects.without_bulk().in_bulk([pk for pk in ids.values() if pk])
    for one in found:
        one.last = jobs.get(ids.get(one.name, ""))
    return found


def _newest_of(tasks: list[str]) -> dict[str, str]:
    """Return the id of the newest job of each task that has one."""
    # One look at the end of an index for each task, with the same text: to have Django write each costs more than to ask.
    one, _ = Job.objects.filter(task="").newest_first().values_list("task", "pk")[:1].query.sql_with_params()
    found: dict[str, str] = {}
    with connection.cursor() as cursor:
        for begin in range(0, len(tasks), MOST_AT_ONCE):
            some = tasks[begin : begin + MOST_AT_ONCE]
            text = " UNION ALL ".join(f"SELECT * FROM ({one}) AS of_{n}" for n in range(len(some)))  # noqa: S608 — made by Django
            cursor.execute(text, some)
            found.update(cursor.fetchall())
    return found


def named_arguments(job: Job) -> list[tuple[str, Any]]:
    """Return the job's arguments with their names; positional ones are named by the task, or numbered."""
    task = current_app.tasks.get(job.task)
    names = _parameters(task.run) if task is not None else ()
    numbered = [(names[n] if n < len(names) else f"{n + 1}.", value) for n, value in enumerate(job.args)]
    return numbered + list(job.kwargs.items())


def arguments_seen_by(user: User, job: Job) -> list[tuple[str, Any, str]]:
    """Return name and value of the job's arguments, and for ids of rows and files what they are called."""
    named = named_arguments(job)
    task = current_app.tasks.get(job.task)
    called = labels.names_of(schema_of(task), named, user) if task is not None else {}
    return [(name, value, called.get(name, "")) for name, value in named]


@functools.lru_cache(maxsize=2048)
def _parameters(run: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(run).parameters)
    except (TypeError, ValueError):
        return ()


def _entry(task: Any) -> TaskEntry:
    text = getattr(task, "description", None) or _doc(task.run) or _own_doc(task)
    summary, _, details = text.strip().partition("\n")
    return TaskEntry(
        name=task.name,
        summary=summary.strip(),
        details=inspect.cleandoc(details) if details.strip() else "",
        queue=default_queue(task),
        may_rerun=bool(task.acks_late),
        tracked=is_tracked(task),
        limit=task.soft_time_limit or task.time_limit,
        retries=bool(getattr(task, "autoretry_for", ())),
        app=str(type(task).__module__).partition(".")[0],
        cache_for=kept_seconds(task),
        title=title_of(task),
        step_of=str(getattr(task, "step_of", None) or ""),
    )


def _doc(run: Any) -> str:
    """Return the docstring of a function, not that of a method of the same name in Celery's or our classes."""
    return inspect.cleandoc(run.__doc__ or "")


def _own_doc(task: Any) -> str:
    """Return the docstring of the task's class, not one that it inherits."""
    return inspect.cleandoc(vars(type(task)).get("__doc__") or "")
