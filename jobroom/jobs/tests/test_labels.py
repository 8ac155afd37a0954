"""Rows name what a job is about: names in place of ids, and no defaults that no one changed."""

import uuid
from typing import Annotated

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile

from image.celery import app
from jobroom.arguments import File
from jobroom.arguments.redaction import Secret
from jobroom.events import attachments
from jobroom.jobs import files, labels, launches
from jobroom.jobs.models import Job, Source
from jobroom.jobs.tests.events import queued, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


@pytest.fixture(autouse=True)
def task(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path

    @app.task(name="scratch.label", shared=False)
    def labelled(
        group: Group, file: File | None = None, faces: int = 5000, key: Annotated[str, Secret] = "", note: str = "x"
    ) -> None: ...

    yield labelled
    app.tasks.unregister("scratch.label")


def test_names_stand_for_rows_and_files_and_defaults_are_left_out(staff):
    group = Group.objects.create(name="Curators of sheep")
    stored = files.store(SimpleUploadedFile("bunny.ply", b"ply"), staff)
    sent = {"group": group.pk, "file": str(stored.pk), "faces": 100, "key": "s3cret", "note": "x"}
    job = launches.launch(task="scratch.label", arguments=sent, by=staff, source=Source.PAGE)
    assert job.label.startswith("group=Curators of sheep, file=bunny.ply, faces=100")
    assert "s3cret" not in job.label
    assert "note" not in job.label
    # The recorder, which hears of the ids alone, leaves the names.
    record(queued(1, job=job.pk, task=job.task, args=job.args, kwargs=job.kwargs))
    assert Job.objects.get().label == job.label


def test_what_was_sent_by_code_says_its_arguments(staff):
    job = record(queued(1, job="code", task="scratch.label", args=[7, None, 5000, "", "y"], kwargs={}))
    assert job.label == "group=7, note=y"
    unfit = record(queued(2, job="unfit", task="scratch.label", args=[], kwargs={"grupp": 7}))
    assert unfit.label == "grupp=7"
    unknown = record(queued(3, job="unknown", task="scratch.elsewhere", args=[7], kwargs={"a": 1}))
    assert unknown.label == "7, a=1"


def test_files_of_a_node_are_named_if_its_owner_may_see_them(staff, ada):
    stored = files.store(SimpleUploadedFile("bunny.ply", b"ply"), ada)
    sent = {"group": 7, "file": str(stored.pk)}
    mine = record(queued(1, job="mine", task="scratch.label", owner=ada.pk, args=[], kwargs=sent))
    assert mine.label == "group=7, file=bunny.ply"
    other = files.store(SimpleUploadedFile("other.ply", b"ply"), staff)
    sent = {"group": 7, "file": str(other.pk)}
    foreign = record(queued(2, job="foreign", task="scratch.label", owner=ada.pk, args=[], kwargs=sent))
    assert foreign.label == f"group=7, file={other.pk}"
    # What is said twice changes nothing.
    again = record(queued(1, job="mine", task="scratch.label", owner=ada.pk, args=[], kwargs=mine.kwargs))
    assert again.label == mine.label


def test_many_nodes_are_named_with_one_question_for_each_model(staff, django_assert_num_queries):
    stored = [files.store(SimpleUploadedFile(f"bunny{number}.ply", b"ply"), staff) for number in range(5)]
    jobs = [
        record(
            queued(
                n + 1,
                job=f"j{n}",
                task="scratch.label",
                owner=staff.pk,
                args=[],
                kwargs={"group": 7, "file": str(file.pk)},
            )
        )
        for n, file in enumerate(stored)
    ]
    wrong = record(
        queued(9, job="wrong", task="scratch.label", owner=staff.pk, args=[], kwargs={"group": 7, "file": "none"})
    )
    with django_assert_num_queries(1):
        assert sorted(labels.with_names(jobs, staff).values()) == [f"group=7, file=bunny{n}.ply" for n in range(5)]
    named = labels.with_names([*jobs, wrong], staff)
    assert named["j0"] == "group=7, file=bunny0.ply"
    assert named["wrong"] == "group=7, file=none", "what is no id takes the names of others along"


def test_many_ids_and_long_answers_are_counted(staff):
    @app.task(name="scratch.many", shared=False)
    def many(groups: list[Group], tables: list[File] = (), facts: dict[str, int] | None = None) -> None: ...  # type: ignore[assignment]

    try:
        group = Group.objects.create(name="Curators")
        stored = [files.store(SimpleUploadedFile(f"{n}.csv", b"1"), staff) for n in range(2)]
        facts = {f"measure {n}": n for n in range(9)}
        sent = {"groups": [group.pk], "tables": [str(file.pk) for file in stored], "facts": facts}
        job = launches.launch(task="scratch.many", arguments=sent, by=staff, source=Source.PAGE)
        assert job.label == "groups=1 row, tables=2 files, facts=9 fields"
        of_code = record(queued(1, job="code", task="scratch.many", args=[], kwargs=sent))
        assert of_code.label == job.label
        of_node = record(queued(2, job="node", task="scratch.many", owner=staff.pk, args=[], kwargs=sent))
        assert of_node.label == job.label
    finally:
        app.tasks.unregister("scratch.many")


def test_a_file_on_the_disk_alone_is_a_worker_s_and_no_one_else_s(staff):
    made = uuid.uuid4()
    attachments.keep(made, [b"just made"])
    assert files.load(str(made)).path.read_bytes() == b"just made"
    with files.read_by(staff), pytest.raises(ValueError, match="There is no file"):
        files.load(str(made))
