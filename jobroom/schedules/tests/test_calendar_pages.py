"""Pages, API and command of calendars."""

import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobroom.audit.models import Act
from jobroom.schedules.models import Calendar
from jobroom.schedules.services import calendars, policy

pytestmark = pytest.mark.django_db

ICS = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20270501\r\n"
    "SUMMARY:Labour Day\r\nRRULE:FREQ=YEARLY;COUNT=2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
JSON = {"content_type": "application/json"}


@pytest.fixture
def chief(client):
    person = User.objects.create_superuser("chief")
    client.force_login(person)
    return person


def _made(days="2030-12-25 Christmas"):
    return calendars.add(by=None, given={"name": "Holidays", "days": days})


def _follower():
    when = CrontabSchedule.objects.create(minute="0", hour="6", timezone="UTC")
    row = PeriodicTask.objects.create(name="Clean", task="common.tasks.clearsessions", crontab=when)
    policy.change(row, by=None, given={"not_on": ["Holidays"]})
    return row


def test_one_is_made_changed_and_deleted_on_pages(client, chief):
    assert "No calendar yet" in client.get("/calendars/").content.decode()
    bad = client.post("/calendars/new/", {"name": "Holidays", "days": "2030-12-25\nChristmas"})
    assert bad.status_code == 422
    assert "Line 2, “Christmas” is not understood" in bad.content.decode()
    made = client.post("/calendars/new/", {"name": "Holidays", "days": "2030-12-25 Christmas"})
    assert made.status_code == 303
    page = client.get(made.url).content.decode()
    assert "2030-12-25 Christmas" in page
    found = Calendar.objects.get()
    assert found.changed_by == "chief"
    file = SimpleUploadedFile("days.ics", ICS.encode())
    fields = {"name": "Holidays", "days": found.days, "version": calendars.version(found), "file": file}
    assert client.post(f"/calendars/{found.pk}/edit/", fields).status_code == 303
    found.refresh_from_db()
    assert found.days == "2030-12-25 Christmas\n2027-05-01 Labour Day\n2028-05-01 Labour Day"
    assert client.post(f"/calendars/{found.pk}/delete/").status_code == 303
    assert not Calendar.objects.exists()
    assert list(Act.objects.order_by("at").values_list("action", flat=True)) == ["made", "changed", "deleted"]


def test_an_old_form_shows_both(client, chief):
    found = _made()
    version = calendars.version(found)
    calendars.change(found, by=None, given={"days": "2030-12-26"})
    fields = {"name": "Holidays", "days": "2030-12-24", "version": version}
    answer = client.post(f"/calendars/{found.pk}/edit/", fields)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "2030-12-26" in page
    assert "2030-12-24" in page
    found.refresh_from_db()
    assert found.days == "2030-12-26"


