"""Files: what comes in, what a job attaches, who gets them, and that they leave with their jobs."""

import hashlib
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import AsyncClient
from django.utils import timezone

from image.celery import app
from jobroom import events
from jobroom.events import attachments
from jobroom.events.consumer import Reader
from jobroom.jobs import files, retention
from jobroom.jobs.exceptions import TooLarge
from jobroom.jobs.models import Job, State, StoredFile, TaskRule
from jobroom.jobs.recorder import Recorder
from jobroom.testing import transactions

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path, empty_redis):
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def kept(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def upload(name="a.txt", content=b"abc", owner=None):
    return files.store(SimpleUploadedFile(name, content), owner)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.obj", "y.obj"),
        ("a\x00\x1b[31m.ply", "a[31m.ply"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("", "file"),
        ("..", "file"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_name_is_for_people_only(name, shown, folder):
    assert files.display_name(name) == shown


def test_content_is_written_before_the_transaction_of_its_row(folder, monkeypatch):
    written = transactions.noted(monkeypatch, attachments, "keep")
    with files.stored(SimpleUploadedFile("a.txt", b"abc"), None) as stored:
        assert transactions.is_open()
        assert stored.path.read_bytes() == b"abc"
    assert StoredFile.objects.get() == stored
    assert written == [False]


def test_a_file_is_kept_together_with_other_rows_or_not_at_all(folder):
    with pytest.raises(KeyError), files.stored(SimpleUploadedFile("a.txt", b"abc"), None):
        raise KeyError
    assert not StoredFile.objects.exists()
    assert kept(folder) == []


@pytest.mark.django_db(transaction=True)
def test_what_fails_after_the_commit_leaves_the_content(folder):
    def fail():
        raise KeyError

    with pytest.raises(KeyError), files.stored(SimpleUploadedFile("a.txt", b"abc"), None):
        transaction.on_commit(fail)
    assert kept(folder) == [StoredFile.objects.get().path]


def test_content_lies_under_its_id_and_is_hashed(folder):
    stored = upload("../x.png", PNG)
    assert stored.path == folder / stored.pk.hex[:2] / stored.pk.hex
    assert kept(folder) == [stored.path]
    assert (stored.size, stored.content_type) == (len(PNG), "image/png")
    assert stored.sha256 == hashlib.sha256(PNG).hexdigest()
    assert upload("fake.png", b"<html>").content_type == "application/octet-stream"


def test_too_much_leaves_nothing(folder, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_MAX_UPLOAD": 2}
    with pytest.raises(TooLarge, match="at most 2 bytes"):
        upload()
    assert kept(folder) == []
    assert not StoredFile.objects.exists()


def test_only_real_pictures_that_jobs_made_are_shown_in_place(as_ada, ada):
    uploaded = as_ada.get(upload("a.png", PNG, ada).get_absolute_url())
    assert uploaded["Content-Disposition"].startswith("attachment")
    assert b"".join(uploaded.streaming_content) == PNG
    stored = upload("a.png", PNG, ada)
    StoredFile.objects.filter(pk=stored.pk).update(uploaded=False, job_id="j")
    picture = as_ada.get(stored.get_absolute_url())
    assert (picture["Content-Type"], picture["Content-Disposition"].split(";")[0]) == ("image/png", "inline")
    assert b"".join(picture.streaming_content) == PNG
    fake = as_ada.get(upload("a.png", b"<script>", ada).get_absolute_url())
    assert fake["Content-Disposition"].startswith("attachment")
    assert b"".join(fake.streaming_content) == b"<script>"


def test_files_of_a_job_go_to_those_who_may_read_its_results(as_ada, ada, staff):
    job = Job.objects.create(id="j", task="demo.echo", owner=staff)
    stored = upload()
    StoredFile.objects.update(job_id=job.pk)
    assert as_ada.get(stored.get_absolute_url()).status_code == 404
    group = Group.objects.create(name="readers")
    TaskRule.objects.create(task="demo.echo").arguments.add(group)
    ada.groups.add(group)
    assert b"".join(as_ada.get(stored.get_absolute_url()).streaming_content) == b"abc"


def test_content_that_is_gone_is_not_found(as_staff):
    stored = upload()
    attachments.forget(stored.pk)
    assert as_staff.get(stored.get_absolute_url()).status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_a_server_streams_a_file(folder):
    owner = await User.objects.acreate(username="eve")
    stored = await sync_to_async(upload)("a", b"x" * 3_000_000, owner)
    client = AsyncClient()
    await client.aforce_login(owner)
    answer = await client.get(f"/files/{stored.pk}/")
    assert sum([len(part) async for part in answer.streaming_content]) == 3_000_000


def test_an_argument_names_a_file_only_for_those_who_may_have_it(ada, staff):
    stored = upload(owner=staff)
    assert files.load(str(stored.pk)).name == "a.txt"
    with files.read_by(ada), pytest.raises(ValueError, match="There is no file"):
        files.load(str(stored.pk))
    for nonsense in ("", "x", str(uuid.uuid4())):
        with pytest.raises(ValueError, match="Upload it first"):
            files.load(nonsense)


def test_what_a_job_attaches_is_in_the_database(folder, tmp_path):
    source = tmp_path / "made.png"
    source.write_bytes(PNG)

    @app.task(bind=True, name="scratch.attach", shared=False)
    def attach(self):
        return self.attach(source, "../picture.png")

    assert attach() is None  # outside a job
    attach.push_request(id="j", execution=type("Execution", (), {"id": "e", "cancelled": None})())
    try:
        file_id = attach.run()
    finally:
        attach.pop_request()
        app.tasks.pop("scratch.attach")
    Recorder(Reader()).step()
    stored = StoredFile.objects.get(job_id="j")
    assert (str(stored.pk), stored.size, stored.content_type) == (file_id, len(PNG), "image/png")
    assert stored.path.read_bytes() == source.read_bytes()


def test_a_file_that_is_reported_twice_is_there_once_and_nonsense_is_put_aside():
    attached = {"execution": "e", "file": str(uuid.uuid4()), "name": "n", "size": 1, "sha256": "", "content_type": ""}
    for change in ({}, {}, {"file": "x"}, {"size": -1}, {"size": "1"}):
        events.emit("file", "j", **attached | change)
    Recorder(Reader()).step()
    assert StoredFile.objects.count() == 1


def test_files_leave_with_their_jobs(folder):
    old = timezone.now() - timedelta(days=100)
    Job.objects.create(id="j", state=State.SUCCEEDED, created_at=old, finished_at=old)
    mine, other = upload(), upload()
    StoredFile.objects.filter(pk=mine.pk).update(job_id="j")
    assert retention.cleanup_jobs(days=1) == 1
    assert kept(folder) == [other.path]
    assert list(StoredFile.objects.all()) == [other]
