"""Schedules at events of the sun."""

import datetime
import itertools
import json
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, SolarSchedule

from jobroom import redis
from jobroom.arguments import WrongArguments
from jobroom.schedules import services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.models import ScheduledRun
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import notation, sun
from jobroom.schedules.services.backfill_plan import Range, plan
from jobroom.schedules.services.due_times import due_times
from jobroom.schedules.services.next_runs import timing

pytestmark = pytest.mark.django_db(transaction=True)

TASK = "common.tasks.clearsessions"
BERLIN = "sunrise at 52.52, 13.405"
JUNE = datetime.datetime(2026, 6, 20, 12, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


@pytest.fixture
def chief(client):
    person = User.objects.create_superuser("chief")
    client.force_login(person)
    return person


def _row(line=BERLIN, last=JUNE, name="Sun"):
    return PeriodicTask.objects.create(name=name, task=TASK, last_run_at=last, **notation.read(line).fields())


def _at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def _look(app):
    scheduler = Scheduler(app)
    while scheduler.tick() == 0:
        pass


def test_sunrise_is_when_almanacs_say():
    """Berlin on 21 June 2026: 04:43 summer time; the tables of the U.S. Naval Observatory give whole minutes."""
    with time_machine.travel(JUNE, tick=False):
        first, second, *_ = services.next_runs(_row(), 10)
    assert abs(first - _at("2026-06-21T02:43")) < timedelta(seconds=90)
    assert timedelta(hours=23, minutes=59) < second - first < timedelta(hours=24, minutes=1)
    assert first.microsecond == 0


@pytest.mark.parametrize("event", sun.EVENTS)
def test_every_event_comes_once_a_day(event):
    with time_machine.travel(JUNE, tick=False):
        runs = services.next_runs(_row(f"{event} at 10, -20.5"), 10)
    gaps = [later - earlier for earlier, later in itertools.pairwise(runs)]
    assert len(runs) == 10
    assert all(timedelta(hours=23) < gap < timedelta(hours=25) for gap in gaps)


def test_where_the_sun_does_not_rise_the_next_run_is_months_ahead():
    with time_machine.travel(_at("2026-12-01T12:00"), tick=False):
        [first, *_] = services.next_runs(_row("sunrise at 78.22, 15.65", last=_at("2026-12-01T12:00")))
    assert _at("2027-02-10T00:00") < first < _at("2027-02-20T00:00")


def test_an_event_that_does_not_come_about_is_refused(monkeypatch):
    monkeypatch.setattr(sun, "_DAYS", 3)
    with time_machine.travel(_at("2026-12-01T12:00"), tick=False), pytest.raises(WrongArguments) as wrong:
        notation.read("sunrise at 78.22, 15.65")
    assert "does not come about at that place within a year" in wrong.value.errors["cron"][0]


def test_lines_are_read_and_written():
    found = notation.read(" Sunrise  at 52.520000, 13.4050 ").row
    assert sun.written(found) == BERLIN
    assert sun.sentence(found) == "at sunrise, at 52.52° N, 13.405° E"
    assert sun.sentence(notation.read("sunset at -33, -70").row) == "at sunset, at 33° S, 70° W"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sunrise", "Write an event, latitude and longitude"),
        ("sunrise at Berlin", "Write an event"),
        ("sunrise at 91, 0", "latitude from -90 to 90"),
        ("sunset at 0 181", "longitude from -180 to 180"),
    ],
)
def test_what_a_line_lacks_is_said(line, words):
    with pytest.raises(WrongArguments) as wrong:
        notation.read(line)
    assert words in wrong.value.errors["cron"][0]


def test_beat_sends_each_event_once_with_its_moment(app, sent):
    row = _row()
    with time_machine.travel(JUNE, tick=False):
        [due] = services.next_runs(row)
    for late in (
        timedelta(seconds=-1),
        timedelta(),
        timedelta(milliseconds=300),
        timedelta(seconds=2),
        timedelta(hours=1),
    ):
        with time_machine.travel(due + late, tick=False):
            _look(app)
    assert [headers["schedule_due"] for _, headers in sent] == [due.isoformat()]
    assert not ScheduledRun.objects.exists()