def test_the_page_of_a_schedule_marks_its_runs_and_its_policy_names_calendars(client, chief):
    _made("every Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    row = _follower()
    page = client.get(f"/schedules/{row.pk}/").content.decode()
    assert page.count("skipped: Holidays") == 10
    assert ">Holidays</a>" in page
    typed = {"of": row.pk, "schedule-kind": "cron", "schedule-cron": "30 7 * * *"}
    assert client.get("/schedules/preview/", typed).content.decode().count("skipped: Holidays") == 10
    assert "(skipped: Holidays)" in client.get("/admin/django_celery_beat/periodictask/").content.decode()
    form = client.get(f"/schedules/{row.pk}/policy/")
    assert form.content.decode().count('value="Holidays"') == 2
    fields = {
        "policy-overlap": "allow",
        "policy-missed": "once",
        "policy-closed": "move",
        "policy-not_on": ["Holidays"],
    }
    answer = client.post(f"/schedules/{row.pk}/policy/", {**fields, "version": form.context["version"]})
    assert answer.status_code == 303
    assert policy.values(PeriodicTask.objects.get())["closed"] == "move"
    used = client.post(f"/calendars/{Calendar.objects.get().pk}/delete/", follow=True).content.decode()
    assert "1 schedule follows it" in used
    api = client.get(f"/api/schedules/{row.pk}/").json()
    assert {run["closed"] for run in api["upcoming"]} == {"skipped: Holidays"}
    assert api["next_run"] is None


def test_a_calendar_that_there_is_not_can_be_taken_out_of_a_policy(client, chief):
    _made()
    row = _follower()
    Calendar.objects.all().delete()
    address = f"/schedules/{row.pk}/policy/"
    form = client.get(address)
    assert 'value="Holidays"' in form.content.decode()
    fields = {"policy-overlap": "allow", "policy-missed": "once", "policy-closed": "skip"}
    assert client.post(address, {**fields, "version": form.context["version"]}).status_code == 303
    assert policy.values(PeriodicTask.objects.get())["not_on"] == []
    assert "Run only on" not in client.get(address).content.decode()


def test_the_command_lists_followers_with_as_many_statements_as_for_one(capsys, django_assert_num_queries):
    _made()
    _follower()
    calendars.add(by=None, given={"name": "Weekend", "days": "every Sat, Sun"})
    with django_assert_num_queries(3):
        call_command("calendars", "list", "--json")
    found = {each["name"]: each["schedules"] for each in json.loads(capsys.readouterr().out)}
    assert found == {"Holidays": ["Clean"], "Weekend": []}


def test_calendars_of_many_schedules_cost_the_list_as_much_as_those_of_one(client, chief, django_assert_num_queries):
    _made()
    first = _follower()
    client.get("/schedules/")  # keeps the person's time zone
    with CaptureQueriesContext(connection) as one:
        client.get("/schedules/")
    for number in range(4):
        more = PeriodicTask.objects.create(name=f"More {number}", task=first.task, crontab=first.crontab)
        policy.change(more, by=None, given={"not_on": ["Holidays"]})
    with django_assert_num_queries(len(one)):
        assert client.get("/schedules/").content.decode().count("More ") >= 4


def test_others_read_and_see_only_their_own_schedules(client):
    _made()
    _follower()
    found = Calendar.objects.get()
    client.force_login(User.objects.create_user("ann"))
    page = client.get(f"/calendars/{found.pk}/").content.decode()
    assert "None that you see" in page
    assert "Edit…" not in page
    assert client.get("/calendars/new/").status_code == 403
    assert client.delete(f"/api/calendars/{found.pk}/").status_code == 403


def test_api(client, chief):
    made = client.post("/api/calendars/", json.dumps({"name": "Holidays", "days": ["2030-12-25"]}), **JSON)
    assert made.status_code == 201
    address = f"/api/calendars/{made.json()['id']}/"
    shown = client.get(address)
    stale = shown.headers["ETag"]
    changed = client.patch(address, json.dumps({"ics": ICS}), headers={"If-Match": stale}, **JSON)
    assert changed.json()["days"] == ["2030-12-25", "2027-05-01 Labour Day", "2028-05-01 Labour Day"]
    assert client.patch(address, '{"days": []}', headers={"If-Match": stale}, **JSON).status_code == 412
    wrong = client.patch(address, '{"days": ["soon"]}', **JSON)
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["days"])
    wrong = client.patch(address, '{"ics": "soon"}', **JSON)
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["file"])
    assert [each["name"] for each in client.get("/api/calendars/").json()] == ["Holidays"]
    row = _follower()
    wrong = client.patch(f"/api/schedules/{row.pk}/policy/", '{"only_on": ["Hollidays"]}', **JSON)
    assert wrong.json()["errors"] == {"only_on": ["There is no calendar “Hollidays”. Did you mean “Holidays”?"]}
    refused = client.delete(address)
    assert refused.status_code == 400
    client.patch(f"/api/schedules/{row.pk}/policy/", '{"not_on": []}', **JSON)
    assert client.delete(address, headers={"If-Match": stale}).status_code == 412
    assert client.delete(address, headers={"If-Match": client.get(address).headers["ETag"]}).status_code == 204


def test_command(tmp_path, monkeypatch, capsys):
    def said(*words):
        call_command("calendars", *words)
        return capsys.readouterr().out.strip()

    assert said("list") == "There is no calendar."
    assert said("set", "Holidays", "--days", "2030-12-25", "every Sat") == "“Holidays” is made."
    assert said("show", "Holidays") == "2030-12-25\nevery Sat"
    file = tmp_path / "days.ics"
    file.write_text(ICS)
    assert said("set", "Holidays", "--file", str(file), "--rename", "Feasts") == "Changed: name, days."
    assert "2027-05-01 Labour Day" in said("show", "Feasts")
    monkeypatch.setattr("sys.stdin", io.StringIO("2031-01-01\n"))
    said("set", "Feasts", "--file", "-")
    assert json.loads(said("list", "--json"))[0]["days"] == ["2031-01-01"]
    with pytest.raises(CommandError, match="There is no calendar “Holidays”"):
        said("show", "Holidays")
    with pytest.raises(CommandError, match="cannot be read"):
        said("set", "Feasts", "--file", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="days: Line 1"):
        said("set", "Feasts", "--days", "soon")
    User.objects.create_user("ann")
    with pytest.raises(CommandError, match="Only staff"):
        said("delete", "Feasts", "--as", "ann")
    assert said("delete", "Feasts") == "“Feasts” is deleted."


