"""Vocabularies through real workers: loaded at the first start, replaced, asked, and kept for one at a time."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client

from biosample.models import Annotation, Submission
from jobroom import redis
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source, State
from jobroom.locks import ExclusiveLock
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker
from ontology import services
from ontology.models import Vocabulary
from ontology.tests.conftest import TINY
from ontology.tests.test_services import BOMB

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _fresh():
    redis.client().flushdb()
    Vocabulary.objects.all().delete()  # those of the migration are there in some runs only
    for name in ("breed", "organism_part", "species"):
        Vocabulary.objects.create(name=name, shipped=True)


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", email="ada@example.org", password="lovelace")


def start(task: str, by: User, **arguments: Any) -> str:
    with transaction.atomic():
        return launch(task=task, arguments=arguments, by=by, source=Source.API).pk


def finished(job_id: str) -> Job:
    def done() -> Job | None:
        return next((job for job in Job.objects.filter(pk=job_id) if job.is_finished), None)

    return wait_until(done, 120)  # type: ignore[return-value]  # it waits until there is one


def load(name: str, content: str, by: User, suffix: str = "obo") -> str:
    upload = SimpleUploadedFile(f"x.{suffix}", content.encode())
    with transaction.atomic():
        return services.upload(name=name, upload=upload, by=by, source=Source.PAGE).pk


def test_the_first_worker_loads_what_comes_with_the_project_and_answers(ada):
    job = start("ontology.annotate_text", ada, text="liver of a cow", vocabularies=["organism_part", "species"])
    with Recorder(), Worker(queues="default", concurrency=2):
        answer = finished(job)
        path = finished(start("ontology.path_to_root", ada, term="rumen", vocabulary="organism_part"))
    assert (answer.state, answer.error) == (State.SUCCEEDED, "")
    assert [m["term"]["id"] for m in answer.result["matches"]] == ["UBERON:0002107", "NCBITaxon:9913"]
    assert [step["name"] for step in path.result["paths"][0]] == [
        "rumen", "organ", "anatomical structure", "anatomical entity",
    ]  # fmt: skip
    assert set(Vocabulary.objects.values_list("version", "shipped", "error")) == {(1, True, "")}


def test_a_new_version_is_used_at_once_by_a_worker_that_runs(ada):
    with Recorder(), Worker(queues="default,heavy", concurrency=2) as worker:
        first = finished(load("tiny", TINY, ada))
        assert (first.state, first.result["terms"]) == (State.SUCCEEDED, 6)
        before = finished(start("ontology.annotate_values", ada, values=["hepar"], vocabulary="tiny"))
        finished(load("tiny", "format-version: 1.2\n\n[Term]\nid: Z:1\nname: hepar\n", ada))
        after = finished(start("ontology.annotate_values", ada, values=["hepar"], vocabulary="tiny"))
        bomb = finished(load("bomb", BOMB, ada, "owl"))
        assert worker.popen is not None
        assert worker.popen.poll() is None
    logged = [(job.result["version"], job.result["values"]["hepar"]["term"]["id"]) for job in (before, after)]
    assert logged == [(1, "X:2"), (2, "Z:1")]
    assert (bomb.state, bomb.attempts) == (State.FAILED, 1)
    assert bomb.error.startswith("The XML entity “a1” is made of others")
    assert Vocabulary.objects.get(name="bomb").error == bomb.error


def test_submissions_are_annotated_alone_with_a_vocabulary(ada):
    herd = Submission.objects.create(owner=ada, title="Herd")
    for number, breed in enumerate(["Holstein", "Holstien", "Maltese"]):
        herd.records.create(alias=f"a{number}", breed=breed, species="cattle", organism_part="livers")
    with Recorder(), Worker(queues="default", concurrency=2):
        with ExclusiveLock("annotate:breed"):
            busy = finished(start("Annotate records", ada, vocabulary="breed"))
            other = finished(start("Annotate records", ada, vocabulary="species"))
            everything = start("Annotate All", ada)
            # It works with the others and waits for this one.
            wait_until(lambda: Annotation.objects.filter(attribute="species").count() == 3, 60)
            again = finished(start("Annotate All", ada))
            assert not Annotation.objects.filter(attribute="breed").exists()
        done = finished(everything)
    assert (busy.state, again.state) == (State.SKIPPED, State.SKIPPED)
    assert other.result["species"]["found"] == 3
    assert done.state == State.SUCCEEDED
    assert {name: counts["found"] for name, counts in done.result.items()} == {
        "species": 0, "breed": 1, "organism_part": 3,
    }  # fmt: skip
    logged = [line.message for line in done.log_lines.order_by("pk")]
    assert any("breed “Holstien” has no term: Holstein Friesian" in line for line in logged)
    client = Client()
    client.force_login(ada)
    page = client.get(herd.get_absolute_url()).content.decode()
    for part in ("LOCALBREED:0101", "NCBITaxon:9913", "95%, by name, inflected", "several meanings"):
        assert part in page, part


def test_what_is_loaded_leaves_nothing_in_the_working_folder(ada, settings):
    with Recorder(), Worker(queues="heavy", concurrency=1):
        finished(load("tiny", TINY, ada))
        folder = Path(settings.VAR) / "ontology"
        wait_until(lambda: list(folder.iterdir()) == [], 60, "the job reports its end before it leaves its folder")
