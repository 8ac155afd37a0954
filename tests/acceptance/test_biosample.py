"""“Fetch USI status” in a real worker, against a real local server that speaks the interface."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model

from biosample.models import Submission
from biosample.states import State
from biosample.tasks import FetchStatusTask
from biosample.tests.usi_server import PASSWORD, USER, UsiServer, sample
from jobroom.testing import wait_until
from jobroom.testing.processes import Worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


def pointing_at(usi: UsiServer) -> dict[str, str]:
    """Return the environment of a worker that asks `usi`, with short pauses."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.acceptance.usi_settings",
        "USI_URL": usi.url,
        "USI_AUTH_URL": usi.auth_url,
        "USI_USER": USER,
        "USI_PASSWORD": PASSWORD,
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture
def goats():
    owner = get_user_model().objects.create_user("olga", "olga@example.org")
    goats = Submission.objects.create(owner=owner, title="Goats", usi_name="goats")
    goats.submit()
    return goats


def texts(mails):
    found = [path.read_text() for path in mails.iterdir()] if mails.exists() else []
    return [text for text in found if "olga.goats@example.org" in text and "-----" in text]


def test_a_worker_brings_submissions_up_to_date_and_notifies_the_owner():
    owner = get_user_model().objects.create_user("olga", "olga.goats@example.org")
    for name in ("done", "wrong", "slow"):
        Submission.objects.create(owner=owner, title=f"Goats {name}", usi_name=name).submit()
    mails = Path(settings.VAR) / "mail"
    with UsiServer() as usi:
        usi.page_size = 2
        usi.add("done", *(sample(f"animal_{n}", "Completed", accession=f"SAMEA{n}") for n in range(5)))
        usi.add("wrong", sample("animal_1", errors={"Core": ["the taxon is missing"]}), status="Draft")
        usi.add("slow", sample("animal_1", "Processing"))
        usi.fail("/api/submissions/done", "status", status=503, headers={"Retry-After": "0"})
        with Worker(queues="default,email", env=pointing_at(usi)) as worker:
            first = FetchStatusTask().delay().get(timeout=60)
            second = FetchStatusTask().delay().get(timeout=60)
            (mail,) = wait_until(lambda: texts(mails), 60)  # it takes the queue of the mails
            log = worker.log
    assert first["summary"] == "3 checked: 1 completed, 1 need revision, 1 running. Mails to owners: 1."
    assert second["summary"] == "1 checked: 1 running."
    found = {submission.usi_name: State(submission.state) for submission in Submission.objects.all()}
    assert found == {"done": State.COMPLETED, "wrong": State.NEED_REVISION, "slow": State.SUBMITTED}
    accessions = Submission.objects.get(usi_name="done").records.values_list("accession", flat=True)
    assert sorted(accessions) == [f"SAMEA{n}" for n in range(5)]
    assert "the taxon is missing" in mail
    assert not any(secret in log + mail for secret in (PASSWORD, *usi.tokens))


def test_an_outage_is_ridden_out_by_trying_the_job_again(goats):
    with UsiServer() as usi:
        usi.add("goats", sample("animal_1", "Completed", accession="SAMEA1"))
        usi.fail("/auth", "reset", times=4)
        usi.fail("/api/", "status", status=503, times=4)
        with Worker(env=pointing_at(usi), concurrency=1):  # one process, so that the token is kept
            job = FetchStatusTask().delay()
            assert job.get(timeout=60)["completed"] == 1
    # Two attempts of the job met four faults each, the third one was answered.
    assert usi.asked("/auth") == 4 + 1
    goats.refresh_from_db()
    assert (goats.state, goats.problem) == (State.COMPLETED, "")


def test_a_run_killed_in_the_middle_leaves_nothing_that_stops_the_next(goats):
    with UsiServer() as usi:
        usi.add("goats", sample("animal_1", "Completed", accession="SAMEA1"))
        usi.fail("by-submission", "slow", body="60")
        with Worker(env=pointing_at(usi), name="first") as worker:
            FetchStatusTask().delay()
            wait_until(lambda: usi.asked("by-submission"), 60, "USI is asked")
            worker.kill()
        with Worker(env=pointing_at(usi), name="second"):
            wait_until(ran, 60, "a run that gets the lock")
    goats.refresh_from_db()
    assert goats.state == State.COMPLETED


def ran() -> dict[str, Any] | None:
    """Run the task once; return its result, None if the lock was busy."""
    answer = FetchStatusTask().delay().get(timeout=60)
    return None if answer == "Fetch USI status already running!" else answer
