"""Pages, API and command of backfills."""

import json
import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobroom.jobs.models import Job, Source, State
from jobroom.schedules.models import Backfill, BackfillState, RunState, ScheduledRun

pytestmark = pytest.mark.django_db

TASK = "common.tasks.clearsessions"
JSON = {"content_type": "application/json"}


@pytest.fixture
def chief(client):
    person = User.objects.create_superuser("chief")
    client.force_login(person)
    return person


@pytest.fixture
def row():
    when = CrontabSchedule.objects.create(minute="0", hour="*", timezone="Asia/Tokyo")
    return PeriodicTask.objects.create(name="Hourly", task=TASK, crontab=when, last_run_at=timezone.now())


def _range(hours=5):
    """Return a range of full hours that have passed, by the clocks of the schedule, which are never changed: five hours have five."""
    end = timezone.now().astimezone(ZoneInfo("Asia/Tokyo")).replace(minute=30) - timedelta(hours=2)
    return {"since": f"{end - timedelta(hours=hours):%Y-%m-%dT%H:%M}", "until": f"{end:%Y-%m-%dT%H:%M}"}


def test_the_page_shows_the_count_first_and_then_makes_the_runs(client, chief, row):
    address = f"/schedules/{row.pk}/backfill/"
    assert "Backfill…" in client.get(f"/schedules/{row.pk}/").content.decode()
    page = client.get(address)
    assert "In the time zone Asia/Tokyo" in page.content.decode()
    given = {**_range(), "which": "missing", "at_once": 2}
    shown = client.get(address, given).content.decode()
    assert "5 runs would be made" in shown
    assert "Make 5 runs" in shown
    assert "not known: no job of the task has succeeded yet" in shown
    stale = client.post(address, {**given, "seen": 4})
    assert stale.status_code == 422
    assert "It would be 5 runs by now, and not 4" in stale.content.decode()
    assert not ScheduledRun.objects.exists()
    made = client.post(address, {**given, "seen": 5})
    assert made.status_code == 303
    found = Backfill.objects.get()
    page = client.get(made.url).content.decode()
    assert "0 % of 5 runs" in page
    assert "Backfill of 5 runs" in client.get(f"/schedules/{row.pk}/").content.decode()
    for action, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert client.post(f"{made.url}act/", {"action": action}).status_code == 303
        found.refresh_from_db()
        assert found.state == state
    again = client.post(f"{made.url}act/", {"action": "pause"}, follow=True).content.decode()
    assert "It is cancelled, so that cannot be done" in again
    assert "100 % of 5 runs" in client.get(made.url).content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"since": "soon"}, "This is no time"),
        ({"at_once": "101"}, "less than or equal to 100"),
        ({"since": "2020-01-01T00:00"}, "more than 20000 due times: choose 2022-"),
        ({"until": "2000-01-01T00:00"}, "after the beginning"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(client, chief, row, fields, words):
    given = {**_range(), "which": "missing", "at_once": 1, **fields}
    for answer in (
        client.get(f"/schedules/{row.pk}/backfill/", given),
        client.post(f"/schedules/{row.pk}/backfill/", given),
    ):
        assert answer.status_code == 422
        assert words in answer.content.decode()


def test_the_page_of_one_shows_what_became_of_its_jobs(client, chief, row):
    made = Backfill.objects.create(row=row, since=timezone.now(), until=timezone.now(), total=4, at_once=2, by="chief")
    for number, state in enumerate((State.SUCCEEDED, State.FAILED, State.RUNNING)):
        job = Job.objects.create(
            id=str(uuid.uuid4()), task=TASK, state=state, schedule=row.name, source=Source.SCHEDULE
        )
        due = timezone.now() - timedelta(hours=number)
        ScheduledRun.objects.create(row=row, due=due, state=RunState.SENT, job=job.pk, backfill=made)
    ScheduledRun.objects.create(row=row, due=timezone.now() - timedelta(days=1), state=RunState.HELD, backfill=made)
    numbers = client.get(f"/api/schedules/{row.pk}/backfills/{made.pk}/").json()["progress"]
    assert numbers == {
        "total": 4, "waiting": 1, "in_flight": 1, "succeeded": 1, "failed": 1, "other": 0, "skipped": 0,
    }  # fmt: skip
    page = client.get(f"/schedules/{row.pk}/backfills/{made.pk}/").content.decode()
    assert "50 % of 4 runs" in page
    assert page.count(">Job ") == 3


def test_api(client, chief, row):
    address = f"/api/schedules/{row.pk}/backfills/"
    plan = client.post(address, json.dumps({**_range(), "dry_run": True}), **JSON)
    assert (plan.status_code, plan.json()["count"], plan.json()["all"]) == (200, 5, 5)
    wrong = client.post(address, json.dumps({**_range(), "since": "soon"}), **JSON)
    assert list(wrong.json()["errors"]) == ["since"]
    wrong = client.post(address, json.dumps({**_range(), "at_once": 1000}), **JSON)
    assert list(wrong.json()["errors"]) == ["at_once"]
    assert client.post(address, json.dumps({**_range(), "seen": 3}), **JSON).status_code == 400
    made = client.post(address, json.dumps({**_range(), "seen": 5, "newest_first": True}), **JSON)
    assert (made.status_code, made.json()["total"], made.json()["state"]) == (201, 5, "running")
    assert [one["id"] for one in client.get(address).json()] == [made.json()["id"]]
    one = made.json()["url"]
    assert client.post(one, '{"action": "cancel"}', **JSON).json()["state"] == "cancelled"
    assert client.post(one, '{"action": "cancel"}', **JSON).status_code == 400
    assert client.post(one, '{"action": "burn"}', **JSON).status_code == 400


def test_a_schedule_of_others_has_no_backfills(client, row):
    made = Backfill.objects.create(row=row, since=timezone.now(), until=timezone.now())
    client.force_login(User.objects.create_user("ann"))
    for address in (f"/schedules/{row.pk}/backfill/", f"/schedules/{row.pk}/backfills/{made.pk}/"):
        assert client.get(address).status_code == 404
        assert client.get(f"/api/schedules/{row.pk}/backfills/{made.pk}/").status_code == 404


def test_command(row, capsys):
    def said(*words):
        call_command("backfill", *words)
        return capsys.readouterr().out.strip()

    given = [f"--{name}={value}" for name, value in _range().items()]
    assert "count: 5" in said("plan", "Hourly", *given)
    assert said("list", "Hourly") == "There is no backfill."
    with pytest.raises(CommandError, match="5 runs by now, and not 3"):
        said("start", "Hourly", *given, "--expect", "3")
    assert "5 runs, 2 at a time" in said("start", "Hourly", *given, "--at-once", "2")
    number = str(Backfill.objects.get().pk)
    assert "waiting: 5" in said("show", "Hourly", number)
    assert said("pause", "Hourly", number).startswith("It is paused")
    assert said("resume", "Hourly", number) == "It goes on."
    assert "5 runs are not made" in said("cancel", "Hourly", number)
    assert json.loads(said("list", "Hourly", "--json"))[0]["state"] == BackfillState.CANCELLED
    with pytest.raises(CommandError, match="--since: “soon” is no time"):
        said("plan", "Hourly", "--since=soon")
    with pytest.raises(CommandError, match="There is no backfill 99999"):
        said("show", "Hourly", "99999")
    with pytest.raises(CommandError, match="There is no schedule “Hurly”"):
        said("list", "Hurly")
