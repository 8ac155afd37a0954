"""The pages: who sees what, and that they stay quick."""

from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobroom.jobs.filters import JobFilter
from jobroom.jobs.lists import PAGE
from jobroom.jobs.models import Attempt, Job, LogLine, State, TaskRule
from jobroom.jobs.signals import schedules_asked
from jobroom.jobs.templatetags.jobroom_jobs import commands, prose
from jobroom.jobs.tests.events import event, finished, queued, record, retrying, started

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]

PAGES = ["/", "/jobs/", "/tasks/"]


def make(pk: str, **values) -> Job:
    """Return a job of the database."""
    return Job.objects.create(**{"pk": pk, "task": "add", "state": State.SUCCEEDED, **values})


def many(count: int, **values) -> None:
    """Fill the database."""
    now = timezone.now()
    states = list(State)
    Job.objects.bulk_create(
        Job(
            **{
                "pk": f"job-{n:05}",
                "task": "add",
                "label": f"{n}",
                "state": states[n % len(states)],
                "created_at": now - timedelta(seconds=n // 3),  # some share their moment
                **values,
            }
        )
        for n in range(count)
    )


def text(response) -> str:
    """Return the page as it stands."""
    return unescape(response.content.decode())


@pytest.mark.parametrize("path", [*PAGES, "/jobs/x/"])
def test_strangers_are_sent_to_the_login(client, path):
    response = client.get(path)
    assert response.status_code == 302
    assert response.url == f"{reverse('login')}?next={path}"


def test_login_leads_on_and_logout_is_a_post(client, ada):
    assert client.post("/login/", {"username": "ada", "password": "wrong"}).status_code == 200
    response = client.post("/login/", {"username": "ada", "password": "lovelace", "next": "/jobs/"})
    assert response.url == "/jobs/"
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").url == "/login/"
    assert client.get("/jobs/").status_code == 302


def test_login_leads_to_no_other_site(client, ada):
    response = client.post("/login/", {"username": "ada", "password": "lovelace", "next": "https://evil.example/"})
    assert response.url == "/"


@pytest.mark.parametrize("path", PAGES)
def test_pages_open_on_an_empty_database(as_ada, path):
    assert as_ada.get(path).status_code == 200


def test_an_empty_database_teaches(as_ada):
    assert "your_task.delay()" in text(as_ada.get("/"))
    assert "your_task.delay()" in text(as_ada.get("/jobs/"))


def test_people_see_their_own_jobs_and_staff_all(ada, staff, client):
    make("mine", owner=ada, label="my own")
    make("nobodys", label="of nobody", state=State.FAILED)
    client.force_login(ada)
    for path in ("/", "/jobs/", "/jobs/?q=nobodys", "/jobs/?state=failed"):
        assert "of nobody" not in text(client.get(path))
    assert "my own" in text(client.get("/jobs/"))
    assert client.get("/jobs/mine/").status_code == 200
    assert client.get("/jobs/nobodys/").status_code == 404
    client.force_login(staff)
    assert "of nobody" in text(client.get("/jobs/"))
    assert client.get("/jobs/nobodys/").status_code == 200


def test_a_related_job_is_named_only_to_those_who_may_see_it(as_ada, ada):
    make("holder", label="secret work")
    make("mine", owner=ada, state=State.SKIPPED, holder="holder", parent_id="holder")
    page = text(as_ada.get("/jobs/mine/"))
    assert "secret work" not in page
    assert "/jobs/holder/" not in page


@pytest.mark.parametrize("path", ["/jobs/unknown/", "/jobs/%00/", "/nothing/here/"])
def test_what_is_not_there_is_a_page(as_staff, path):
    response = as_staff.get(path)
    assert response.status_code == 404
    assert "There is nothing here" in text(response)


def test_a_form_without_its_token_is_explained(ada):
    browser = Client(enforce_csrf_checks=True)
    response = browser.post("/login/", {"username": "ada", "password": "lovelace"})
    assert response.status_code == 403
    assert "The form was too old" in text(response)


def test_every_answer_has_the_policy(client, as_staff):
    for path in [*PAGES, "/login/", "/admin/", "/nothing/"]:
        policy = as_staff.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_pages_hold_no_inline_style_or_script(as_staff):
    record(queued(1), started(2), finished(3, state="failed", error="no", traceback="Traceback"))
    for path in [*PAGES, "/jobs/job/", "/nothing/"]:
        page = text(as_staff.get(path))
        assert "style=" not in page
        assert "<style" not in page
        assert "onclick" not in page
        assert page.count("<script") == page.count('<script type="module" src=')


def test_the_page_of_a_job_shows_its_story(as_staff):
    record(
        queued(1, args=["<script>alert(1)</script>"], kwargs={"faces": 500}, schedule="nightly"),
        started(2),
        event(3, "log", execution="a", level="warning", message="<b>careful</b>"),
        retrying(4, traceback="Traceback one"),
        started(5, "b"),
        finished(6, "b", "failed", error="it broke", error_type="ValueError", traceback="Traceback two"),
    )
    response = as_staff.get("/jobs/job/")
    page = text(response)
    for words in ("Failed", "it broke", "ValueError", "Traceback one", "Traceback two", "faces", "nightly", "warning"):
        assert words in page
    assert b"<script>alert" not in response.content
    assert b"<b>careful" not in response.content


@pytest.mark.parametrize("state", State)
def test_a_job_in_any_state_has_a_page(as_staff, state):
    make("x", state=state, lock="gate", holder="other", progress={"fraction": None, "message": None})
    assert state.label in text(as_staff.get("/jobs/x/"))
    assert state.label in text(as_staff.get("/"))


def test_a_long_log_shows_its_end(as_staff):
    job = make("x")
    LogLine.objects.bulk_create(LogLine(id=n, job=job, at=timezone.now(), message=f"line {n}.") for n in range(1, 700))
    page = text(as_staff.get("/jobs/x/"))
    assert "The last 500 lines" in page
    assert "line 699." in page
    assert "line 200." in page
    assert "line 199." not in page
    assert page.index("line 200.") < page.index("line 699.")


def test_filters_are_in_the_address(as_staff):
    make("a", task="add", state=State.FAILED, label="red")
    make("b", task="mul", state=State.FAILED, label="green")
    make("c", task="mul", state=State.SUCCEEDED, label="blue", queue="ml", error="Sonne")

    def shown(query: str) -> set[str]:
        page = text(as_staff.get(f"/jobs/{query}"))
        return {pk for pk in "abc" if f'href="/jobs/{pk}/"' in page}

    assert shown("") == {"a", "b", "c"}
    assert shown("?state=failed") == {"a", "b"}
    assert shown("?state=failed&task=mul") == {"b"}
    assert shown("?queue=ml") == {"c"}
    assert shown("?q=gre") == {"b"}
    assert shown("?q=a") == {"a"}  # by id; and no label has only that letter in it
    assert shown("?q=mul+sonne") == {"c"}
    assert shown("?state=splendid") == {"a", "b", "c"}
    assert shown("?q=%00&task=%00&queue=%00&before=") == {"a", "b", "c"}
    assert "No job matches" in text(as_staff.get("/jobs/?q=zzz"))


@pytest.mark.parametrize(
    "place",
    [
        "nonsense",
        "9999-12-31T23:59:59-23:59~x",
        "0001-01-01T00:00:00%2B23:59~x",
        "2026-01-01T00:00:00Z~%00",
        "2026-01-01~x",
    ],
)
def test_a_place_that_no_page_has_given_is_refused_with_the_way_back(as_staff, place):
    answer = as_staff.get(f"/jobs/?state=failed&before={place}")
    assert answer.status_code == 400
    assert 'href="?state=failed"' in text(answer)


def test_paging_shows_every_job_once(staff):
    many(PAGE * 3 + 7)
    seen: list[str] = []
    query: dict[str, str] = {}
    while True:
        page = JobFilter(query, staff)
        seen += [job.pk for job in page.rows]
        if not page.next_link:
            break
        query = dict(part.split("=", 1) for part in page.next_link[1:].split("&"))
        query = {key: unquote(value) for key, value in query.items()}
    assert len(seen) == len(set(seen)) == PAGE * 3 + 7
    assert seen == list(Job.objects.newest_first().values_list("pk", flat=True))


def unquote(value: str) -> str:
    """Return a value of a query string."""
    from urllib.parse import unquote_plus

    return unquote_plus(value)


def test_counts_stop_at_their_limit(as_staff, monkeypatch):
    monkeypatch.setattr("jobroom.jobs.filters.MOST_COUNTED", 5)
    many(20, state=State.FAILED)
    assert "5+" in text(as_staff.get("/jobs/"))


@pytest.mark.parametrize(("path", "queries"), [("/", 22), ("/jobs/", 15), ("/tasks/", 7), ("/jobs/job-00001/", 8)])
def test_pages_ask_no_more_when_there_are_more_jobs(as_staff, path, queries, django_assert_max_num_queries):
    as_staff.get(path)  # an earlier test may have filled what is remembered of a person, or not
    many(200)
    Attempt.objects.bulk_create(Attempt(job_id="job-00001", execution=f"{n}", number=n) for n in range(20))
    with django_assert_max_num_queries(queries):
        assert as_staff.get(path).status_code == 200


def test_the_catalogue_shows_the_last_outcome_that_one_may_see(as_ada, ada):
    name = "jobroom.jobs.cleanup_jobs"
    assert "No task for you yet" in text(as_ada.get("/tasks/"))
    group = Group.objects.create(name="keepers")
    ada.groups.add(group)
    TaskRule.objects.create(task=name).launch.add(group)
    make("a", task=name, owner=ada, state=State.FAILED, created_at=timezone.now() - timedelta(hours=1))
    make("b", task=name)
    page = text(as_ada.get("/tasks/"))
    assert 'href="/jobs/a/"' in page
    assert 'href="/jobs/b/"' not in page
    assert "Delete old jobs from the database" in page
    assert "may run twice" in page


def test_the_catalogue_shows_how_it_went_lately_and_when_it_runs_by_itself(as_staff):
    end = timezone.now()
    for n, state in enumerate([State.SUCCEEDED, State.SUCCEEDED, State.FAILED]):
        begin = end - timedelta(seconds=60 * (n + 1))
        make(f"j{n}", task="demo.echo", state=state, started_at=begin, finished_at=end, created_at=begin)

    def planned(**_):
        return {"demo.echo": [("every hour", "/somewhere/")]}

    schedules_asked.connect(planned)
    try:
        page = text(as_staff.get("/tasks/"))
    finally:
        schedules_asked.disconnect(planned)
    assert page.count('aria-label="Succeeded"') == 2
    assert page.count('aria-label="Failed"') == 1
    assert "about 2 min" in page
    assert '<a href="/somewhere/">every hour</a>' in page


def test_the_log_is_shown_from_a_level_on(as_staff):
    record(
        queued(1),
        started(2),
        event(3, "log", execution="a", level="info", message="by the way"),
        event(4, "log", execution="a", level="error", message="it burns"),
    )
    assert "by the way" in text(as_staff.get("/jobs/job/?level=nonsense"))
    page = text(as_staff.get("/jobs/job/?level=warning"))
    assert "it burns" in page
    assert "by the way" not in page


def test_who_may_see_jobs_of_a_task_reads_nothing_in_them(as_ada, ada):
    group = Group.objects.create(name="watchers")
    ada.groups.add(group)
    TaskRule.objects.create(task="add").see.add(group)
    record(queued(1, args=["precious"]), started(2), finished(3, state="failed", error="precious too"))
    for path in ("/", "/jobs/", "/jobs/job/"):
        page = text(as_ada.get(path))
        assert "Failed" in page
        assert "precious" not in page
    TaskRule.objects.get().arguments.add(group)
    assert text(as_ada.get("/jobs/job/")).count("precious") >= 3


def test_arguments_are_named_by_the_task(as_staff):
    record(queued(1, task="jobroom.jobs.cleanup_jobs", args=[30, 5, "more"], kwargs={"extra": 1}))
    page = text(as_staff.get("/jobs/job/"))
    for name in ("days", "keep", "3.", "extra"):
        assert f"<dt>{name}</dt>" in page


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("a `b*c*` *d* **e** 2 * 3 * 4", "<p>a <code>b*c*</code> <em>d</em> <strong>e</strong> 2 * 3 * 4</p>"),
        ("one\n\ntwo", "<p>one</p>\n<p>two</p>"),
        ("<script>`<b>`", "<p>&lt;script&gt;<code>&lt;b&gt;</code></p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
    ],
)
def test_descriptions_are_prose(source, html):
    assert prose(source).strip() == html


