"""Late before it is late: what the forecast says against deadlines, longer than usual, silent, and where each is shown."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobroom import events
from jobroom.arguments import WrongArguments
from jobroom.audit.models import Act
from jobroom.jobs import deadline_rules, lateness
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.models import Expectation, Job, Lateness, State
from jobroom.jobs.receivers import _late_jobs

pytestmark = [pytest.mark.django_db, pytest.mark.sql]
NOW = timezone.now()


@pytest.fixture(autouse=True)
def clean(empty_redis):
    global NOW  # noqa: PLW0603 — on a busy machine the first test runs minutes after the file was read
    NOW = timezone.now()
    cache.clear()


def ended(seconds, number=6, task="demo.echo"):
    for n in range(number):
        end = NOW - timedelta(hours=1 + n)
        Job.objects.create(
            id=f"e{n}-{seconds}", task=task, state=State.SUCCEEDED, created_at=end,
            started_at=end - timedelta(seconds=seconds), finished_at=end,
        )  # fmt: skip


def running(pk="r", spent=10.0, fraction=None, **fields):
    began = NOW - timedelta(seconds=spent)
    progress = {"execution": "x", "fraction": fraction} if fraction is not None else {}
    values = {"task": "demo.echo", "state": State.RUNNING, "queue": "default", "execution": "x", **fields}
    return Job.objects.create(id=pk, created_at=began, started_at=began, progress=progress, **values)


def expect(of="task", name="demo.echo", **times):
    return Expectation.objects.create(of=of, name=name, **times)


def said(job, after=0):
    lateness.look(NOW + timedelta(seconds=after))
    return lateness.sentences(job)


@pytest.mark.parametrize(
    ("left", "forecast", "before", "late"),
    [
        (-1, None, False, True),
        (10, None, False, False),
        (10, None, True, True),
        (10, (11, 20), False, True),
        (10, (9, 20), False, False),
        (10, (9, 20), True, True),
        (10, (5, 10), True, False),
    ],
)
def test_both_ends_of_the_forecast_count(left, forecast, before, late):
    assert lateness.will_miss(left, forecast, before=before) is late


def test_it_is_said_before_the_deadline_when_the_forecast_misses_it():
    ended(300)
    expect(within=200)
    (text,) = said(running())
    assert text.startswith("It will be late: its deadline is ")
    assert "It should end about" in text


def test_its_own_pace_takes_it_back():
    ended(300)
    expect(within=200)
    job = running(spent=100, fraction=0.1)
    assert said(job)
    Job.objects.filter(pk="r").update(progress={"execution": "x", "fraction": 0.9})
    assert said(job) == []


def test_without_a_forecast_only_a_deadline_that_has_passed_is_said():
    expect(within=200)
    job = running()
    assert said(job) == []
    Expectation.objects.update(within=5)
    assert said(job)[0].startswith("It is late: it should have ended by ")


def test_one_that_waits_is_late_where_its_start_and_its_length_say_so():
    ended(300)
    expect(within=200)
    waits = Job.objects.create(
        id="w", task="demo.echo", state=State.QUEUED, queue="default", created_at=NOW, queued_at=NOW
    )
    assert said(waits)[0].startswith("It will be late"), "even if it started now"
    Expectation.objects.update(within=5000)
    assert said(waits) != [], "no one knows when it starts, so it stays as it was"
    Lateness.objects.all().delete()
    assert said(waits) == []


def test_the_schedule_says_more_than_the_task():
    ended(300)
    expect(within=200)
    expect("schedule", "nightly", within=4000)
    assert said(running(schedule="nightly")) == []
    assert said(running("other"))


def test_longer_than_usual_by_history_or_by_what_was_said():
    ended(100)
    job = running(spent=190)
    assert said(job) == []
    assert said(job, after=20) == ["It runs longer than usual: more than 3 min 20 s."]
    expect(usual=60)
    assert said(job) == ["It runs longer than usual: more than 1 min 0 s."]


def test_silent_is_what_said_nothing_for_as_long_as_was_said():
    job = running(spent=500, last_event=events.sequence(f"{int((NOW - timedelta(seconds=90)).timestamp() * 1000)}-0"))
    assert said(job) == []
    expect(silent=60)
    assert said(job)[0].startswith("It has said nothing since ")
    Job.objects.update(last_event=events.sequence(f"{int(NOW.timestamp() * 1000)}-0"))
    assert said(job) == []


def test_what_has_ended_is_late_no_more_and_the_first_moment_is_kept():
    expect(within=5)
    job = running()
    lateness.look(NOW)
    row = Lateness.objects.get()
    lateness.look(NOW + timedelta(minutes=5))
    assert Lateness.objects.get() == row
    assert Lateness.objects.get().since == row.since
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, finished_at=NOW)
    lateness.look(NOW)
    assert not Lateness.objects.exists()


def test_a_look_costs_the_same_for_many_jobs():
    def queries():
        with CaptureQueriesContext(connection) as seen:
            lateness.look(NOW)
        return len(seen)

    ended(300)
    expect(within=200)
    running("a")
    lateness.look(NOW)
    few = queries()
    for n in range(20):
        running(f"b{n}")
    lateness.look(NOW)
    assert queries() == few


def test_page_list_overview_api_and_command_show_it(as_staff, capsys):
    expect(within=5)
    job = running(spent=600)
    running("in time", task="demo.add")
    lateness.look(NOW)
    assert "It is late: it should have ended by" in as_staff.get(job.get_absolute_url()).content.decode()
    listed = as_staff.get("/jobs/?late=late").content.decode()
    assert 'href="/jobs/r/"' in listed
    assert "badge-late" in listed
    assert 'href="/jobs/in%20time/"' not in listed
    assert 'href="?late=any">1 late' in as_staff.get("/jobs/").content.decode()
    assert "1 job late, or will be" in as_staff.get("/").content.decode()
    assert as_staff.get("/api/jobs/r/").json()["lateness"][0].startswith("It is late")
    assert [row["id"] for row in as_staff.get("/api/jobs/?late=any").json()["results"]] == ["r"]
    assert as_staff.get("/api/jobs/?late=never").status_code == 400
    call_command("jobs", "--late", "late")
    assert capsys.readouterr().out.startswith("r ")


def test_each_hears_of_their_own_jobs_alone(ada, as_ada, staff):
    expect(within=5)
    running("mine", owner=ada)
    running("theirs", owner=staff)
    lateness.look(NOW)
    assert _late_jobs(ada)[0][0].startswith("1 job late")
    assert _late_jobs(staff)[0][0].startswith("2 jobs late")
    listed = as_ada.get("/jobs/?late=any").content.decode()
    assert "/jobs/mine/" in listed
    assert "/jobs/theirs/" not in listed


def test_saying_it_needs_the_right_and_is_kept_in_the_audit(staff, client):
    clerk = User.objects.create_user("clerk", is_staff=True)
    with pytest.raises(NotAllowed, match="Can say when"):
        deadline_rules.add(of="task", name="demo.echo", times={"within": 5}, by=clerk)
    client.force_login(clerk)
    assert client.post("/deadlines/", {"of": "task", "name": "demo.echo", "within": "60"}).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="expect"))
    assert client.post("/deadlines/", {"of": "task", "name": "demo.echo", "within": "60"}).status_code == 302 + 1
    row = Expectation.objects.get()
    assert "it ends within 1 min 0 s of its turn" in client.get("/deadlines/").content.decode()
    wrong = client.post("/deadlines/", {"of": "task", "name": "demo.ech", "silent": "x"})
    assert (wrong.status_code, "no task called" in wrong.content.decode()) == (400, True)
    assert "Silent: Give whole seconds" in wrong.content.decode()
    with pytest.raises(NotNow, match="already"):
        deadline_rules.add(of="task", name="demo.echo", times={"within": 5}, by=staff)
    assert client.post(f"/deadlines/{row.pk}/drop/").status_code == 303
    acts = Act.objects.order_by("pk").values_list("who", "action", "kind", "target")
    assert list(acts) == [
        ("clerk", "expected", "expectation", "task demo.echo"),
        ("clerk", "expected no more", "expectation", "task demo.echo"),
    ]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"of": "x", "name": "demo.echo", "times": {"within": 1}}, "of"),
        ({"of": "schedule", "name": "demo.echo", "times": {"within": 1}}, "name"),
        ({"of": "task", "name": "demo.echo", "times": {}}, "within"),
        ({"of": "task", "name": "demo.echo", "times": {"usual": 0}}, "usual"),
    ],
)
def test_what_makes_no_sense_names_the_field(given, field):
    with pytest.raises(WrongArguments) as wrong:
        deadline_rules.add(**given, by=None)
    assert list(wrong.value.errors) == [field]


def test_over_rest_and_in_a_shell(as_staff, capsys):
    given = {"of": "task", "name": "demo.echo", "within": 60}
    made = as_staff.post("/api/deadlines/", given, content_type="application/json")
    assert (made.status_code, made.json()["within"]) == (201, 60)
    assert as_staff.post("/api/deadlines/", given, content_type="application/json").status_code == 409
    assert len(as_staff.get("/api/deadlines/").json()) == 1
    assert as_staff.delete(f"/api/deadlines/{made.json()['id']}/").status_code == 204
    assert as_staff.delete(f"/api/deadlines/{made.json()['id']}/").status_code == 404
    call_command("deadlines", "add", "task", "demo.echo", "--silent", "30", "--as", "grace")
    call_command("deadlines", "list", "--json")
    call_command("deadlines", "drop", "task", "demo.echo")
    written = capsys.readouterr().out
    assert json.loads(written[written.index("[") : written.rindex("]") + 1])[0]["silent"] == 30
    with pytest.raises(CommandError, match="Nothing is expected"):
        call_command("deadlines", "drop", "task", "demo.echo")
