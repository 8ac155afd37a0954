"""Failures by their cause: one fingerprint, one row that the recorder keeps, and what people do with it."""

import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobroom.arguments import WrongArguments
from jobroom.audit.models import Act
from jobroom.jobs import failure_actions, failures, receivers
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.failure_models import FailureCount, FailureGroup, GroupState
from jobroom.jobs.models import Job, State
from jobroom.jobs.recorder import writer
from jobroom.jobs.tests.events import event, finished, queued, started

pytestmark = [pytest.mark.django_db, pytest.mark.sql]
TRACE = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "{folder}/flock/tasks.py", line {line}, in count
    return read(path)
ValueError: x
"""


def failed(job, error="Row 3 of 'a.csv' is empty", at=1, *, folder="/srv/a", line=12, **data):
    """Return the events of a job that failed."""
    trace = TRACE.format(folder=folder, line=line)
    end = {"state": "failed", "error": error, "error_type": "ValueError", "traceback": trace, **data}
    return [
        queued(at, job=job),
        started(at + 1, f"x{job}", job=job),
        finished(at + 2, f"x{job}", job=job, **end),
    ]


def record(*stories):
    writer.write([event for story in stories for event in story])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Row 3 of 'a.csv' is empty", "Row 77 of 'b.csv' is empty"),
        ("No job 0f8fad5b-d9cb-469f-a165-70867728950e", "No job 7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        ("cannot open /srv/a/b.txt now", "cannot open /tmp/x now"),
        ("at 0x7f90a0a62b60, 1.5 s", "at 0x7f90a0a62c00, 22 s"),
        ("digest deadbeef01 differs", "digest 0123456789ab differs"),
    ],
)
def test_what_varies_makes_no_other_cause(one, other):
    record(failed("a", one, folder="/srv/a", line=12), failed("b", other, 10, folder="/opt/elsewhere", line=99))
    group = FailureGroup.objects.get()
    assert group.number == 2
    assert set(Job.objects.values_list("fingerprint", flat=True)) == {group.pk}


@pytest.mark.parametrize("other", [{"error": "Something else"}, {"error_type": "KeyError"}, {"traceback": ""}])
def test_another_error_type_place_or_sentence_is_another_cause(other):
    record(failed("a"), failed("b", at=10, **other))
    assert FailureGroup.objects.count() == 2


def test_the_recorder_keeps_a_row_with_first_last_tasks_and_workers():
    record(failed("a"))
    record(failed("b", at=20), failed("c", at=30))
    group = FailureGroup.objects.get()
    ends = Job.objects.in_bulk()
    assert (group.error_type, group.sentence, group.place) == ("ValueError", "Row … of … is empty", "tasks.py:count")
    assert (group.number, group.first_seen, group.last_seen) == (3, ends["a"].finished_at, ends["c"].finished_at)
    assert group.last_job == "c"
    assert failures.shares(group, "task") == [("add", 3)]
    assert sum(number for _, number in failures.shares(group, "worker")) == 3


def test_the_same_events_twice_count_once_and_in_any_order():
    stories = failed("a"), failed("b", at=10)
    record(*reversed(stories))
    record(*stories)
    group = FailureGroup.objects.get()
    assert (group.number, group.last_job) == (2, "b")
    assert group.first_seen == Job.objects.get(pk="a").finished_at


def test_jobs_that_have_not_failed_have_no_cause():
    record([queued(1), started(2), finished(3)])
    assert Job.objects.get().fingerprint == ""
    assert not FailureGroup.objects.exists()


def test_jobs_that_succeed_cost_no_query_more():
    record(failed("a"))
    with CaptureQueriesContext(connection) as seen:
        record([queued(10, job="b"), started(11, job="b"), finished(12, job="b")])
    assert [query["sql"] for query in seen if "failure" in query["sql"]] == []


def test_a_job_that_runs_again_failed_all_the_same_and_may_fail_twice():
    record(failed("a"))
    record([queued(10, job="a")])
    assert (Job.objects.get().state, Job.objects.get().fingerprint) == (State.QUEUED, "")
    assert FailureGroup.objects.get().number == 1
    _, _, end = failed("a")
    data = {**end.data, "at": end.data["at"] + 9, "execution": "second"}
    record([started(11, "second", job="a"), event(12, **{"event_type": data.pop("type"), **data})])
    assert FailureGroup.objects.get().number == 2


def test_an_end_that_is_corrected_moves():
    record([queued(0), started(1), finished(5, execution=None, state="lost", error="gone", error_type="WorkerLost")])
    assert FailureGroup.objects.get().number == 1
    record([finished(6, state="failed", error="Row 1", error_type="ValueError")])  # the worker had not vanished
    assert dict(FailureGroup.objects.values_list("error_type", "number")) == {"WorkerLost": 0, "ValueError": 1}
    assert list(FailureCount.objects.exclude(number=0).values_list("number", flat=True)) == [1]


def test_a_resolved_cause_comes_back_and_a_muted_one_does_not(staff):
    record(failed("a"))
    group = FailureGroup.objects.get()
    for state, then in ((GroupState.MUTED, GroupState.MUTED), (GroupState.RESOLVED, GroupState.OPEN)):
        resolved = Job.objects.get(pk="a").finished_at + timedelta(seconds=1)
        FailureGroup.objects.update(state=state, resolved_at=resolved)
        record(failed(f"b{state}", at=20 if state == GroupState.MUTED else 40))
        group.refresh_from_db()
        assert group.state == then
    assert group.came_back_at == group.last_seen


def test_what_failed_before_it_was_resolved_and_is_reported_late_does_not_bring_it_back(staff):
    record(failed("a", at=50))
    FailureGroup.objects.update(state=GroupState.RESOLVED, resolved_at=Job.objects.get().finished_at)
    record(failed("b", at=10))
    assert FailureGroup.objects.get().state == GroupState.RESOLVED


def test_a_list_costs_the_same_whatever_the_number_of_jobs(as_staff):
    def queries():
        with CaptureQueriesContext(connection) as seen:
            assert as_staff.get("/failures/").status_code == 200
        return [query["sql"] for query in seen if "failure" in query["sql"] or "jobroom_jobs_job" in query["sql"]]

    record(failed("a"))
    few = queries()
    record(*(failed(f"b{number}", at=10 + number) for number in range(30)))
    many = queries()
    assert len(many) == len(few)
    assert not any('FROM "jobroom_jobs_job"' in sql for sql in many)


def test_acts_are_kept_in_the_audit_and_refused_where_nothing_changes(staff):
    record(failed("a"))
    group = FailureGroup.objects.get()
    assert "again" in failure_actions.act(group=group, action="resolve", by=staff, reason="fixed")
    with pytest.raises(NotNow, match="resolved already"):
        failure_actions.act(group=group, action="resolve", by=staff)
    assert failure_actions.act(group=group, action="assign", by=staff, assignee="grace") == "Assigned to grace."
    with pytest.raises(WrongArguments, match="assignee: There is no active member of the staff"):
        failure_actions.act(group=group, action="assign", by=staff, assignee="nemo")
    with pytest.raises(NotNow, match="assigned to grace already"):
        failure_actions.act(group=group, action="assign", by=staff, assignee="grace")
    assert group.assigned_to == staff
    acts = Act.objects.order_by("pk").values_list("who", "action", "kind", "target", "reason")
    assert list(acts) == [
        ("grace", "resolved", "failure", group.pk, "fixed"),
        ("grace", "assigned", "failure", group.pk, ""),
    ]


def test_acting_needs_the_right(client):
    record(failed("a"))
    group = FailureGroup.objects.get()
    clerk = User.objects.create_user("clerk", is_staff=True)
    with pytest.raises(NotAllowed, match="Can mute"):
        failure_actions.act(group=group, action="mute", by=clerk)
    client.force_login(clerk)
    address = f"/failures/{group.pk}/act/"
    assert client.post(address, {"action": "mute"}).status_code == 403
    assert "Can mute, assign and resolve" in client.get(group.get_absolute_url()).content.decode()
    clerk.user_permissions.add(Permission.objects.get(codename="handle_failuregroup"))
    assert client.post(address, {"action": "mute"}).status_code == 303
    group.refresh_from_db()
    assert group.state == GroupState.MUTED


def test_the_pages_show_the_cause_and_its_jobs(as_staff):
    record(failed("a"), failed("b", "<b>other</b>", at=10))
    group = FailureGroup.objects.get(sentence__contains="Row")
    listed = as_staff.get("/failures/").content.decode()
    assert "Row … of … is empty" in listed
    assert "&lt;b&gt;other" in listed
    shown = as_staff.get(group.get_absolute_url()).content.decode()
    assert 'href="/jobs/a/"' in shown
    assert 'href="/jobs/b/"' not in shown
    assert "tasks.py:count" in shown
    assert "Row 3 of &#x27;a.csv&#x27; is empty" in shown, "the words of the last one"
    FailureGroup.objects.update(state=GroupState.MUTED)
    assert "Row …" not in as_staff.get("/failures/").content.decode()
    assert "Row …" in as_staff.get("/failures/?state=muted&task=add&q=row").content.decode()
    assert "No cause matches" in as_staff.get("/failures/?state=muted&task=other").content.decode()
    assert "Choose one of" in as_staff.post(f"/failures/{group.pk}/act/", {"action": "x"}, follow=True).content.decode()


def test_people_who_are_no_staff_see_nothing(as_ada):
    record(failed("a"))
    group = FailureGroup.objects.get()
    for address in ("/failures/", group.get_absolute_url()):
        assert as_ada.get(address).status_code == 403
    assert as_ada.get("/api/failures/").status_code == 403


def test_the_api_lists_shows_and_acts(as_staff):
    record(failed("a", at=int(timezone.now().timestamp()) - 1_700_000_000))
    (row,) = as_staff.get("/api/failures/").json()["results"]
    assert (row["number"], row["state"], row["last_job"]) == (1, "open", "a")
    shown = as_staff.get(row["url"]).json()
    assert shown["tasks"] == {"add": 1}
    assert len(shown["trend"]) == 14
    answer = as_staff.post(f"{row['url']}act/", {"action": "mute"}, content_type="application/json")
    assert (answer.status_code, answer.json()["failure"]["state"]) == (200, "muted")
    again = as_staff.post(f"{row['url']}act/", {"action": "mute"}, content_type="application/json")
    assert (again.status_code, "muted already" in again.content.decode()) == (409, True)
    wrong = as_staff.post(
        f"{row['url']}act/", {"action": "assign", "assignee": "nemo"}, content_type="application/json"
    )
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["assignee"])
    assert as_staff.get("/api/failures/").json()["results"] == []
    assert as_staff.get("/api/failures/nope/").status_code == 404


def test_the_trend_counts_days_and_old_counts_are_forgotten():
    now = timezone.now()
    group = FailureGroup.objects.create(id="a" * 32)
    for days, number in ((0, 3), (1, 2), (13, 1), (20, 7), (100, 5)):
        FailureCount.objects.create(group_id=group.pk, day=(now - timedelta(days=days)).date(), task="t", number=number)
    found = failures.trend([group])[group.pk]
    assert (found[-1], found[-2], found[0], sum(found)) == (3, 2, 1, 6)
    old = FailureGroup.objects.create(id="b" * 32, last_seen=now - timedelta(days=100))
    kept = FailureGroup.objects.create(id="c" * 32, last_seen=now - timedelta(days=100), state=GroupState.MUTED)
    assert failures.forget_old() == 1
    assert set(FailureGroup.objects.values_list("pk", flat=True)) == {group.pk, kept.pk}
    assert old.pk not in FailureGroup.objects.values_list("pk", flat=True)


def test_older_failures_get_their_cause_in_steps(monkeypatch):
    record(failed("a"), failed("b", at=10), failed("c", "Other words", at=20))
    long_ago = timezone.now() - 2 * failures.KEPT
    Job.objects.create(id="d", task="add", state=State.LOST, finished_at=long_ago)
    Job.objects.create(id="e", task="add", state=State.FAILED, finished_at=long_ago, answer_of="a")
    kept = sorted(FailureGroup.objects.values_list("pk", "number", "first_seen", "last_seen", "last_job"))
    counted = sorted(FailureCount.objects.values_list("group_id", "day", "task", "worker", "number"))
    FailureGroup.objects.all().delete()
    FailureCount.objects.all().delete()
    Job.objects.update(fingerprint="")
    monkeypatch.setattr(failures, "OLDER", 1)
    monkeypatch.setattr(failures, "OLDER_SECONDS", 0)
    left = Job.objects.filter(fingerprint="", answer_of="")
    for rest in (3, 2, 1, 0, 0):
        receivers._group_older()
        assert left.count() == rest
    assert sorted(FailureGroup.objects.values_list("pk", "number", "first_seen", "last_seen", "last_job")) == kept
    assert sorted(FailureCount.objects.values_list("group_id", "day", "task", "worker", "number")) == counted


def test_a_lost_job_without_words_has_a_cause():
    job = Job(task="add", state=State.LOST, error="", error_type="")
    assert failures.cause_of(job).error_type == "the worker vanished"


def command(*words):
    out = io.StringIO()
    call_command("failures", *words, stdout=out)
    return out.getvalue()


def test_the_command_lists_shows_and_acts(capsys, staff):
    record(failed("a"), failed("b", "<b>other</b>", at=10))
    group = FailureGroup.objects.get(sentence__contains="Row")
    assert "ValueError: Row … of … is empty" in command("list")
    shown = command("show", group.pk[:8])
    assert "add (1)" in shown
    assert "to no one" in shown
    assert command("assign", group.pk, "--to", "grace").strip() == "Assigned to grace."
    assert command("mute", group.pk, "--reason", "known").startswith("Muted")
    assert "Row" not in command("list")
    assert "Row" in command("list", "--state", "muted")
    command("list", "--state", "all", "--json")
    assert {row["state"] for row in json.loads(capsys.readouterr().out)} == {"open", "muted"}
    with pytest.raises(CommandError, match="muted already") as refused:
        command("mute", group.pk)
    assert refused.value.returncode == 1
    with pytest.raises(CommandError, match="There is no active member") as refused:
        command("assign", group.pk, "--to", "nemo")
    assert refused.value.returncode == 2
    who, action, reason = Act.objects.order_by("-pk").values_list("who", "action", "reason")[0]
    assert (who.endswith("(command line)"), action, reason) == (True, "muted", "known")
