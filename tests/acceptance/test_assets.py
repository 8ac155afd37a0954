"""Meshes through real workers: all results, hostile files, a killed worker, a cancelled job."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trimesh
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from PIL import Image

from assets import services
from assets.models import Asset, Kind
from jobroom import redis
from jobroom.events import cancellation
from jobroom.jobs import files
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source, State, StoredFile
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

SHARED = Path(settings.BASE_DIR).parent / "shared" / "data" / "meshes"


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def owner() -> User:
    return User.objects.create_superuser("ada", password="lovelace")


def add(owner: User, name: str, content: bytes) -> Asset:
    return services.add(upload=SimpleUploadedFile(name, content), owner=owner)


def smuggle(owner: User, name: str, content: bytes) -> Asset:
    """Add an asset past the checks of the upload, as if they had been deceived."""
    stored = files.store(SimpleUploadedFile(name, content), owner)
    return Asset.objects.create(owner=owner, name=name, file=stored, format=Path(name).suffix[1:], size=len(content))


def process(asset: Asset, task: str = "Process asset", **arguments: Any) -> str:
    with transaction.atomic():
        arguments = {"asset": asset.pk, **arguments}
        return launch(task=task, arguments=arguments, by=asset.owner, source=Source.API).pk


def finished(job_id: str, seconds: float = 180) -> Job:
    def done() -> Job | None:
        return next((job for job in Job.objects.filter(pk=job_id) if job.is_finished), None)

    return wait_until(done, seconds)  # type: ignore[return-value]  # it waits until there is one


def heavy(**options: Any) -> Worker:
    return Worker(queues="heavy", concurrency=1, name="heavy", **options)


def meshes() -> Iterator[tuple[str, bytes]]:
    """Yield real meshes where there are any, and always a made one."""
    yield "torus.stl", trimesh.creation.torus(3, 1).export(file_type="stl")
    for path in sorted(SHARED.glob("*")) if SHARED.exists() else ():
        yield path.name, path.read_bytes()


def faces_in(file: StoredFile, file_type: str) -> int:
    with file.path.open("rb") as content:
        return len(trimesh.load_mesh(content, file_type=file_type).faces)


def large() -> bytes:
    """Return a mesh that keeps a worker busy for some seconds."""
    return bytes(trimesh.creation.icosphere(subdivisions=6).export(file_type="ply"))


def children_at_work() -> list[str]:
    """Return the processes that read a mesh, of whichever worker."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,stat,args"], capture_output=True, text=True, check=True).stdout
    script = str(Path(settings.BASE_DIR) / "assets" / "geometry" / "child.py")
    mine = [line for line in listed.splitlines() if script in line and " Z" not in line]
    return [line for line in mine if _is_ours(int(line.split()[0]))]


def _is_ours(pid: int) -> bool:
    """Return whether the process works in our own data folder: other tests may run beside this one."""
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).startswith(str(settings.VAR))
    except OSError:
        return False


def test_every_mesh_is_inspected_repaired_simplified_converted_and_pictured(owner):
    assets = [add(owner, name, content) for name, content in meshes()]
    with Recorder(), heavy():
        jobs = [finished(process(asset, faces=300, format="glb")) for asset in assets]
    for asset, job in zip(assets, jobs, strict=True):
        assert (job.state, job.error, job.queue) == (State.SUCCEEDED, "", "heavy")
        asset.refresh_from_db()
        assert asset.facts == job.result["facts"]
        assert asset.facts["faces"] >= 300
        by_kind = {result.kind: result for result in asset.meshes}
        assert set(by_kind) == {Kind.REPAIRED, Kind.SIMPLIFIED, Kind.CONVERTED}
        simplified = faces_in(by_kind[Kind.SIMPLIFIED].file, asset.format)
        logged = [line.message for line in job.log_lines.order_by("pk")]
        assert 200 < simplified <= 300 or any("were asked for" in line for line in logged)
        assert simplified == by_kind[Kind.SIMPLIFIED].facts["faces"] < asset.facts["faces"]
        assert faces_in(by_kind[Kind.CONVERTED].file, "glb") == simplified
        assert [picture.view for picture in asset.pictures] == ["front", "side", "top", "corner"]
        for picture in asset.pictures:
            with Image.open(picture.file.path) as image:
                assert image.size == (512, 512)
                assert image.getchannel("A").getextrema() == (0, 255)
        assert any("triangles" in line for line in logged)
        assert job.progress["stage"] == "Pictures"
        names = job.result["files"]
        given = {names["repaired"], names["simplified"], names["converted"], *names["pictures"].values()}
        assert given == {str(pk) for pk in StoredFile.objects.filter(job_id=job.pk).values_list("pk", flat=True)}
    assert list((Path(settings.VAR) / "assets").glob(f"{asset.pk}-*")) == []


