"""Lists in other orders and in windows of time: each page goes on where the one before ended, and nothing is left out."""

from datetime import timedelta
from functools import cache
from urllib.parse import parse_qs, parse_qsl, urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobroom.jobs import list_orders
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Job, State

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.usefixtures("empty_redis")]

ROWS = 60
SIZE = 7


@pytest.fixture
def history(ada):
    """Fill the database: some share their moments, some have not started, some not ended, one was answered."""
    now = timezone.now().replace(microsecond=0)
    Job.objects.bulk_create(
        Job(
            pk=f"j~{n:02}",
            task=f"t {n % 3}",
            state=(State.SUCCEEDED, State.FAILED, State.RUNNING, State.QUEUED)[n % 4],
            owner=ada if n % 2 else None,
            created_at=now - timedelta(minutes=n // 2),
            started_at=None if n % 4 == 3 else now - timedelta(minutes=(n * 7) % 20),
            finished_at=now if n % 4 in (0, 1) else None,
            answer_of="other" if n == 8 else "",
            label=f"row {n}",
        )
        for n in range(ROWS)
    )


@pytest.fixture(params=["sorted at once", "along the index"])
def way(request, monkeypatch):
    """Have the database sort the rows of an index, or go along the index of the order in small windows, one a page."""
    if request.param == "along the index":
        monkeypatch.setattr(list_orders, "SORTED_AT_ONCE", 1)
        monkeypatch.setattr(list_orders, "WINDOW", 9)
        monkeypatch.setattr("jobroom.jobs.filters.LOOKED", 0)
    return request.param


def pages(query, user):
    """Return the jobs of all pages together, by following the links."""
    found, looked = [], JobFilter(query, user, SIZE)
    for _ in range(ROWS):
        found += looked.rows
        if not looked.next_link:
            return found
        looked = JobFilter(dict(parse_qsl(looked.next_link[1:])), user, SIZE)
    raise AssertionError("The pages have no end.")


@cache
def matching(query, name, way):
    """Return the ids of all that a person finds without an order, which are the same in each test: the fixture makes the same rows."""
    return frozenset(job.pk for job in pages(dict(query), User.objects.get(username=name)))


KEYS = {
    "created": lambda job: (job.created_at, job.pk),
    "started": lambda job: (job.started_at, job.pk),
    "took": lambda job: (job.finished_at - job.started_at, job.pk),
}


@pytest.mark.parametrize("name", list(list_orders.SORTS))
@pytest.mark.parametrize("query", [{}, {"state": "succeeded"}, {"q": "row 1"}, {"task": "t 1", "within": "10h"}])
def test_all_pages_together_hold_all_that_match_in_the_order(history, staff, ada, way, name, query):
    for user in (staff, ada):
        found = pages({**query, "sort": name}, user)
        plain = matching(tuple(query.items()), user.username, way)
        column = name.removeprefix("-")
        if column == "started":
            plain = {job.pk for job in Job.objects.filter(pk__in=plain) if job.started_at}
        if column == "took":
            plain = {job.pk for job in Job.objects.filter(pk__in=plain) if job.runtime is not None and job.is_finished}
        assert [job.pk for job in found] == list(dict.fromkeys(job.pk for job in found)), "a job is there twice"
        assert {job.pk for job in found} == plain
        if column in KEYS:
            assert found == sorted(found, key=KEYS[column], reverse=name.startswith("-"))
        else:
            tasks = [job.task for job in found]
            assert tasks == sorted(tasks, reverse=name.startswith("-"))


@pytest.fixture
def statistics(db):
    """Have SQLite believe that the tables are large, as ANALYZE records it there."""
    if connection.vendor != "sqlite":
        pytest.skip("a planner of so few rows reads them all")

    def read(statement=""):
        with connection.cursor() as cursor:
            for each in filter(None, (statement, "ANALYZE sqlite_schema")):
                cursor.execute(each)

    read("ANALYZE")
    read("UPDATE sqlite_stat1 SET stat = '200000' || substr(stat, instr(stat, ' ')) WHERE instr(stat, ' ')")
    for index, numbers in {"job_owner": "40000 40000 1 1", "job_owner_state": "40000 40000 9000 1 1"}.items():
        read(f"UPDATE sqlite_stat1 SET stat = '{numbers}' WHERE idx = '{index}'")
    yield
    read("DELETE FROM sqlite_stat1")


def sorts(statement):
    """Return the lines of the plan that read the table without an index, or sort what is read of it beyond one window."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        plan = [(parent, detail) for _, parent, _, detail in cursor.fetchall()]
    windows = {(parent, detail.split()[1]) for parent, detail in plan if detail.startswith("CO-ROUTINE")}
    reads = [
        (parent, detail)
        for parent, detail in plan
        if detail.startswith(("SCAN", "SEARCH")) and (parent, detail.split()[1]) not in windows
    ]
    of_tables = {parent for parent, _ in reads}
    assert reads, plan
    return [detail for _, detail in reads if " INDEX " not in detail] + [
        detail for parent, detail in plan if "TEMP B-TREE" in detail and parent in of_tables
    ]


@pytest.mark.parametrize("name", list(list_orders.SORTS))
def test_no_order_sorts_more_than_a_window_of_a_large_table(history, staff, statistics, name):
    sort = list_orders.SORTS[name]
    first = list_orders.look(JobFilter({"sort": name}, staff).search, sort, most=9, seconds=1, after=None)
    for place in (None, first.places[-1]):
        with CaptureQueriesContext(connection) as asked:
            for branch in list_orders._branches(sort, place):
                list_orders._last(sort, branch, 1000)
        assert [sorts(query["sql"]) for query in asked.captured_queries] == [[]] * len(asked)


def test_a_plan_that_sorts_the_table_is_seen(history, statistics):
    """So that the test above can fail: this is how a window's end was asked for once."""
    whole = Job.objects.filter(list_orders.HAS_TAKEN).annotate(took=list_orders.Took()).order_by("-label")
    with CaptureQueriesContext(connection) as asked:
        list(whole.values("pk")[999:1000])
    assert sorts(asked.captured_queries[0]["sql"])


@pytest.mark.parametrize(
    "query", [{"q": "row"}, {"q": "row", "sort": "-took"}, {"tag": "x"}, {"owner": "ada", "q": "row"}]
)
def test_the_jobs_of_one_owner_are_not_sorted_to_find_a_page(history, ada, statistics, query):
    with CaptureQueriesContext(connection) as asked:
        found = JobFilter(query, ada)
        shown, number = found.rows, found.total
    assert len(shown) <= number.number + number.more
    windows = [one["sql"] for one in asked.captured_queries if " AS ends " in one["sql"]]
    assert windows
    assert [sorts(sql) for sql in windows] == [[]] * len(windows)


@pytest.mark.parametrize(("name", "index"), [("-started", "job_started"), ("-took", "job_took"), ("task", "job_task")])
def test_each_order_goes_along_its_index(history, staff, name, index):
    if connection.vendor != "sqlite":
        pytest.skip("a planner of so few rows reads them all")
    sort = list_orders.SORTS[name]
    first = list_orders.look(JobFilter({"sort": name}, staff).search, sort, most=9, seconds=1, after=None)
    for place in (None, first.places[-1]):
        for branch in list_orders._branches(sort, place):
            plan = branch[:9].explain()
            assert index in plan, plan
            assert "TEMP B-TREE" not in plan, plan
            with CaptureQueriesContext(connection) as asked:
                list_orders._last(sort, branch, 5)
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {asked.captured_queries[0]['sql']}")
                assert index in str(cursor.fetchall())


def test_heads_lead_to_the_order_and_back(as_staff, history):
    page = as_staff.get("/jobs/?state=failed&sort=-took")
    assert page.status_code == 200
    heads = page.context["filter"].heads
    assert parse_qs(heads["took"][0][1:]) == {"state": ["failed"], "sort": ["took"]}
    assert heads["took"][1] == "descending"
    assert parse_qs(heads["created"][0][1:]) == {"state": ["failed"]}
    assert 'aria-sort="descending"' in page.content.decode()
    assert JobFilter({"sort": "nonsense"}, page.context["user"]).heads["created"] == ("?sort=created", "descending")


@pytest.mark.parametrize("name", list(list_orders.SORTS))
@pytest.mark.parametrize("place", ["x", "~", "2026-01-01T00:00:00~x", "nan~x", "1~2~3~4", "[]"])
def test_a_place_that_no_page_gave_is_refused(as_staff, name, place):
    answer = as_staff.get("/jobs/", {"sort": name, "before": place})
    assert answer.status_code == 400
    assert b"To the first page" in answer.content


def test_a_window_of_time_holds_what_was_launched_in_it(as_staff, staff, history):
    now = timezone.now()
    assert {job.pk for job in pages({"within": "1h"}, staff)} == {f"j~{n:02}" for n in range(ROWS)}
    since, until = now - timedelta(minutes=20), now - timedelta(minutes=5)
    query = {"since": since.isoformat(), "until": until.isoformat()}
    inside = {job.pk for job in Job.objects.all() if since <= job.created_at < until}
    assert {job.pk for job in pages(query, staff)} == inside
    assert JobFilter(query, staff).total.number == len(inside)
    for nonsense in ({"within": "soon"}, {"since": "yesterday"}, {"until": "0001-01-01"}, {"within": "999999999h"}):
        assert not JobFilter(nonsense, staff).is_filtered
    page = as_staff.get(f"/jobs/?{urlencode(query)}").content.decode()
    assert "since <strong>" in page
    assert as_staff.get(f"/jobs/export/?{urlencode({**query, 'sort': '-took', 'format': 'json'})}").status_code == 200


def test_the_api_sorts_and_says_what_a_window_should_be(as_staff, history, staff):
    answer = as_staff.get("/api/jobs/", {"sort": "-took", "within": "10h"}).json()
    assert [row["id"] for row in answer["results"]] == [job.pk for job in JobFilter({"sort": "-took"}, staff).rows]
    for name, value in {"within": "soon", "since": "yesterday", "sort": "x", "before": "x"}.items():
        refused = as_staff.get("/api/jobs/", {"sort": "-took", name: value})
        assert refused.status_code == 400, name
        assert name in refused.json()["errors"]


def test_the_head_of_the_jobs_says_that_their_order_is_that_of_the_names(history, as_staff):
    """Titles are shown first, and would be expected to be in order."""
    assert "by the task&#x27;s dotted name" not in as_staff.get("/jobs/").content.decode()
    for order in ("task", "-task"):
        assert "Job, by the task&#x27;s dotted name" in as_staff.get("/jobs/", {"sort": order}).content.decode()
