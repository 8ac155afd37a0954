"""Wrong entries of the settings are named before beat starts."""

import pytest
from celery.app import app_or_default
from celery.schedules import crontab
from django.core.checks import run_checks

# No database: the checks run before there are tables.

TASK = "common.tasks.clearsessions"


def _found(monkeypatch, entry):
    monkeypatch.setitem(app_or_default().conf, "beat_schedule", {"Mine": entry})
    return [(str(error.msg), str(error.hint)) for error in run_checks() if error.id == "jobroom_schedules.E001"]


def test_the_projects_own_schedules_are_right():
    assert [error for error in run_checks() if error.id == "jobroom_schedules.E001"] == []


def test_an_unknown_task_comes_with_the_nearest_name(monkeypatch):
    [(message, hint)] = _found(monkeypatch, {"task": "fetch usi status", "schedule": crontab()})
    assert message == "CELERY_BEAT_SCHEDULE['Mine']: “fetch usi status” is not a registered task."
    assert hint == "Did you mean “Fetch USI status”?"


@pytest.mark.parametrize(
    ("entry", "said", "hint"),
    [
        ({"task": TASK, "schedule": "noon"}, "its schedule is 'noon'", "crontab(...)"),
        ({"task": TASK}, "it needs a task's name and a schedule", "crontab(...)"),
        ({"task": TASK, "schedule": 5, "kwargs": {"x": 1}}, "“x” is not an argument of the task", "kwargs"),
        ({"task": TASK, "schedule": 5, "arguments": []}, "“arguments” is not an option", "“args”"),
        ({"task": TASK, "schedule": 5, "options": {"ques": "ml"}}, "“ques” is not an option", "Did you mean “queue”?"),
    ],
)
def test_a_wrong_entry_is_named_with_the_remedy(entry, said, hint, monkeypatch):
    [(message, found)] = _found(monkeypatch, entry)
    assert said in message
    assert hint in found
