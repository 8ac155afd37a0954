"""A list finds everything that matches, a bounded piece at a time, and says where it stopped."""

import itertools
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import connection
from django.utils import timezone

from jobroom.jobs import bulk, search
from jobroom.jobs.filters import JobFilter, counts
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.jobs.search import Place

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.usefixtures("empty_redis")]

ROWS = 120
ADA = 4711


@pytest.fixture
def people(ada, staff):
    """Return the kinds of people that see jobs: staff, an owner, one whom a rule shows those of two tasks."""
    User.objects.filter(pk=ada.pk).delete()
    ada = User.objects.create_user("ada", id=ADA)
    reader = User.objects.create_user("reader")
    group = Group.objects.create(name="readers")
    reader.groups.add(group)
    for task in ("t1", "t2"):
        TaskRule.objects.create(task=task).see.add(group)
    return {"staff": staff, "ada": ada, "reader": reader}


@pytest.fixture
def history(people):
    """Fill the database with jobs of every sort; the reader owns some of a task whose jobs a rule shows as well."""
    owners = [people["ada"], people["reader"], None]
    now = timezone.now()
    Job.objects.bulk_create(
        Job(
            pk=f"j{n:03}",
            task=f"t{n % 5}",
            state=list(State)[n % 4],
            queue=("default", "ml")[n % 2],
            schedule=("", "nightly")[n % 7 == 0],
            owner=owners[n % 3],
            tags=["red"] if n % 4 == 0 else [],
            label=f"row {n}, {'odd' if n % 2 else 'even'}",
            created_at=now - timedelta(seconds=n // 4),  # some share their moment
        )
        for n in range(ROWS)
    )


@pytest.fixture
def _small_steps(monkeypatch):
    """Look at a few rows with one statement, and begin no second one."""
    monkeypatch.setattr("jobroom.jobs.search.WINDOW", 17)
    monkeypatch.setattr("jobroom.jobs.filters.LOOKED", 0)
    monkeypatch.setattr("jobroom.jobs.bulk.LOOKED", 0)


def matches(job: Job, query: dict[str, str], user: User) -> bool:
    """Return what the list ought to decide of one job, in words as plain as can be."""
    seen = user.is_staff or job.owner_id == user.pk or (user.username == "reader" and job.task in {"t1", "t2"})
    readable = user.is_staff or job.owner_id == user.pk
    return (
        seen
        and all(getattr(job, name) == query[name] for name in ("state", "task", "queue", "schedule") if name in query)
        and ("owner" not in query or job.owner_id == (user.pk if query["owner"] == "me" else ADA))
        and ("tag" not in query or query["tag"] in job.tags)
        and (
            "q" not in query or all(word in job.task or (readable and word in job.label) for word in query["q"].split())
        )
    )


def pages(query: dict[str, str], user: User) -> list[list[str]]:
    """Return the ids on the pages of a list, followed to its end."""
    found = []
    while True:
        page = JobFilter(query, user)
        found.append([job.pk for job in page.rows])
        if not page.next_link:
            return found
        query = dict(parse_qsl(page.next_link[1:]))


ASKED = {
    "state": "running",
    "task": "t1",
    "queue": "ml",
    "schedule": "nightly",
    "owner": "me",
    "tag": "red",
    "q": "odd",
}
COMBINATIONS = [
    {name: ASKED[name] for name in names} for size in range(3) for names in itertools.combinations(ASKED, size)
]
OTHERS = [ASKED, {"owner": "ada"}, {"owner": "ada", "state": "queued"}, {"task": "t4"}, {"task": "t4", "q": "even row"}]


@pytest.mark.usefixtures("history", "_small_steps")
@pytest.mark.parametrize("who", ["staff", "ada", "reader"])
def test_every_combination_is_found_whole_and_in_order(people, who):
    user = people[who]
    every = list(Job.objects.newest_first())
    for query in COMBINATIONS + OTHERS:
        found = list(itertools.chain(*pages(query, user)))
        assert found == [job.pk for job in every if matches(job, query, user)], query


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("who", ["staff", "ada", "reader"])
def test_totals_and_states_are_those_of_the_list(people, who):
    user = people[who]
    every = list(Job.objects.newest_first())
    for query in COMBINATIONS:
        total = JobFilter(query, user).total
        assert (total.number, total.more) == (sum(matches(job, query, user) for job in every), False), query
    for state, number in counts(user).items():
        assert str(number) == str(sum(matches(job, {"state": state}, user) for job in every)), state


@pytest.mark.usefixtures("history", "_small_steps")
def test_a_page_that_did_not_look_at_everything_says_so(client, people):
    client.force_login(people["staff"])
    page = unescape(client.get("/jobs/", {"q": f"row {ROWS - 1}"}).content.decode())
    assert "Look further back" in page
    assert "Older ones may" in page
    assert "No job matches" not in page
    assert "Look further back" not in unescape(client.get("/jobs/", {"q": "t9", "task": "t9"}).content.decode())
    some = unescape(client.get("/jobs/", {"q": "row 0,"}).content.decode())
    assert "+ that match" in some
    assert "older ones may match, too" in some


@pytest.mark.usefixtures("history", "_small_steps")
def test_the_interface_leads_on_from_an_empty_page(client, people):
    client.force_login(people["staff"])
    address, found, asked = f"/api/jobs/?q=row+{ROWS - 1}", [], 0
    while address:
        answer = client.get(address).json()
        found += [job["id"] for job in answer["results"]]
        address, asked = answer["next"], asked + 1
    assert found == [f"j{ROWS - 1}"]
    assert asked > 5


@pytest.mark.usefixtures("history", "_small_steps")
def test_what_acts_on_all_reaches_all(people):
    user = people["staff"]
    choice = bulk.Choice({"q": "odd", "tag": "red", "owner": "me"})
    assert list(bulk.each(choice, user)) == []
    choice = bulk.Choice({"q": "even", "queue": "default"})
    found = [job.pk for job in bulk.each(choice, user)]
    assert sorted(found) == [f"j{n:03}" for n in range(0, ROWS, 2)]
    plan = bulk.plan("cancel", choice, user)
    assert plan.more
    assert plan.total < ROWS / 2


def test_strangers_look_at_nothing(django_assert_num_queries):
    Job.objects.create(pk="a", task="t1")
    with django_assert_num_queries(0):
        assert JobFilter({}, AnonymousUser()).rows == []


def test_the_way_that_leaves_out_most_is_taken(staff, monkeypatch):
    monkeypatch.setattr("jobroom.jobs.search.WINDOW", 5)
    now = timezone.now()
    Job.objects.bulk_create(
        Job(pk=f"j{n:03}", task="often", queue="rare" if n % 10 == 9 else "", created_at=now - timedelta(seconds=n))
        for n in range(100)
    )
    found = JobFilter({"task": "often", "queue": "rare"}, staff).search.look(most=3, seconds=0)
    assert [pk for _, pk in found.places] == ["j009", "j019", "j029"]


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="reads the plans of SQLite")
@pytest.mark.usefixtures("history")
def test_every_way_goes_along_an_index(people):
    for user in people.values():
        for query in COMBINATIONS + OTHERS:
            for path in JobFilter(query, user).search.paths:
                text, values = search._union(path, Place(timezone.now(), "j"), ("id", "created_at"), 10)
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN QUERY PLAN {text}", values)
                    plan = " ".join(row[3] for row in cursor.fetchall())
                # Of the schedules' index the key is no part: rows of the same moment are put in order.
                assert "USING INDEX job_schedule" in plan or "USING COVERING INDEX" in plan, (query, plan)
                assert "TEMP B-TREE FOR ORDER BY" not in plan, (query, plan)
                assert ("MERGE" in plan) == (len(path) > 1), (query, plan)
