"""The filter of a list of jobs, read from the query string and written back into it."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from jobroom.jobs import catalogue, lateness, list_orders, policies, task_titles
from jobroom.jobs.lists import PAGE, Listing, clean, written
from jobroom.jobs.models import ACTIVE, Job, State
from jobroom.jobs.policies import may_see_task
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.search import COLUMNS, Count, Found, Path, Place, Search, later, visible_paths
from jobroom.jobs.time_window import Window
from jobroom.users import User
from jobroom.web.cursors import WrongCursor

# Nothing is counted beyond this.
MOST_COUNTED = 10_000
# For those who see jobs by rules: among so many of the newest, and of the newest in each state of a job that goes on.
MOST_SIFTED = 1_000
# Seconds for which a page looks for its rows, and then counts those that match; it says where it stopped.
LOOKED = 0.02
COUNTED = 0.01
_ARIA = {True: "descending", False: "ascending"}


def count(rows: QuerySet[Any]) -> Count:
    """Count rows that an index has together, but never more than MOST_COUNTED of them."""
    number = rows.order_by().values("pk")[: MOST_COUNTED + 1].count()
    return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)


def counts(user: User | AnonymousUser) -> dict[State, Count]:
    """Count the jobs of each state that the user may see."""
    visible = Job.objects.visible_to(user)
    if not policies.sees_by_rule(user):
        return _counted_by_index(visible)
    # Of those who see jobs by a rule no index has the states together: all that goes on is looked for by its state, and
    # what has ended is counted among the newest.
    search = Search(visible, visible_paths(user), columns=("id", "created_at", "state", "task", "owner_id"))
    ended, more = search.by_state(newest=MOST_SIFTED)
    active = search.of_states(sorted(ACTIVE), newest=MOST_SIFTED)
    none = Count(0, more=False)
    return {state: active.get(state, none) if state in ACTIVE else Count(ended.get(state, 0), more) for state in State}


def _counted_by_index(rows: JobQuerySet) -> dict[State, Count]:
    """Count the rows of each state, all with one statement; of an index alone."""
    found = {state: Count(0, more=False) for state in State}
    # Written once and asked of each state: to have Django write each costs more than to ask.
    one = State.QUEUED.value
    try:
        text, parameters = rows.filter(state=one).order_by().values("pk")[: MOST_COUNTED + 1].query.sql_with_params()
    except EmptyResultSet:  # of someone who may see nothing
        return found
    texts = [f"SELECT %s, count(*) FROM ({text}) AS {state.value}_ones" for state in State]  # noqa: S608 — made by Django
    values = [[state.value, *(state.value if value == one else value for value in parameters)] for state in State]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(texts), list(itertools.chain.from_iterable(values)))
        for value, number in cursor.fetchall():
            found[State(value)] = Count(min(number, MOST_COUNTED), number > MOST_COUNTED)
    return found


class JobFilter(Listing):
    """The jobs that `user` may see and `query` asks for: state, task, queue, schedule, workflow, owner, tag, late, q, when, sort, before.

    A value that makes no sense is ignored: a shared address must not break when a task is renamed. `owner` is `me` or a
    user name; a name that no one has finds nothing. `within`, or `since` and `until`, are about the launch. A page has `size` rows.
    """

    names = ("state", "task", "queue", "schedule", "workflow", "owner", "tag", "late", "q", *Window.names, "sort")

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser, size: int = PAGE) -> None:
        self.size = size
        self.visible = Job.objects.visible_to(user)
        query = clean(query)
        states = query.get("state", "")
        self.state = State(states) if states in State.values else None
        self.task = catalogue.name_called(query.get("task", "")[:255], user)
        self.queue = query.get("queue", "")[:255]
        self.schedule = query.get("schedule", "")[:255]
        self.workflow_id = query.get("workflow", "").strip()[:64]
        self.owner = query.get("owner", "").strip()[:150]
        self.tag = query.get("tag", "").strip()[:50]
        self.late = query.get("late", "") if query.get("late") in lateness.CHOICES else ""
        self.user = user
        self.q = query.get("q", "").strip()[:255]
        self.window = Window.read(query)
        self.within, self.since, self.until = self.window.within, self.window.since, self.window.until
        self.order = list_orders.SORTS.get(query.get("sort", ""))
        self.sort = self.order.name if self.order else ""
        self.before: Place | None = None
        self.after: list_orders.SortedPlace | None = None
        if self.order:
            self.after = self.order.read(query)
        else:
            self.before = cursor(query)

    @cached_property
    def matching(self) -> JobQuerySet:
        """All jobs that match, without order and end."""
        order = self.order.condition if self.order else Q()
        rows = self.visible.filter(self.window.condition & order)
        if self.state:
            rows = rows.filter(state=self.state)
        for column in ("task", "queue", "schedule", "workflow_id"):
            value = getattr(self, column)
            if value:
                rows = rows.filter(**{column: value})
            # Says what the partial index says, or no database would use it.
            if value and column in {"schedule", "workflow_id"}:
                rows = rows.exclude(**{column: ""})
        if self.owner:
            rows = rows.filter(owner=self._owner)
        if self.late:
            rows = rows.filter(pk__in=self._late_ids)
        if self.tag:
            rows = self._tagged(rows)
        return self._searched(rows) if self.q else rows

    @cached_property
    def _owner(self) -> int | None:
        return owner_called(self.owner, self.user)

    @cached_property
    def _late_ids(self) -> list[str]:
        return lateness.ids(self.late)

    def _tagged(self, rows: JobQuerySet) -> JobQuerySet:
        if connection.features.supports_json_field_contains:
            return rows.filter(tags__contains=[self.tag])
        return rows.alias(tags_text=Cast("tags", TextField())).filter(tags_text__contains=json.dumps(self.tag))

    def _searched(self, rows: JobQuerySet) -> JobQuerySet:
        if self._is_id:
            return rows.filter(pk=self.q)
        found = Q()
        for word in self.q.split():
            called = Q(task__icontains=word) | Q(task__in=task_titles.containing(word))
            found &= called | (self._readable & (Q(label__icontains=word) | Q(error__icontains=word)))
        return rows.filter(found)

    @cached_property
    def _is_id(self) -> bool:
        """Whether the words are the id of a job that one may see."""
        return self.visible.filter(pk=self.q).exists()

    @cached_property
    def _paths(self) -> list[Path]:
        """The ways along an index: each leads to all jobs that match, and to others."""
        if self.q and self._is_id:
            return [[Q(pk=self.q)]]
        if self.late:
            return [[Q(pk__in=self._late_ids)]]  # few, whatever else is asked for
        state = {"state": self.state} if self.state else {}
        paths: list[Path] = [[Q(**{name: getattr(self, name)})] for name in ("task", "queue") if getattr(self, name)]
        if self.schedule:
            paths.append([Q(schedule=self.schedule) & ~Q(schedule="")])  # as the partial index says it
        if self.workflow_id:
            paths.append([Q(workflow_id=self.workflow_id) & ~Q(workflow_id="")])
        if self.owner:
            paths.append([Q(owner=self._owner, **state)])
        elif state:
            paths.append([Q(**state)])
        if not (self.task and may_see_task(self.user, self.task)):
            paths += visible_paths(self.user, **state)
        # Each index of a path goes on with the moment of the launch: outside of the window nothing is looked at.
        return [[condition & self.window.condition for condition in path] for path in paths or [[Q()]]]

    @cached_property
    def search(self) -> Search:
        """How all jobs that match are found, a bounded piece at a time."""
        return Search(self.matching, self._paths, list_orders.LOOKED_AT if self.order else COLUMNS)

    @cached_property
    def _readable(self) -> Q:
        """The jobs of which one may read the arguments: only in those a word of them may be looked for."""
        if self.user.is_staff:
            return Q()
        return Q(owner=self.user.pk) | Q(task__in=policies.tasks_open_to(self.user, "arguments"))

    @cached_property
    def _found(self) -> Found:
        if self._has_one_index:
            rows = later(self.matching, self.before).newest_first().values_list("created_at", "pk")
            places = [Place(at, pk) for at, pk in rows[: self.size + 1]]
            return Found(places, places[-1] if len(places) > self.size else None)
        return self.search.look(most=self.size + 1, seconds=LOOKED, after=self.before)

    @cached_property
    def _found_sorted(self) -> list_orders.FoundSorted:
        order = self.order or list_orders.SORTS["created"]
        everything = policies.sees_all(self.user) and set(self.parts) <= {"sort"}
        return list_orders.look(
            self.search, order, most=self.size + 1, seconds=LOOKED, after=self.after, all_match=everything
        )

    @cached_property
    def rows(self) -> list[Job]:
        """The jobs of this page."""
        if not self.order:
            return list(jobs_at(self.places).values())
        ids = [place[-1] for place in self._found_sorted.places[: self.size]]
        jobs = Job.objects.without_bulk().select_related("owner").in_bulk(ids)
        return [jobs[pk] for pk in ids if pk in jobs]

    @property
    def places(self) -> list[Place]:
        """The places of the jobs of this page."""
        return self._found.places[: self.size]

    @cached_property
    def total(self) -> Count:
        """How many jobs match, as far as that could be counted."""
        if self.order:
            return self.search.tally(most=MOST_COUNTED, seconds=COUNTED)
        found = self._found
        if self.before is None and len(found.places) <= self.size:
            return Count(len(found.places), found.upto is not None)
        if self._has_one_index:
            return count(self.matching)
        return self.search.tally(most=MOST_COUNTED, seconds=COUNTED)

    @cached_property
    def _has_one_index(self) -> bool:
        """Whether one index has all that match together, and nothing else."""
        if policies.sees_by_rule(self.user) or self.q or self.tag or self.late or self.order:
            return False
        of_one_owner = bool(self.owner) or not self.user.is_staff
        others = {"owner", *Window.names}
        asked = {name for name in self.parts if name not in others} | ({"owner"} if of_one_owner else set())
        return len(asked) <= 1 or asked == {"owner", "state"}

    @property
    def looked_until(self) -> datetime | None:
        """The moment back to which jobs were looked at, when the page is not full and there are older ones."""
        if self.order:
            return None
        found = self._found
        return found.upto.at if found.upto and len(found.places) <= self.size else None

    @property
    def is_cut(self) -> bool:
        """Whether the page is not full although there may be more: its time was over."""
        found = self._found_sorted if self.order else self._found
        return found.upto is not None and len(found.places) <= self.size

    @property
    def is_empty_database(self) -> bool:
        """Whether there is no job at all that the user may see."""
        return not self.is_filtered and self.before is None and not self._found.places

    @property
    def newest_link(self) -> str:
        """The query string of the first page, empty when this is it."""
        return self.link() if self.before or self.after else ""

    @property
    def heads(self) -> dict[str, tuple[str, str]]:
        """For each column that can be sorted: the link of its head, and how the list goes by it now (aria-sort)."""
        found = {}
        for column, first in list_orders.COLUMN_FIRST.items():
            here = self.sort.removeprefix("-") == column or (column == "created" and not self.sort)
            if not here:
                found[column] = (self.link(sort=first or None), "")
                continue
            down = self.order.keys[0][1] if self.order else True
            back = self.order.backwards().name if self.order else "created"
            found[column] = (self.link(sort=back if back in list_orders.SORTS else None), _ARIA[down])
        return found

    @property
    def workflow(self) -> str:
        """The id of the workflow whose jobs are asked for."""
        return self.workflow_id

    @property
    def folded(self) -> int:
        """How many of the fields are filled in that a phone shows on demand."""
        fields = (self.task, self.owner, self.within, self.since, self.until)
        return sum(bool(field) for field in fields)

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Return name, value and the link without it of each part that the page has no field for."""
        return [
            (n, v, self.link(**{n: None}))
            for n, v in self.parts.items()
            if n in {"queue", "schedule", "workflow", "tag", "late"}
        ] + [(n, v, self.link(**{n: None})) for n, v in self.window.words]

    @property
    def _last(self) -> Place | None:
        """The place after which the next page begins; a page that is not full can have one."""
        found = self._found
        return found.places[self.size - 1] if len(found.places) > self.size else found.upto

    @property
    def next_link(self) -> str:
        """The query string of the next page, empty on the last."""
        return self.link(before=self.next_place) if self.next_place else ""

    @property
    def next_place(self) -> str:
        """What `before` is on the next page, empty on the last."""
        if not self.order:
            return written(self._last) if self._last else ""
        found = self._found_sorted
        last = found.places[self.size - 1] if len(found.places) > self.size else found.upto
        return self.order.written(last) if last else ""

    @cached_property
    def numbers(self) -> dict[State, Count]:
        """How many jobs of each state match all that is asked for but the state; that of the chosen one is `total`."""
        found = self._numbers()
        return {**found, self.state: self.total} if self.state else found

    def _numbers(self) -> dict[State, Count]:
        others = {name: value for name, value in self.parts.items() if name != "state"}
        if not others:
            return counts(self.user)
        if not self.state and not self.order and self._is_whole:
            seen = Counter(job.state for job in self.rows)
            return {state: Count(seen.get(state, 0), more=False) for state in State}
        wanted = self if not self.state else JobFilter(others, self.user)
        found, more = wanted.search.tally_by_state(seconds=COUNTED)
        return {state: Count(found.get(state, 0), more) for state in State}

    @property
    def _is_whole(self) -> bool:
        """Whether this page shows all that match."""
        return self.before is None and len(self._found.places) <= self.size and self._found.upto is None

    def tabs(self) -> list[tuple[State | None, Count | None, str, bool]]:
        """Return for each state: the state, how many jobs of it match the rest, its link, whether it is chosen."""
        numbers = self.numbers
        every = [(None, None, self.link(state=None), self.state is None)]
        return every + [(s, n, self.link(state=s.value), self.state is s) for s, n in numbers.items()]

    def task_choices(self) -> list[tuple[str, str]]:
        """Return names and words of the tasks that one may ask for."""
        return catalogue.choices(self.user, self.task)