def test_a_second_run_replaces_the_first_and_waits_for_its_turn(owner):
    asset = add(owner, "sphere.ply", trimesh.creation.icosphere(subdivisions=4).export(file_type="ply"))
    with Recorder(), heavy(), Worker(queues="heavy", concurrency=1, name="other"):
        ids = [process(asset, faces=faces) for faces in (400, 200)]
        jobs = [finished(job_id) for job_id in ids]
    assert [job.state for job in jobs] == [State.SUCCEEDED, State.SUCCEEDED]
    first, second = sorted(jobs, key=lambda job: job.finished_at)
    # The lock is free when the task returns; its end is stamped once the result is kept, a moment later.
    assert second.started_at > first.started_at + 0.8 * (first.finished_at - first.started_at)
    assert asset.results.count() == 7
    assert set(asset.results.values_list("job_id", flat=True)) == {second.pk}
    # Those of both jobs, the asset's own, and the mesh itself; nothing that no row knows.
    kept = sorted(path.name for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file())
    rows = {file.pk.hex for file in StoredFile.objects.all()}
    assert len(rows) == 7 + 7 + 7 + 1
    assert rows <= set(kept)
    assert not [name for name in kept if name.endswith(".part")]


BOMB = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nproperty float y\n"
    b"property float z\nelement face 4000000000\nproperty list uchar int vertex_indices\nend_header\n" + b"\0" * 100
)
NAN = b"v nan 0 0\nv 1 0 0\nv 0 inf 0\nf 1 2 3\n"
HOSTILE = {
    "broken.ply": b"ply\nformat ascii 1.0\nelement vertex 3\n",
    "cut.glb": trimesh.creation.box().export(file_type="glb")[:200],
    "empty.ply": b"",
    "page.ply": b"<html><script>alert(1)</script></html>",
    "mislabelled.stl": trimesh.creation.box().export(file_type="ply"),
    "bomb.ply": BOMB,
    "nan.obj": NAN,
    "cloud.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\n",
    "beyond.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 999999\n",
    "flat.off": b"OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n",
}


def test_hostile_files_fail_with_a_sentence_and_the_worker_goes_on(owner):
    assets = {name: smuggle(owner, name, content) for name, content in HOSTILE.items()}
    sly = b"mtllib ../../../../etc/passwd\nmtllib <script>alert(1)</script>.mtl\nusemtl ../../etc/passwd\no <script>\n"
    good = add(owner, "sly.obj", sly + trimesh.creation.box().export(file_type="obj").encode())
    with Recorder(), heavy() as worker:
        jobs = {name: finished(process(asset)) for name, asset in assets.items()}
        last = finished(process(good))
        assert worker.popen is not None
        assert worker.popen.poll() is None
    for name, job in jobs.items():
        assert (name, job.state, job.error_type) == (name, State.FAILED, "AssetFailed")
        assert len(job.error) > 20, name
        assert "Traceback" not in job.error, name
        assert job.attempts == 1, name
    assert "NaN" in jobs["nan.obj"].error
    assert "no triangles" in jobs["cloud.obj"].error
    assert last.state == State.SUCCEEDED
    made = b"".join(result.file.path.read_bytes() for result in good.results.all())
    assert b"root:" not in made
    assert b"<script>" not in made
    assert children_at_work() == []


def test_a_job_whose_worker_was_killed_runs_again_to_success(owner):
    asset = add(owner, "large.ply", large())
    with Recorder():
        with heavy() as first:
            job = process(asset, faces=1000)
            wait_until(lambda: asset.results.filter(kind=Kind.REPAIRED).exists() and children_at_work(), 120)
            first.kill()
            wait_until(lambda: not children_at_work(), 60, "the reading process ends with its worker")
        with heavy():
            done = finished(job)
    assert (done.state, done.error, done.attempts) == (State.SUCCEEDED, "", 2)
    assert asset.results.count() == 7
    assert list((Path(settings.VAR) / "assets").glob(f"{asset.pk}-*")) == []


def test_a_cancelled_job_leaves_no_process_and_no_folder(owner):
    asset = add(owner, "large.ply", large())
    with Recorder(), heavy() as worker:
        job = process(asset, faces=1000)
        wait_until(children_at_work, 120)
        cancellation.request(job, "ada")
        done = finished(job, 60)
        wait_until(lambda: not children_at_work(), 60)
        after = finished(process(add(owner, "box.ply", trimesh.creation.box().export(file_type="ply"))))
        assert worker.popen is not None
        assert worker.popen.poll() is None
    assert (done.state, after.state) == (State.CANCELLED, State.SUCCEEDED)
    assert list((Path(settings.VAR) / "assets").glob(f"{asset.pk}-*")) == []