@pytest.mark.parametrize(
    ("value", "folded"),
    [(list(range(500)), "502 lines"), ("x" * 3000, "3,000 characters"), (list(range(20)), ""), ("short", "")],
)
def test_a_long_argument_is_folded(as_staff, value, folded):
    job = Job.objects.create(pk="long", task="demo.echo", kwargs={"text": value})
    page = as_staff.get(job.get_absolute_url()).content.decode()
    assert ('<details id="argument-1">' in page) is bool(folded)
    assert f"<summary>{folded}</summary>" in page or not folded


def test_commands_in_a_sentence_are_code_and_all_else_is_text():
    said = "Start `a <b>` or `c`; `d_e* is *none*"
    assert commands(said) == "Start <code>a &lt;b&gt;</code> or <code>c</code>; `d_e* is *none*"


def test_a_database_that_is_behind_says_so(as_staff, monkeypatch):
    from jobroom.events.consumer import Lag

    monkeypatch.setattr("jobroom.events.consumer.lag", lambda: Lag(17, 42.0))
    assert "17 events, 42 s behind" in text(as_staff.get("/"))


def test_pages_open_without_redis(as_staff, settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert "Redis does not answer" in text(as_staff.get("/jobs/"))


def test_the_page_of_a_job_leads_to_its_newest_trace(client, ada, settings):
    """Of a trace that someone keeps; whatever order its events are recorded in."""
    settings.JOBROOM = {**settings.JOBROOM, "TRACE_URL": "https://traces.example.org/trace/{trace_id}"}
    first, last = (f"00-{digit * 32}-{'b' * 16}-01" for digit in "ac")
    record(queued(1, traceparent=first), started(3, traceparent=last), queued(2, traceparent=first))
    Job.objects.update(owner=ada)
    client.force_login(ada)
    assert f'href="https://traces.example.org/trace/{"c" * 32}"' in text(client.get("/jobs/job/"))
    record(started(4, "b", traceparent=last[:-1] + "0"))
    assert "traces.example.org" not in text(client.get("/jobs/job/"))
    settings.JOBROOM = {**settings.JOBROOM, "TRACE_URL": ""}
    assert "<dt>Trace</dt>" not in text(client.get("/jobs/job/"))
