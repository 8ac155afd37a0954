"""What kind of error ended a job, where an operator and an author look: page, API, `show`, a node's panel."""

import pytest
from django.core.management import call_command
from django.template import Context, Template

from jobroom.jobs import current_state, error_kinds
from jobroom.jobs.models import Attempt, Job, State
from jobroom.jobs.serializers import detail_of
from jobroom.jobs.tests.events import finished, queued, record, retrying, started

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]
BASES = ["lab.errors.ScaleAway", "lab.errors.Away", "OSError", "Exception"]
SENTENCE = "lab.errors.ScaleAway, a kind of lab.errors.Away, OSError"


def fail(**more):
    record(
        queued(1),
        started(2),
        retrying(3, error_type="ValueError", error_bases=["ValueError", "Exception"]),
        started(4, "b"),
        finished(5, "b", "failed", error="no answer", error_type="ScaleAway", error_bases=BASES, **more),
    )
    return Job.objects.get()


@pytest.mark.parametrize(
    ("bases", "kind", "sentence"),
    [
        (BASES, "ScaleAway", SENTENCE),
        (["ValueError", "Exception"], "ValueError", ""),
        (["KeyError", "LookupError", "Exception"], "KeyError", "KeyError, a kind of LookupError"),
        (["lab.errors.Broken", "Exception"], "Broken", "lab.errors.Broken"),
        (["Exception"], "Exception", ""),
        ([], "WorkerLost", ""),
    ],
)
def test_what_the_bases_say_beyond_the_short_name(bases, kind, sentence):
    assert error_kinds.sentence(bases, kind) == sentence


def test_an_operator_and_an_author_see_the_class_and_its_bases(as_staff, staff, capsys):
    job = fail()
    page = as_staff.get("/jobs/job/").content.decode()
    assert f"It is <code>{SENTENCE}</code>." in page
    assert as_staff.get("/api/jobs/job/").json()["content"]["error_bases"] == BASES
    call_command("show", "job")
    assert f"  kind      {SENTENCE}" in capsys.readouterr().out
    call_command("show", "job", "--json")
    assert '"lab.errors.Away"' in capsys.readouterr().out
    shown = Template("{% load jobroom_jobs %}{{ job|error_kind }}").render(Context({"job": job}))
    assert shown == SENTENCE
    assert detail_of(job, staff)["content"]["error_bases"] == BASES


def test_a_plain_error_has_no_second_line(as_staff):
    record(queued(1), started(2), finished(3, state="failed", error="x", error_type="ValueError", error_bases=["ValueError", "Exception"]))  # fmt: skip
    assert 'id="error-kind"' not in as_staff.get("/jobs/job/").content.decode()


def test_who_ended_as_another_job_has_the_kind_of_its_error():
    fail()
    follower = Job.objects.create(id="f", task="demo.echo", state=State.FAILED, error_type="ScaleAway", answer_of="job")
    assert error_kinds.bases_of(follower) == BASES


def test_an_end_that_no_one_raised_has_no_kind():
    job = fail()
    job.error_type = "WorkerLost"
    assert error_kinds.bases_of(job) == []


def test_what_is_not_recorded_yet_is_seen_too():
    fail()
    job = current_state.job("job")
    job.known_attempts = (Attempt(number=3, error_type="ScaleAway", error_bases=["lab.errors.ScaleAway"]),)
    assert error_kinds.bases_of(job) == ["lab.errors.ScaleAway"]
