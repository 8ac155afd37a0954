"""A schedule that a person sets on the launch page."""

import json

import pytest
from celery import current_app
from django.contrib.auth.models import Group, User
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.arguments import WrongArguments
from jobroom.events import consumer
from jobroom.jobs import launches
from jobroom.jobs.models import TaskRule
from jobroom.jobs.recorder.parse import parse
from jobroom.jobs.tests.events import queued, record
from jobroom.schedules import services

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return User.objects.create_user("ada")


@pytest.fixture
def staff():
    return User.objects.create_superuser("grace")


def repeat(by, cron="0 6 * * 1-5", name="", **options):
    """Set a schedule as the launch page does; return its address."""
    arguments = options.pop("arguments", {"text": "hello"})
    return launches.repeat(task="demo.echo", arguments=arguments, by=by, cron=cron, name=name, **options)


def test_five_fields_become_a_schedule(staff):
    address = repeat(staff, name="Greet", queue="heavy")
    row = PeriodicTask.objects.get()
    assert address == f"/schedules/{row.pk}/"
    assert (row.name, row.task, row.queue, row.enabled) == ("Greet", "demo.echo", "heavy", True)
    assert (row.args, json.loads(row.kwargs)) == ("[]", {"text": "hello"})
    assert row.description == "Set by grace."
    crontab = row.crontab
    assert (crontab.minute, crontab.hour, crontab.day_of_week, str(crontab.timezone)) == ("0", "6", "1-5", "UTC")
    assert len(services.next_runs(row, 3)) == 3


@pytest.mark.parametrize(
    ("text", "every", "period"),
    [
        ("every 15 minutes", 15, "minutes"),
        (" Every  1 hour ", 1, "hours"),
        ("every day", 1, "days"),
        ("every 30 seconds", 30, "seconds"),
    ],
)
def test_every_so_often(staff, text, every, period):
    repeat(staff, text)
    interval = PeriodicTask.objects.get().interval
    assert (interval.every, interval.period) == (every, period)


def test_timings_are_shared(staff):
    for cron in ("*/5 * * * *", "*/5 * * * *", "every 5 minutes", "every 5 minutes"):
        repeat(staff, cron)
    assert (CrontabSchedule.objects.count(), IntervalSchedule.objects.count()) == (1, 1)
    names = set(PeriodicTask.objects.values_list("name", flat=True))
    assert names == {
        "demo.echo */5 * * * *", "demo.echo */5 * * * * 2", "demo.echo every 5 minutes", "demo.echo every 5 minutes 2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "There is nothing here. Write five fields such as 0 6 * * 1-5"),
        ("0 6 * *", "has 4 fields and not five"),
        ("61 6 * * *", "The minute “61” is not understood"),
        ("0 noon * * *", "The hour “noon” is not understood"),
        ("0 6 32 * *", "The day of month “32” is not understood"),
        ("0 6 * * funday", "The day of week “funday” is not understood"),
        ("0 6 31 2 *", "this date never comes"),
        ("every full moon", "write “every N seconds”"),
        ("every 0 minutes", "give a time from one second to 3650 days"),
        ("every 99999999 days", "give a time from one second to 3650 days"),
        ("every 999999999 hours", "give a time from one second to 3650 days"),
        ("\x00 * * * *", "The minute"),
    ],
)
def test_nonsense_names_the_field_and_the_remedy(staff, cron, said):
    with pytest.raises(WrongArguments) as wrong:
        repeat(staff, cron)
    assert said in wrong.value.errors["cron"][0]
    assert not PeriodicTask.objects.exists()


def test_a_taken_name_is_an_error_of_its_field(staff, monkeypatch):
    entries = {"Clear sessions": {"task": "common.tasks.clearsessions", "schedule": 60}}
    monkeypatch.setitem(current_app.conf, "beat_schedule", entries)  # no row of it yet
    repeat(staff, name="Greet")
    for name in ("Greet", "Clear sessions"):
        with pytest.raises(WrongArguments) as wrong:
            repeat(staff, name=name)
        assert f"There is a schedule called “{name}” already" in wrong.value.errors["schedule_name"][0]
    with pytest.raises(WrongArguments) as wrong:
        repeat(staff, name="x" * 201)
    assert "schedule_name" in wrong.value.errors
    assert PeriodicTask.objects.count() == 1


def test_everyone_is_led_to_the_page_of_the_schedule(ada, client):
    group = Group.objects.create(name="artists")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").launch.add(group)
    address = repeat(ada, name="A & B")
    assert PeriodicTask.objects.get().name == "A & B (ada)"
    client.force_login(ada)
    assert client.get(address).status_code == 200


def test_its_jobs_belong_to_who_set_it(staff, django_capture_on_commit_callbacks):
    redis.client().flushdb()
    repeat(staff, name="Greet")
    with django_capture_on_commit_callbacks(execute=True):
        job = services.run_now(PeriodicTask.objects.get())
    (event,) = consumer.unrecorded(job, 10)
    recorded = record(parse(event))
    assert (recorded.pk, recorded.owner, recorded.schedule) == (job, staff, "Greet")


def test_the_database_keeps_the_owner_of_a_schedule(ada):
    job = record(queued(1, schedule="Greet", owner=ada.pk))
    assert job.owner == ada
    assert record(queued(2, job="other", schedule="Greet", owner=ada.pk + 1000)).owner is None
    assert record(queued(3, job="third", schedule="Greet", owner=True)).owner is None


def test_a_project_whose_settings_name_no_schedules_saves_one_without_a_name(admin_client, settings):
    """As `startproject` writes settings; and what runs each hour is called so."""
    del settings.CELERY_BEAT_SCHEDULE
    given = {"schedule-kind": "every", "schedule-every": "1", "schedule-period": "hours", "text": "x"}
    assert admin_client.post("/schedules/new/?task=demo.echo", given).status_code == 303
    assert [row.name for row in PeriodicTask.objects.filter(task="demo.echo")] == ["demo.echo every hour"]
