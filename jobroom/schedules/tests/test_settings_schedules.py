"""Settings become rows, and never overwrite what an admin has changed."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from celery.schedules import crontab, schedule
from django.utils import timezone
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.schedules.models import SettingsSchedule
from jobroom.schedules.services import WITHDRAWN, differing_fields, entry_problems, merge_settings, policy, sentence

pytestmark = pytest.mark.django_db

TASK = "common.tasks.clearsessions"


def _entry(when=60, **more):
    return {"task": TASK, "schedule": when, **more}


def _row(name="Clean"):
    return PeriodicTask.objects.get(name=name)


def test_a_missing_row_is_created_with_all_that_the_entry_says():
    options = {"queue": "heavy", "priority": 3, "headers": {"a": "b"}, "expires": timedelta(minutes=5)}
    entry = _entry(crontab(minute="*/15"), args=[1], kwargs={"a": 2}, options=options, description="Why")
    assert merge_settings({"Clean": entry}) == {"Clean": "created"}
    row = _row()
    assert (row.task, row.enabled, row.one_off, row.description) == (TASK, True, False, "Why")
    assert (json.loads(row.args), json.loads(row.kwargs), json.loads(row.headers)) == ([1], {"a": 2}, {"a": "b"})
    assert (row.queue, row.priority, row.expire_seconds) == ("heavy", 3, 300)
    assert (row.crontab.minute, row.crontab.hour, str(row.crontab.timezone)) == ("*/15", "*", "UTC")
    assert differing_fields(row, row.settings_schedule) == []


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (1, "every second"),
        (900, "every 15 minutes"),
        (90.0, "every 90 seconds"),
        (0.5, "every 0.5 seconds"),
        (timedelta(days=2), "every 2 days"),
        (schedule(timedelta(hours=1)), "every hour"),
        (crontab(minute=0, hour=12), "at 12:00 (UTC)"),
        (crontab(minute=[30, 0]), "every 30 minutes (UTC)"),
        (clocked(datetime(2030, 1, 2, 3, 4, tzinfo=UTC)), "once, at 2030-01-02 03:04:00 UTC"),
    ],
)
def test_each_kind_of_schedule_becomes_a_row_once(when, words):
    merge_settings({"Clean": _entry(when)})
    assert sentence(_row()) == words
    assert merge_settings({"Clean": _entry(when)}) == {"Clean": "unchanged"}


def test_nothing_is_written_when_nothing_changed(django_assert_max_num_queries):
    entries = {f"Clean {number}": _entry(number + 1) for number in range(5)}
    merge_settings(entries)
    before = list(PeriodicTask.objects.values())
    # The rows in one, and a savepoint around it.
    with django_assert_max_num_queries(3):
        merge_settings(entries)
    assert list(PeriodicTask.objects.values()) == before


def test_a_row_that_no_one_touched_follows_the_settings():
    merge_settings({"Clean": _entry(60)})
    PeriodicTask.objects.update(last_run_at=timezone.now(), total_run_count=7)
    assert merge_settings({"Clean": _entry(crontab(hour=4, minute=0), args=[3])}) == {"Clean": "updated"}
    row = _row()
    assert row.interval is None
    assert (row.crontab.hour, row.args, row.total_run_count) == ("4", "[3]", 7)
    # What the old timing had missed must not be made up by the new one.
    assert row.last_run_at is None


def test_a_change_of_other_fields_keeps_the_count():
    merge_settings({"Clean": _entry(60)})
    moment = timezone.now()
    PeriodicTask.objects.update(last_run_at=moment)
    merge_settings({"Clean": _entry(60, description="New")})
    assert _row().last_run_at == moment


def test_what_the_admin_changed_stays_and_the_rest_follows():
    merge_settings({"Clean": _entry(60)})
    row = _row()
    row.interval = IntervalSchedule.objects.create(every=5, period="hours")
    row.enabled = False
    row.save()
    assert merge_settings({"Clean": _entry(120, kwargs={"x": 1})}) == {"Clean": "updated"}
    row = _row()
    assert (row.interval.every, row.interval.period, row.enabled, row.kwargs) == (5, "hours", False, '{"x": 1}')
    assert differing_fields(row, row.settings_schedule) == ["timing", "enabled"]
    assert merge_settings({"Clean": _entry(120, kwargs={"x": 1})}) == {"Clean": "unchanged"}


def test_an_edit_of_a_shared_crontab_counts_as_the_admins():
    merge_settings({"Clean": _entry(crontab(minute=5))})
    CrontabSchedule.objects.update(minute="6")
    merge_settings({"Clean": _entry(crontab(minute=7))})
    assert _row().crontab.minute == "6"


def test_a_renamed_row_is_still_the_settings_own():
    merge_settings({"Clean": _entry(60)})
    PeriodicTask.objects.update(name="Sweep")
    assert merge_settings({"Clean": _entry(120)}) == {"Clean": "updated"}
    assert list(PeriodicTask.objects.values_list("name", "interval__every")) == [("Sweep", 2)]


def test_a_name_taken_by_a_renamed_row_is_left_out(caplog):
    merge_settings({"Clean": _entry(60)})
    PeriodicTask.objects.update(name="Sweep")
    outcomes = merge_settings({"Clean": _entry(60), "Sweep": _entry(60)})
    assert outcomes == {"Clean": "unchanged"}
    assert "rename one of them" in caplog.text


def test_a_row_that_was_there_before_is_adopted_as_it_is():
    every = IntervalSchedule.objects.create(every=9, period="days")
    PeriodicTask.objects.create(name="Clean", task=TASK, interval=every)
    merge_settings({"Clean": _entry(60)})
    row = _row()
    assert row.interval == every
    assert differing_fields(row, row.settings_schedule) == ["timing"]


def test_a_deleted_row_comes_back():
    merge_settings({"Clean": _entry(60)})
    _row().delete()
    assert merge_settings({"Clean": _entry(60)}) == {"Clean": "created"}


def test_a_row_that_left_the_settings_is_disabled_and_says_so_and_returns():
    merge_settings({"Clean": _entry(60, description="Why")})
    assert merge_settings({}) == {"Clean": "withdrawn"}
    row = _row()
    assert not row.enabled
    assert row.description == f"Why\n{WITHDRAWN}"
    assert merge_settings({}) == {}
    assert merge_settings({"Clean": _entry(60, description="Why")}) == {"Clean": "updated"}
    row = _row()
    assert row.enabled
    assert row.description == "Why"
    assert not row.settings_schedule.gone


def test_a_withdrawn_row_that_the_admin_had_disabled_stays_so_when_it_returns():
    merge_settings({"Clean": _entry(60)})
    PeriodicTask.objects.update(enabled=False)
    merge_settings({})
    merge_settings({"Clean": _entry(60)})
    row = _row()
    assert not row.enabled
    assert row.description == ""


def test_a_withdrawn_row_that_the_admin_enables_again_is_his():
    merge_settings({"Clean": _entry(60)})
    merge_settings({})
    PeriodicTask.objects.update(enabled=True)
    assert merge_settings({}) == {}
    assert _row().enabled


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        None,
        {"task": TASK},
        {"schedule": 60},
        _entry("tomorrow"),
        _entry(True),
        _entry(0),
        _entry(-5),
        _entry(float("nan")),
        _entry(60, args=[object()]),
        _entry(60, kwargs=5),
        _entry(60, options={"expires": "soon"}),
    ],
)
def test_a_wrong_entry_is_logged_and_the_others_go_on(wrong, caplog):
    assert merge_settings({"Wrong": wrong, "Clean": _entry(60)}) == {"Clean": "created"}
    assert "CELERY_BEAT_SCHEDULE['Wrong'] is left out" in caplog.text
    assert list(entry_problems(wrong))


def test_an_entry_that_turns_wrong_keeps_its_row():
    merge_settings({"Clean": _entry(60)})
    assert merge_settings({"Clean": _entry("nonsense")}) == {}
    assert _row().enabled
    assert not SettingsSchedule.objects.get().gone


def test_the_policy_of_an_entry_follows_the_settings_until_it_is_changed():
    entry = {"task": TASK, "schedule": 60, "policy": {"overlap": "skip"}}
    merge_settings({"Clean": entry})
    assert policy.chosen(_row()) == {"overlap": "skip"}
    entry["policy"] = {"missed": "all", "missed_window": timedelta(hours=6)}
    assert merge_settings({"Clean": entry}) == {"Clean": "updated"}
    assert policy.chosen(_row()) == {"missed": "all", "missed_window": 21_600}
    policy.change(_row(), by=None, given={"overlap": "queue one"})
    entry["policy"] = {}
    merge_settings({"Clean": entry})
    row = _row()
    assert policy.values(row)["overlap"] == "queue one"
    assert differing_fields(row, SettingsSchedule.objects.get()) == ["policy"]


def test_an_entry_from_before_policies_takes_the_new_one():
    entry = {"task": TASK, "schedule": 60}
    merge_settings({"Clean": entry})
    record = SettingsSchedule.objects.get()
    del record.fields["policy"]
    record.save()
    merge_settings({"Clean": {**entry, "policy": {"overlap": "skip"}}})
    assert policy.chosen(_row()) == {"overlap": "skip"}


def test_a_wrong_policy_is_named_with_the_remedy():
    entry = {"task": TASK, "schedule": 60, "policy": {"overlapp": "skip"}}
    [(text, _)] = entry_problems(entry)
    assert "Did you mean “overlap”?" in text
