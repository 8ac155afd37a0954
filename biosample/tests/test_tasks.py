"""The task's own part: names, retries, and what an operator is notified of. Real workers: tests/acceptance/test_biosample.py."""

import pytest
from celery.exceptions import Retry

from biosample.exceptions import UsiUnavailable
from biosample.models import Submission
from biosample.tasks import FetchStatusTask
from biosample.tests.usi_server import sample
from image.celery import app
from jobroom.exceptions import JobFailed

pytestmark = pytest.mark.django_db


@pytest.fixture
def task():
    """The registered task inside a pretended attempt, so that it believes a worker runs it."""
    task = app.tasks["Fetch USI status"]
    contexts: list[None] = []

    def attempt(retries=0):
        task.push_request(id="job-1", retries=retries, called_directly=False, is_eager=False)
        contexts.append(None)
        return task

    yield attempt
    for _ in contexts:
        task.pop_request()


def test_it_is_registered_under_its_documented_name():
    task = app.tasks["Fetch USI status"]
    assert isinstance(task, FetchStatusTask)
    assert task.description == "Fetch biosample using USI API"


def test_it_runs_where_it_stands(usi_server, make_submission):
    make_submission()
    usi_server.add("sub-1", sample("animal_1", "Completed", accession="SAMEA1"))
    assert FetchStatusTask().run()["completed"] == 1


def test_without_account_and_submissions_it_succeeds_with_a_sentence():
    assert FetchStatusTask().run()["summary"] == "Nothing to fetch: no submission is submitted."


def test_without_account_it_fails_once_and_names_the_settings(make_submission):
    make_submission()
    with pytest.raises(JobFailed, match="USI_USER and USI_PASSWORD"):
        FetchStatusTask().run()
    assert FetchStatusTask().run()["summary"].startswith("Still: There is no account")
    assert "USI_USER" in Submission.objects.get().problem


def test_an_outage_is_tried_again_later_and_later(task, monkeypatch):
    pauses = []

    def retry(self, exc, countdown, max_retries):
        pauses.append(countdown)
        assert (type(exc), max_retries) == (UsiUnavailable, 3)
        return Retry("later", exc)

    monkeypatch.setattr(FetchStatusTask, "retry", retry)
    for retries in range(3):
        with pytest.raises(Retry):
            task(retries).wait_for_usi(UsiUnavailable("down"))
    assert [30 <= pauses[0] <= 37.5, 60 <= pauses[1] <= 75, 120 <= pauses[2] <= 150] == [True] * 3
    with pytest.raises(Retry):
        task(0).wait_for_usi(UsiUnavailable("down", retry_after=300))
    assert 300 <= pauses[3] <= 375


def test_a_lasting_outage_fails_once(task, make_submission):
    make_submission()
    with pytest.raises(JobFailed, match="does not answer"):
        task(3).wait_for_usi(UsiUnavailable("down"))
    assert task(3).wait_for_usi(UsiUnavailable("down"))["waiting"] == 1
