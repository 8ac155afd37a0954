"""Calls that ran in a batch, or that a later one took the place of, are shown as such in lists, and counted once."""

import json

import pytest
from django.test import Client

from jobroom.jobs import explanations, filters, terminal
from jobroom.jobs.models import HourTally, Job, State
from jobroom.jobs.recorder import writer
from jobroom.jobs.tests.events import event, finished, queued, started

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.usefixtures("empty_redis")]


@pytest.fixture
def changes():
    """Three calls in one batch, two of which a job ran, an answer from the cache, a superseded call, and a busy lock."""
    events = []
    members = {"run": {}, "b1": {"batch": True, "answer_of": "run"}, "b2": {"batch": True, "answer_of": "run"}}
    others = {
        "same": {"answer_of": "run"},
        "old": {"state": "skipped", "result": json.dumps("add superseded by job run"), "holder": "run"},
        "busy": {"state": "skipped", "result": json.dumps("already running"), "holder": "run"},
    }
    for number, (job, end) in enumerate({**members, **others}.items()):
        at = number * 10
        events += [
            queued(at, job=job),
            started(at + 1, f"x-{job}", job=job),
            finished(at + 5, f"x-{job}", job=job, **end),
        ]
    return writer.write(events)


def test_lists_say_who_did_the_work_with_one_query_for_each_kind(changes, django_assert_num_queries):
    jobs = list(Job.objects.without_bulk())
    with django_assert_num_queries(2):
        found = {pk: stead.word for pk, stead in explanations.instead_of(jobs).items()}
    assert found == {"b1": "In a batch", "b2": "In a batch", "same": "From cache", "old": "Superseded"}
    with django_assert_num_queries(0):
        assert explanations.instead_of([job for job in jobs if job.pk == "run"]) == {}


def test_the_page_shows_it_and_so_does_the_terminal(changes, staff):
    client = Client()
    client.force_login(staff)
    shown = client.get("/jobs/").content.decode()
    assert [shown.count(f"</svg>{word}</span>") for word in ("In a batch", "Superseded", "From cache")] == [2, 1, 1]
    assert terminal.story(Job.objects.get(pk="b1")) == "in a batch, which job run ran"


def test_a_batch_is_one_run_in_what_is_counted(changes, staff):
    # Each call is a job, and in one state; but one of them ran.
    assert {s: n.number for s, n in filters.counts(staff).items() if n.number} == {State.SUCCEEDED: 4, State.SKIPPED: 2}
    took = {change.job_id for change in changes if change.took is not None}
    assert took == {"run", "old", "busy"}, "the others took the time of another"


def test_the_hours_count_what_ran(changes):
    assert dict(HourTally.objects.values_list("state", "number")) == {"succeeded": 1, "skipped": 2}


def test_what_waits_for_its_end_is_not_answered_yet():
    writer.write(
        [queued(0, job="w"), started(1, "x", job="w"), event(2, "waiting", "w", execution="x", answer_of="run")]
    )
    assert explanations.instead_of(Job.objects.all()) == {}
