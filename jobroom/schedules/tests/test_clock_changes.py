"""What people read about runs in hours that clocks skip or repeat."""

import json
from datetime import UTC, datetime
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.schedules.services.coming_runs import at_clock_changes, upcoming

pytestmark = pytest.mark.django_db
BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2027, 3, 27, 12, tzinfo=BERLIN), datetime(2027, 10, 30, 12, tzinfo=BERLIN)


def row(text, zone=BERLIN, **fields):
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    crontab = CrontabSchedule(**dict(zip(names, text.split(), strict=True)), timezone=zone)
    return PeriodicTask(name="Nightly", task="demo.echo", crontab=crontab, date_changed=timezone.now(), **fields)


@pytest.mark.parametrize(
    ("now", "text", "notes"),
    [
        (SPRING, "30 2 * * *", ["02:30 does not exist on 28 March: runs at 03:30 CEST", ""]),
        (SPRING, "30 2,3 * * *", ["02:30 does not exist on 28 March: runs at 03:30 CEST and the run of that time is the same", ""]),
        (SPRING, "30 5 * * *", ["", ""]),
        (AUTUMN, "30 2 * * *", ["02:30 comes twice on 31 October: runs the first time, in CEST", ""]),
        (datetime(2027, 10, 31, 1, 45, tzinfo=BERLIN), "30 * * * *", [
            "02:30 comes twice on 31 October: this is the first, in CEST",
            "02:30 comes twice on 31 October: this is the second, in CET",
            "",
        ]),
        (datetime(2027, 3, 28, 1, 45, tzinfo=BERLIN), "30 * * * *", ["", ""]),
    ],
)  # fmt: skip
def test_the_notes_of_the_next_runs(now, text, notes):
    with time_machine.travel(now, tick=False):
        assert [run.note for run in upcoming(row(text), len(notes))] == notes


def test_every_zone_ahead_has_its_next_changes_and_those_without_have_none():
    with time_machine.travel(datetime(2026, 12, 1, 12, tzinfo=UTC), tick=False):
        nightly = row("30 2 * * *")
        shown = upcoming(nightly, 10)
        later = at_clock_changes(nightly, shown)
        assert [f"{run.due.astimezone(UTC):%m-%d %H:%M}" for run in later] == ["03-28 01:30", "10-31 00:30"]
        assert later[0].note.startswith("02:30 does not exist on 28 March")
        assert at_clock_changes(row("30 2 * * *", ZoneInfo("UTC")), []) == []
        assert at_clock_changes(row("30 2 * * *", enabled=False), []) == []
        assert len(at_clock_changes(row("* * * * *"), [])) == 6
        hourly = PeriodicTask(interval=IntervalSchedule(every=1, period="hours"), date_changed=timezone.now())
        assert [(run.zone, run.note) for run in upcoming(hourly, 2)] == [("", "")] * 2
        assert at_clock_changes(hourly, []) == []


def test_page_preview_api_and_command_show_both_zones_and_the_notes(client, capsys):
    with time_machine.travel(SPRING, tick=False):
        client.force_login(User.objects.create_superuser("boss"))
        kept = row("30 2 * * *", ZoneInfo("America/New_York"))
        kept.crontab.save()
        kept.crontab = kept.crontab
        kept.save()
        crontab = {"schedule-kind": "cron", "schedule-cron": "30 2 * * *"}
        stored = client.get("/schedules/preview/", {**crontab, "of": kept.pk}).content.decode()
        assert "2027-03-28 02:30:00 EDT there" in stored
        assert client.get("/schedules/preview/", {**crontab, "of": "99999"}).status_code == 404
        kept.crontab.timezone = BERLIN
        kept.crontab.save()
        shown = client.get(f"/schedules/{kept.pk}/").content.decode()
        assert "02:30 does not exist on 28 March: runs at 03:30 CEST" in shown
        assert "Later, when clocks change" in shown
        assert "02:30 comes twice on 31 October: runs the first time, in CEST" in shown
        data = client.get(f"/api/schedules/{kept.pk}/").json()
        assert data["upcoming"][0]["local"] == "2027-03-28 03:30:00 CEST"
        assert data["upcoming"][0]["note"].startswith("02:30 does not exist")
        assert data["clock_changes"][0]["note"].startswith("02:30 comes twice")
        out = StringIO()
        call_command("schedules", "next", "Nightly", stdout=out)
        assert "runs at 03:30 CEST" in out.getvalue().splitlines()[0]
        capsys.readouterr()
        call_command("schedules", "next", "Nightly", "--json")
        assert len(json.loads(capsys.readouterr().out)) == 12
