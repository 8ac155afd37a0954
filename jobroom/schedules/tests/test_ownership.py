"""Who owns a schedule, where it differs from the settings, and the choice between the two."""

import json
from io import StringIO

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask

from jobroom.audit.models import Act
from jobroom.schedules.exceptions import NotNow
from jobroom.schedules.services import merge_settings, ownership
from jobroom.schedules.tests.test_scheduler import TASK, _row

pytestmark = [pytest.mark.django_db, pytest.mark.sql]
ENTRY = {"task": TASK, "schedule": 60.0, "description": "Why"}


@pytest.fixture
def boss(client):
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


@pytest.fixture
def say(monkeypatch):
    """Let the settings say this of “Clean”, and beat start, unless it is not to."""

    def say(entry, *, start=True):
        entries = {"Clean": entry} if entry else {}
        monkeypatch.setitem(current_app.conf, "beat_schedule", entries)
        if start:
            merge_settings(entries)

    say(ENTRY)
    return say


def row():
    related = ("settings_schedule", "interval", "crontab", "solar", "clocked", "policy")
    return PeriodicTask.objects.select_related(*related).get(name="Clean")


def change(**fields):
    found = row()
    for name, value in fields.items():
        setattr(found, name, value)
    found.save()


def differing():
    return {one.field: (one.mine, one.settings, one.kept, one.follows) for one in ownership.of(row()).differences}


def test_what_a_person_changed_is_shown_and_the_settings_values_can_be_taken(say, boss):
    assert ownership.of(_row("Own")).owner == "database"
    assert (ownership.of(row()).owner, differing()) == ("settings", {})
    change(description="Mine", queue="heavy")
    say({**ENTRY, "description": "Newer"})
    assert differing() == {
        "queue": ("heavy", "null", False, False),
        "description": ("Mine", "Newer", False, False),
    }
    assert ownership.of(row()).to_choose
    said = ownership.take(row(), by=boss)
    assert said == "It is what the settings say again: queue, description."
    assert (row().description, row().queue, differing()) == ("Newer", None, {})
    act = Act.objects.get()
    assert (act.who, act.action, act.target) == ("boss", "took the settings' values of", "Clean")
    assert "description: Mine here, Newer in the settings" in act.outcome
    with pytest.raises(NotNow, match="does not differ"):
        ownership.take(row(), by=boss)


def test_another_time_is_taken_and_counts_from_now(say):
    say({**ENTRY, "schedule": 120.0}, start=False)
    assert differing() == {"timing": ("interval 0:01:00", "interval 0:02:00", False, True)}
    assert not ownership.of(row()).to_choose  # the next start of beat does it
    ownership.take(row(), by=None)
    assert row().interval.every == 2
    assert row().last_run_at is None


def test_what_is_kept_is_not_asked_again_until_the_settings_say_something_else(say, boss):
    change(description="Mine")
    assert ownership.keep(row(), by=boss) == "It stays as it is: description."
    assert differing() == {"description": ("Mine", "Why", True, False)}
    assert (ownership.of(row()).to_choose, ownership.of(row()).kept_by) == (False, "boss")
    say({**ENTRY, "description": "Third"})
    assert differing() == {"description": ("Mine", "Third", False, False)}
    assert ownership.of(row()).to_choose


def test_what_is_kept_before_beat_starts_is_not_overwritten_by_its_start(say):
    say({**ENTRY, "description": "Newer"}, start=False)
    ownership.keep(row(), by=None)
    say({**ENTRY, "description": "Newer"})
    assert row().description == "Why"
    assert differing() == {"description": ("Why", "Newer", True, False)}


def test_an_entry_that_left_the_settings_is_deleted_or_becomes_ones_own(say, boss):
    say(None)
    assert ownership.of(row()).owner == "gone"
    ownership.keep(row(), by=boss)
    assert (ownership.of(row()).owner, row().enabled, row().description) == ("database", False, "Why")
    say(None)
    assert ownership.of(row()).owner == "database"
    say(ENTRY)
    say(None)
    ownership.take(row(), by=boss)
    assert not PeriodicTask.objects.filter(name="Clean").exists()


def test_page_api_and_command(say, boss, client):
    change(description="<b>Mine</b>")
    kept = row()
    shown = client.get(f"/schedules/{kept.pk}/").content.decode()
    assert "It differs from the settings" in shown
    assert "&lt;b&gt;Mine&lt;/b&gt;" in shown
    assert "the settings, as “Clean”" in shown
    assert "differs from the settings" in client.get("/schedules/").content.decode()
    data = client.get(f"/api/schedules/{kept.pk}/").json()["ownership"]
    assert (data["owner"], data["entry"], data["differences"][0]["settings"]) == ("settings", "Clean", "Why")
    out = StringIO()
    call_command("schedules", "drift", stdout=out)
    assert out.getvalue() == "Clean: description is <b>Mine</b>, the settings say Why\n"
    address = f"/api/schedules/{kept.pk}/settle/"
    stale = client.post(address, {"choice": "settings", "seen": "other"}, content_type="application/json")
    assert stale.status_code == 400
    assert "something else by now" in json.dumps(stale.json())
    done = client.post(address, {"choice": "mine", "seen": data["version"]}, content_type="application/json")
    assert done.json() == {"outcome": "It stays as it is: description."}
    assert "kept by boss" in client.get(f"/schedules/{kept.pk}/").content.decode()
    version = ownership.of(row()).version
    assert client.post(f"/schedules/{kept.pk}/settle/", {"choice": "settings", "seen": version}).status_code == 303
    assert row().description == "Why"
    change(description="Mine")
    out = StringIO()
    call_command("schedules", "settle", "Clean", "--take", stdout=out)
    assert "what the settings say again: description" in out.getvalue()
    out = StringIO()
    call_command("schedules", "drift", stdout=out)
    assert out.getvalue() == "No schedule differs from the settings.\n"
    say(None)
    gone = client.post(f"/schedules/{kept.pk}/settle/", {"choice": "settings"})
    assert (gone.status_code, gone["Location"]) == (303, "/schedules/")
