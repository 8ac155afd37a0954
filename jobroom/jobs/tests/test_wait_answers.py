"""What the answer to a launch that waited says is what is recorded later, in every field."""

import uuid

import pytest

from jobroom import events
from jobroom.events import attachments
from jobroom.jobs import current_state, files
from jobroom.jobs.api.long_poll import Wait
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source, StoredFile
from jobroom.jobs.recorder.loop import Recorder

pytestmark = pytest.mark.django_db


@pytest.fixture
def ended(empty_redis, staff, settings, tmp_path):
    """Return a job that has attached a file and ended, and of which no recorder has heard yet."""
    settings.MEDIA_ROOT = tmp_path
    job = launch(task="demo.echo", arguments={"text": "hello"}, by=staff, source=Source.API, note="why", tags=["a"])
    file_id = uuid.uuid4()
    kept = attachments.keep(file_id, [b"a,b\n1,2\n"])
    about = {"task": job.task, "worker": "default@here"}
    events.emit("queued", job.pk, task=job.task, args=[], kwargs={"text": "hello"}, queue="default", owner=staff.pk)
    events.emit("started", job.pk, execution="one", **about)
    events.emit("progress", job.pk, execution="one", current=1, total=2, message="half")
    events.emit("file", job.pk, execution="one", file=str(file_id), name="table.csv", **kept)
    events.emit("finished", job.pk, execution="one", state="succeeded", result='"hello"', runtime=0.5, **about)
    return job


def test_every_field_of_the_answer_is_what_is_recorded(ended, staff):
    (answer, done), over = Wait(ended, 1.0, staff)._look()
    assert done
    assert over
    recorder = Recorder()
    while recorder.step():
        pass
    recorded = Wait(Job.objects.get(pk=ended.pk), 1.0, staff)._look()[0][0]
    for field in recorded:
        assert answer[field] == recorded[field], field
    assert set(answer) == set(recorded)
    content = answer["content"]
    assert [(file["name"], file["size"]) for file in content["files"]] == [("table.csv", 8)]
    assert content["result"] == "hello"
    assert (answer["state"], answer["note"] if "note" in answer else content["note"]) == ("succeeded", "why")
    assert StoredFile.objects.filter(job_id=ended.pk).count() == 1


def test_a_file_that_the_answer_names_can_be_fetched_at_once(ended, staff, as_staff):
    (answer, _), _ = Wait(ended, 1.0, staff)._look()
    (named,) = answer["content"]["files"]
    fetched = as_staff.get(named["url"])
    assert b"".join(fetched.streaming_content) == b"a,b\n1,2\n"
    for close in fetched._resource_closers:  # `close` itself would close the connection to the database as well
        close()
    assert files.visible(uuid.UUID(named["id"]), staff).job_id == ended.pk


def test_a_look_at_a_job_without_new_files_writes_nothing(ended, staff, django_assert_num_queries):
    recorder = Recorder()
    while recorder.step():
        pass
    job = current_state.job(ended.pk)
    with django_assert_num_queries(1):
        assert len(current_state.files_of(job)) == 1