def owner_called(name: str, user: User | AnonymousUser) -> int | None:
    """Return the id of the owner of that name, `me` for `user`; 0, which is of no person, for a name that there is not.

    So it is looked for in the same way, and takes as long, whether there is such a person or not.
    """
    if name == "me":
        return user.pk
    return User._default_manager.filter(**{User.USERNAME_FIELD: name}).values_list("pk", flat=True).first() or 0


def jobs_at(places: Iterable[Place]) -> dict[Place, Job]:
    """Return the jobs that are still there as lists show them, by their places, the newest first."""
    ordered = sorted(set(places), reverse=True)
    jobs = Job.objects.without_bulk().select_related("owner").in_bulk([place.pk for place in ordered])
    return {place: jobs[place.pk] for place in ordered if place.pk in jobs}


def cursor(query: Mapping[str, str], name: str = "before") -> Place | None:
    """Return the place after which a page begins, None for the newest; raise WrongCursor for what no page has given."""
    text = query.get(name, "")
    if not text:
        return None
    moment, _, pk = text.partition("~")
    try:
        at = datetime.fromisoformat(moment)
        # In UTC, as a database asks for it: the first and the last days of all have none.
        place = Place(at.astimezone(UTC), pk)
    except (ValueError, OverflowError) as error:
        raise WrongCursor(name) from error
    if at.tzinfo is None or not pk:
        raise WrongCursor(name)
    return place
