"""What is uploaded is checked and kept; what is made replaces what was made before."""

import hashlib
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from assets import services
from assets.exceptions import AssetFailed, Refused
from assets.models import Asset, AssetResult, Kind
from jobroom.events import attachments
from jobroom.jobs.models import StoredFile
from jobroom.testing import transactions


@pytest.fixture(autouse=True)
def _commits(db):
    return None


def keep(asset, tmp_path, *names, kind=Kind.PICTURE, content=b"x", job_id="j1"):
    made = []
    for name in names:
        path = tmp_path / name
        path.write_bytes(content)
        made.append(services.Made(path, f"cube-{name}", view=path.stem if kind == Kind.PICTURE else ""))
    return services.replace_results(asset=asset, kind=kind, made=made, job_id=job_id)


def on_disk(settings):
    return sorted(path.name for path in settings.MEDIA_ROOT.rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    return settings.MEDIA_ROOT


def test_an_upload_is_kept_as_it_is(ada, upload, ply):
    asset = services.add(upload=upload(), owner=ada)
    assert (asset.name, asset.format, asset.size, asset.owner) == ("cube", "ply", len(ply), ada)
    assert asset.file.path.read_bytes() == ply
    assert asset.file.owner == ada


def test_an_upload_is_written_while_everyone_else_can_write_too(ada, upload, monkeypatch):
    written = transactions.noted(monkeypatch, attachments, "keep")
    services.add(upload=upload(), owner=ada)
    assert written == [False]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.ply", b"", "The file is empty"),
        ("a.ply", b"<html><script>alert(1)</script>", "its content is none of"),
        ("a.stl", b"ply\nformat ascii 1.0\n", "Rename it to .ply"),
        ("a.png", b"\x89PNG", "is not a format that we read"),
    ],
)
def test_what_is_no_mesh_is_refused_and_not_kept(ada, name, content, says, settings):
    with pytest.raises(Refused, match=says) as caught:
        services.add(upload=SimpleUploadedFile(name, content), owner=ada)
    assert caught.value.field == "file"
    assert not Asset.objects.exists()
    assert on_disk(settings) == []


def test_a_large_file_is_refused_with_the_limit(ada, upload, settings):
    settings.ASSETS_MAX_BYTES = 100
    with pytest.raises(Refused, match=r"are allowed\. Simplify"):
        services.add(upload=upload(), owner=ada)
    settings.ASSETS_MAX_BYTES = 2**30
    settings.JOBROOM = settings.JOBROOM | {"JOBS_MAX_UPLOAD": 100}
    with pytest.raises(Refused, match="too large"):
        services.add(upload=upload(), owner=ada)
    assert on_disk(settings) == []


@pytest.mark.parametrize(
    ("file_name", "name", "shown"),
    [
        ("../../etc/cron.d/evil.ply", "", "evil"),
        ("..\\..\\windows\\evil.ply", "", "evil"),
        ("a.ply", "  a\n chair\u202e\x00 ", "a chair"),
        ("a.ply", "x" * 400, "x" * 255),
        ("a.ply", "\u200b", "a"),
        ("<script>alert(1)<script>.ply", "", "<script>alert(1)<script>"),
    ],
)
def test_names_are_text_and_lead_nowhere(ada, upload, settings, file_name, name, shown):
    uploaded = upload(name="a.ply")
    uploaded._name = file_name  # as a client that is no browser may send it
    asset = services.add(upload=uploaded, name=name, owner=ada)
    assert asset.name == shown
    assert asset.file.path.is_relative_to(settings.MEDIA_ROOT)
    assert on_disk(settings) == [asset.file.pk.hex]


def test_a_new_run_replaces_the_results_of_its_kind_alone(cube, tmp_path, settings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        keep(cube, tmp_path, "front.png", "side.png")
        keep(cube, tmp_path, "repaired.ply", kind=Kind.REPAIRED)
        keep(cube, tmp_path, "top.png", job_id="j2")
    found = {(result.kind, result.view, result.job_id, result.file.name) for result in cube.results.all()}
    assert found == {("picture", "top", "j2", "cube-top.png"), ("repaired", "", "j1", "cube-repaired.ply")}
    assert StoredFile.objects.count() == 3
    assert on_disk(settings) == sorted(file.pk.hex for file in StoredFile.objects.all())
    assert set(StoredFile.objects.values_list("owner__username", flat=True)) == {"ada"}


def test_results_for_a_deleted_asset_are_refused_and_leave_nothing(
    cube, tmp_path, settings, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        services.remove(asset=Asset.objects.get(pk=cube.pk))
        with pytest.raises(AssetFailed, match="was deleted"):
            keep(cube, tmp_path, "front.png")
        with pytest.raises(AssetFailed, match="was deleted"):
            services.remember_facts(asset=cube, facts={}, job_id="j1")
    assert not StoredFile.objects.exists()
    assert on_disk(settings) == []


def test_a_result_that_is_too_large_to_keep_fails_with_a_sentence(cube, tmp_path, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_MAX_UPLOAD": 3}
    with pytest.raises(AssetFailed, match="too large"):
        keep(cube, tmp_path, "front.png", content=b"1234")
    assert not AssetResult.objects.exists()


def test_deleting_takes_all_files_along(cube, tmp_path, settings, django_capture_on_commit_callbacks):
    keep(cube, tmp_path, "front.png")
    with django_capture_on_commit_callbacks(execute=True):
        services.remove(asset=cube)
    assert not StoredFile.objects.exists()
    assert on_disk(settings) == []


def test_what_a_job_attached_is_kept_once_on_the_disk(cube, tmp_path, settings, django_capture_on_commit_callbacks):
    made = uuid.uuid4()
    attachments.keep(made, [b"\x89PNG\r\n\x1a\n", b"a picture"])
    item = services.Made(tmp_path / "gone.png", "cube-front.png", view="front", attached=str(made))
    with django_capture_on_commit_callbacks(execute=True):
        (result,) = services.replace_results(asset=cube, kind=Kind.PICTURE, made=[item], job_id="j1")
    own = attachments.location(made)
    assert result.file.path.samefile(own)
    assert result.file.path != own
    file = StoredFile.objects.get(pk=result.file_id)
    assert (file.size, file.content_type, file.name) == (17, "image/png", "cube-front.png")
    assert file.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()
    attachments.forget(made)  # the job leaves the database
    assert file.path.read_bytes().endswith(b"a picture")
    with django_capture_on_commit_callbacks(execute=True):
        services.remove(asset=cube)
    assert on_disk(settings) == []


def test_where_the_disk_has_one_name_for_each_file_the_content_is_copied(settings, monkeypatch):
    made, other = uuid.uuid4(), uuid.uuid4()
    attachments.keep(made, [b"a mesh"])

    def refuse(*_):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    assert attachments.share(other, made)["size"] == 6
    assert attachments.location(other).read_bytes() == b"a mesh"
    with pytest.raises(FileNotFoundError):
        attachments.share(uuid.uuid4(), uuid.uuid4())