def test_policy_by_command_and_the_marked_next_runs(capsys):
    _made("every Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    _follower()
    call_command("schedules", "policy", "Clean", "--not-on")
    assert "not_on: none" in capsys.readouterr().out
    call_command("schedules", "policy", "Clean", "--not-on", "Holidays", "--closed", "move")
    assert "not_on: Holidays" in capsys.readouterr().out
    call_command("schedules", "next", "Clean")
    assert capsys.readouterr().out.count("skipped: Holidays") == 10


def _policy():
    return policy.chosen(PeriodicTask.objects.get())


def test_a_new_schedule_chooses_its_calendars(client, chief):
    """On its own form, with a preview that marks the runs; without a calendar nothing is asked."""
    address = "/schedules/new/?task=common.tasks.clearsessions"
    assert "schedule-not_on" not in client.get(address).content.decode()
    _made("every Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    assert client.get(address).content.decode().count('value="Holidays"') == 2
    typed = {"schedule-kind": "cron", "schedule-cron": "0 6 * * *", "schedule-closed": "skip"}
    assert "skipped" not in client.get("/schedules/preview/", typed).content.decode()
    typed["schedule-not_on"] = "Holidays"
    assert client.get("/schedules/preview/", typed).content.decode().count("skipped: Holidays") == 10
    both = client.post(address, {**typed, "schedule-only_on": "Holidays"})
    assert both.status_code == 422
    assert "“Holidays” cannot be both: take it out of one." in both.content.decode()
    assert not PeriodicTask.objects.exists()
    assert client.post(address, {**typed, "schedule-closed": "move"}).status_code == 303
    assert _policy() == {"not_on": ["Holidays"], "closed": "move"}


def test_a_launch_that_runs_repeatedly_chooses_its_calendars(client, chief):
    address = "/tasks/common.tasks.clearsessions/"
    assert "launch-repeat_not_on" not in client.get(address).content.decode()
    _made()
    assert client.get(address).content.decode().count('name="launch-repeat_') == 3
    typed = {"launch-when": "repeat", "launch-cron": "0 6 * * *", "launch-repeat_closed": "skip"}
    wrong = {**typed, "launch-repeat_not_on": "Holidays", "launch-repeat_only_on": "Holidays"}
    both = client.post(address, wrong)
    assert both.status_code == 422
    assert "“Holidays” cannot be both: take it out of one." in both.content.decode()
    assert client.post(address, {**typed, "launch-repeat_only_on": "Holidays"}).status_code == 303
    assert _policy() == {"only_on": ["Holidays"]}


def test_api_and_command_make_a_schedule_with_its_policy(client, chief, capsys):
    _made()
    what = {"task": "common.tasks.clearsessions", "when": "0 6 * * *", "policy": {"not_on": ["Hollidays"]}}
    wrong = client.post("/api/schedules/", what, **JSON)
    assert wrong.status_code == 400
    assert "There is no calendar “Hollidays”. Did you mean “Holidays”?" in wrong.content.decode()
    assert "policy" in str(wrong.json()["errors"])
    assert not PeriodicTask.objects.exists()
    what["policy"] = {"not_on": ["Holidays"], "jitter": 60}
    made = client.post("/api/schedules/", what, **JSON)
    assert made.status_code == 201, made.json()
    assert made.json()["policy"]["not_on"] == ["Holidays"]
    PeriodicTask.objects.all().delete()
    words = ["Sweep", "--task", "common.tasks.clearsessions", "--when", "0 6 * * *", "--not-on", "Holidays"]
    with pytest.raises(CommandError, match="--as USER"):
        call_command("schedules", "make", *words)
    with pytest.raises(CommandError, match="Hollidays"):
        call_command("schedules", "make", *words[:-1], "Hollidays", "--as", "chief")
    call_command("schedules", "make", *words, "--as", "chief")
    assert "The schedule is set: /schedules/" in capsys.readouterr().out
    assert _policy() == {"not_on": ["Holidays"]}
