"""Schedules that end at a time: page, API, command and settings."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.audit.models import Act
from jobroom.schedules.exceptions import InvalidEntry
from jobroom.schedules.models import SettingsSchedule
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import ends, settings_schedules

# Beat closes connections between its looks, which no test transaction would survive.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "demo.echo"
SOON = datetime(2030, 1, 1, 10, 0, 30, tzinfo=UTC)
JSON = {"content_type": "application/json"}


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


@pytest.fixture
def chief(client):
    user = User.objects.create_superuser("chief")
    client.force_login(user)
    return user


def _row(**fields):
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    return PeriodicTask.objects.create(name="Shear", task=TASK, kwargs='{"text": "x"}', interval=every, **fields)


def _form(**fields):
    return {"schedule-kind": "every", "schedule-every": "1", "schedule-period": "hours", "text": "x", **fields}


def test_page(client, chief):
    made = client.post(f"/schedules/new/?task={TASK}", _form(**{"schedule-expires": "2030-01-01T10:00:30"}))
    assert made.status_code == 303
    row = PeriodicTask.objects.get()
    assert row.expires == SOON
    assert "Ends" in client.get(made["Location"]).content.decode()
    address = f"{made['Location']}edit/"
    shown = client.get(address).content.decode()
    assert 'value="2030-01-01T10:00:30"' in shown
    [version] = re.findall(r'name="version" value="([^"]+)"', shown)
    wrong = client.post(address, _form(**{"schedule-expires": "2020-01-01T10:00", "version": version}))
    assert wrong.status_code == 422
    assert "Give a time to come" in wrong.content.decode()
    assert 'value="2020-01-01T10:00' in wrong.content.decode()
    assert client.post(address, _form(version=version)).status_code == 303
    assert PeriodicTask.objects.get().expires is None
    # Others see both when it was changed meanwhile.
    stale = client.post(address, _form(**{"schedule-expires": "2031-01-01T10:00", "version": version}))
    assert stale.status_code == 409


def test_what_has_ended_may_be_edited_without_another_end(client, chief):
    row = _row(expires=datetime(2020, 1, 1, 10, 0, 30, 123, tzinfo=UTC))
    address = f"/schedules/{row.pk}/edit/"
    [version] = re.findall(r'name="version" value="([^"]+)"', client.get(address).content.decode())
    sent = _form(**{"schedule-expires": "2020-01-01T10:00:30", "schedule-description": "wool", "version": version})
    assert client.post(address, sent).status_code == 303
    row.refresh_from_db()
    assert (row.description, row.expires.microsecond) == ("wool", 123)


def test_api(client, chief):
    given = {"task": TASK, "arguments": {"text": "x"}, "when": "every 1 hours", "expires": "2030-01-01T10:00:30Z"}
    made = client.post("/api/schedules/", given, **JSON)
    assert (made.status_code, made.json()["expires"]) == (201, "2030-01-01T10:00:30Z")
    address = f"/api/schedules/{made.json()['id']}/"
    assert client.patch(address, {"description": "wool"}, **JSON).json()["expires"] == "2030-01-01T10:00:30Z"
    wrong = client.patch(address, {"expires": "2020-01-01T10:00:00Z"}, **JSON)
    assert wrong.status_code == 400
    assert "Give a time to come" in wrong.json()["errors"]["expires"][0]
    assert client.patch(address, {"expires": None}, **JSON).json()["expires"] is None
    assert client.post("/api/schedules/", {**given, "expires": "2020-01-01T10:00:00Z"}, **JSON).status_code == 400
    assert PeriodicTask.objects.count() == 1


def test_command(capsys, chief):
    row = _row()
    call_command("schedules", "end", "Shear", "--at", SOON.isoformat(), "--as", "chief")
    assert "It ends at 2030-01-01 10:00:30 UTC." in capsys.readouterr().out
    assert Act.objects.get().outcome == "It ends at 2030-01-01 10:00:30 UTC."
    with pytest.raises(CommandError, match="expires: Give a time to come"):
        call_command("schedules", "end", "Shear", "--at", "2020-01-01T10:00")
    call_command("schedules", "end", "Shear", "--never")
    row.refresh_from_db()
    assert row.expires is None


def test_settings():
    entry = {"task": "common.tasks.clearsessions", "schedule": 3600, "expires": SOON}
    assert settings_schedules.merge_settings({"Shear": entry}) == {"Shear": "created"}
    row = PeriodicTask.objects.get()
    assert row.expires == SOON
    assert settings_schedules.merge_settings({"Shear": entry}) == {"Shear": "unchanged"}
    later = SOON + timedelta(days=1)
    assert settings_schedules.merge_settings({"Shear": {**entry, "expires": later}}) == {"Shear": "updated"}
    ends.change(PeriodicTask.objects.get(), by=None, expires=None)
    settings_schedules.merge_settings({"Shear": entry})
    assert PeriodicTask.objects.get().expires is None  # an edit stays
    record = SettingsSchedule.objects.select_related("row").get()
    assert settings_schedules.differing_fields(record.row, record) == ["expires"]
    for wrong, said in (({"expires": 60}, "write a datetime"), ({"options": {"expires": 5}}, "only one of its end")):
        with pytest.raises(InvalidEntry, match=said):
            settings_schedules.read({**entry, **wrong})


def test_what_had_ended_makes_nothing_up_when_it_goes_on(app, sent):
    now = timezone.now()
    row = _row(last_run_at=now - timedelta(days=2), expires=now - timedelta(days=1))
    ends.change(row, by=None, expires=SOON)
    scheduler = Scheduler(app)
    while scheduler.tick() == 0:
        pass
    assert sent == []
    assert list(scheduler.schedule) == [row.pk]


def test_only_one_of_the_two_expiries_can_be_set(client, chief):
    row = _row(expire_seconds=60)
    wrong = client.patch(f"/api/schedules/{row.pk}/", {"expires": "2030-01-01T10:00:00Z"}, **JSON)
    assert "only one of the two can be set" in wrong.json()["errors"]["expires"][0]
