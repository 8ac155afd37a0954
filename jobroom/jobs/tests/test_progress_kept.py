"""The history keeps the newest progress of a job, whatever the order in which events arrive."""

import pytest

from jobroom.jobs.models import Job
from jobroom.jobs.tests.events import event, finished, queued, record, started

pytestmark = pytest.mark.django_db


def said(seq, fraction, **more):
    return event(seq, "progress", execution="a", fraction=fraction, current=seq, total=9, **more)


def test_the_newest_progress_is_kept_with_all_that_was_said():
    record(queued(1), started(2), said(3, 0.25, message="Quarter"), said(4, 0.5, message="Half", stage="Decimate"))
    kept = Job.objects.get().progress
    assert kept.pop("event"), "its place in the order"
    assert kept.pop("at"), "the moment at which it had come so far"
    assert kept == {
        "execution": "a",
        "fraction": 0.5,
        "current": 4,
        "total": 9,
        "message": "Half",
        "stage": "Decimate",
    }


def test_an_older_one_that_arrives_later_changes_nothing():
    record(queued(1), started(2), said(4, 0.5))
    record(said(3, 0.25))
    assert Job.objects.get().progress["fraction"] == 0.5


def test_it_stays_when_the_job_has_ended():
    record(queued(1), started(2), said(3, 1.0), finished(4))
    assert Job.objects.get().progress["fraction"] == 1.0