def test_missed_events_are_each_found_once():
    row = _row()
    found, older = due_times(row, timing(row), JUNE, JUNE + timedelta(days=30))
    assert (len(found), older) == (30, False)
    assert len(set(found)) == 30


def test_a_backfill_of_events():
    row = _row(last=timezone.now())
    assert plan(row, Range(_at("2026-06-01T00:00"), _at("2026-06-10T23:00"))).count == 10


class TestWithoutThePackage:
    @pytest.fixture(autouse=True)
    def _away(self, monkeypatch):
        monkeypatch.setattr(sun, "is_installed", lambda: False)

    def test_the_remedy_is_said_everywhere(self, client, chief):
        row = PeriodicTask.objects.create(
            name="Sun", task=TASK, solar=SolarSchedule.objects.create(event="sunrise", latitude=1, longitude=2)
        )
        with pytest.raises(WrongArguments, match=r"install django-jobroom\[solar\]"):
            notation.read(BERLIN)
        with pytest.raises(UnusableSchedule, match=r"install django-jobroom\[solar\]"):
            services.next_runs(row)
        assert "install django-jobroom[solar]" in client.get(f"/schedules/{row.pk}/").content.decode()
        fields = {
            "schedule-kind": "solar",
            "schedule-event": "sunrise",
            "schedule-latitude": "1",
            "schedule-longitude": "2",
        }
        assert "install django-jobroom[solar]" in client.get("/schedules/preview/", fields).content.decode()

    def test_beat_leaves_it_out_and_runs_the_others(self, app, sent):
        solar = SolarSchedule.objects.create(event="sunrise", latitude=1, longitude=2)
        PeriodicTask.objects.create(name="Sun", task=TASK, solar=solar)
        _look(app)
        assert sent == []


class TestFaces:
    def test_form_preview_and_edit(self, client, chief):
        fields = {
            "schedule-kind": "solar", "schedule-event": "sunset", "schedule-latitude": "52.52", "schedule-longitude": "-0.5",
        }  # fmt: skip
        shown = client.get("/schedules/preview/", fields).content.decode()
        assert "At sunset, at 52.52° N, 0.5° W" in shown
        assert shown.count("<li>") == 10
        made = client.post(f"/schedules/new/?task={TASK}", {**fields, "schedule-name": "Evening"})
        assert made.status_code == 303
        row = PeriodicTask.objects.get()
        assert notation.written(row) == "sunset at 52.52, -0.5"
        edit = client.get(f"/schedules/{row.pk}/edit/").content.decode()
        assert 'value="52.52"' in edit
        assert '<option value="solar" selected>' in edit
        kept = {**fields, "schedule-latitude": "52.520000", "schedule-name": "Evening"}
        PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=JUNE)
        assert client.post(f"/schedules/{row.pk}/edit/", kept).status_code == 303
        row.refresh_from_db()
        assert row.last_run_at == JUNE  # nothing of when it runs was changed
        bad = client.post(
            f"/schedules/new/?task={TASK}", {**fields, "schedule-latitude": "", "schedule-longitude": "200"}
        )
        assert bad.status_code == 422
        assert "Write the place" in bad.content.decode()

    def test_api_and_command(self, client, chief, capsys):
        sent = json.dumps({"task": TASK, "when": BERLIN, "name": "Sun"})
        made = client.post("/api/schedules/", sent, content_type="application/json").json()
        assert (made["when"], made["sentence"]) == (BERLIN, "at sunrise, at 52.52° N, 13.405° E")
        assert len(made["next_runs"]) == 10
        call_command("schedules", "next", "Sun")
        assert len(capsys.readouterr().out.splitlines()) == 10
