"""The tasks as others see them: arguments, queue, lock, and who may use which asset."""

import uuid
from pathlib import Path
from typing import get_args

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile

from assets import tasks
from assets.geometry import formats, renderer
from assets.models import Asset, Kind
from image.celery import app
from jobroom.arguments import WrongArguments, schema_of
from jobroom.events import attachments
from jobroom.jobs import files, launches
from jobroom.jobs.models import Job, Source, TaskRule
from jobroom.jobs.tests.events import queued, record
from jobroom.sandbox.folders import working_folder

NAMES = ("Process asset", "assets.inspect", "assets.repair", "assets.simplify", "assets.convert", "assets.pictures")

pytestmark = pytest.mark.django_db


@pytest.fixture
def artist(ada, bob, empty_redis):
    """Let Ada and Bob launch the tasks."""
    group = Group.objects.create(name="artists")
    for user in (ada, bob):
        user.groups.add(group)
    for name in NAMES:
        TaskRule.objects.create(task=name).launch.add(group)


def launch(by, **arguments):
    return launches.launch(task="Process asset", arguments=arguments, by=by, source=Source.API)


@pytest.mark.parametrize("name", NAMES)
def test_all_go_to_the_heavy_queue_and_may_run_twice(name):
    assert launches.default_queue(app.tasks[name]) == "heavy"
    assert app.tasks[name].acks_late


def test_choices_are_those_of_the_geometry():
    assert set(get_args(tasks.Format)) == set(formats.FORMATS)
    assert tasks.EVERY_VIEW == list(get_args(tasks.View)) == list(renderer.VIEWS)


def test_arguments_travel_as_json_and_have_bounds(cube):
    schema = schema_of(app.tasks["Process asset"])
    assert schema.wire({"asset": cube, "faces": "800"}) == {"asset": cube.pk, "faces": 800}
    assert schema.validate({"asset": cube.pk})["asset"] == cube
    assert [p.kind for p in schema.parameters] == ["model", "integer", "choice", "list"]
    with pytest.raises(WrongArguments) as caught:
        schema.wire({"asset": 0, "faces": 3, "format": "exe", "views": []})
    assert set(caught.value.errors) == {"asset", "faces", "format", "views"}
    assert caught.value.errors["asset"] == ["There is no asset 0."]


@pytest.mark.parametrize("name", NAMES)
def test_an_asset_and_its_id_lock_the_same(name, cube):
    run = app.tasks[name].run
    namer = run.lock.lock_id
    assert namer(cube) == namer(cube.pk) == namer(asset=str(cube.pk)) == f"asset:{cube.pk}"
    assert run.lock.blocking


def test_someone_elses_asset_is_as_unknown_as_none(artist, ada, bob, grace, cube):
    assert launch(ada, asset=cube.pk).kwargs == {"asset": cube.pk}
    assert launch(grace, asset=cube.pk).owner == grace
    for wanted in (cube.pk, str(cube.pk), 987654321, 10**30, "x"):
        with pytest.raises(WrongArguments) as caught:
            launch(bob, asset=wanted)
        assert caught.value.errors == {"asset": [f"There is no asset {wanted!r}."]}
    with pytest.raises(WrongArguments) as caught:
        launch(bob, asset=cube.pk, faces=1)
    assert set(caught.value.errors) == {"asset", "faces"}
    assert Job.objects.count() == 2


def test_a_direct_run_works_where_it_is(cube, empty_redis):
    answer = tasks.ProcessAssetTask().run(cube, faces=8, views=["front"])
    assert answer["facts"]["faces"] == 12
    assert {(result.kind, result.view) for result in cube.results.all()} == {
        ("repaired", ""), ("simplified", ""), ("converted", ""), ("picture", "front"),
    }  # fmt: skip
    cube.refresh_from_db()
    assert cube.facts["volume"] == pytest.approx(1)
    assert cube.results.get(kind=Kind.CONVERTED).file.path.read_bytes()[:4] == b"glTF"
    assert cube.results.get(kind=Kind.SIMPLIFIED).facts["faces"] <= 12


def test_leftovers_of_a_killed_job_are_cleared(cube, settings, empty_redis):
    root = Path(settings.VAR) / "assets"
    left = root / f"{cube.pk}-left"
    left.mkdir(parents=True)
    (left / "big").touch()
    with working_folder(root, f"{cube.pk}9-") as other:
        tasks.inspect.run(Asset.objects.get(pk=cube.pk))
        assert other.exists()
    assert list(root.iterdir()) == []


def test_a_level_names_the_mesh_it_works_on_and_takes_none_of_a_stranger(artist, ada, bob, cube, ply):
    TaskRule.objects.create(task="assets.level").launch.set(Group.objects.filter(name="artists"))
    mesh = files.store(SimpleUploadedFile("cube-repaired.ply", ply), ada)
    sent = {"asset": cube.pk, "faces": 8, "mesh": str(mesh.pk)}
    job = launches.launch(task="assets.level", arguments=sent, by=ada, source=Source.API)
    assert job.label == "asset=cube, faces=8, mesh=cube-repaired.ply"
    # What the recorder makes of the job of a node.
    args = {"args": [], "kwargs": sent}
    assert record(queued(1, job="node", task="assets.level", owner=ada.pk, **args)).label == job.label
    other = files.store(SimpleUploadedFile("other.ply", ply), bob)
    with pytest.raises(WrongArguments) as caught:
        launches.launch(task="assets.level", arguments={**sent, "mesh": str(other.pk)}, by=ada, source=Source.API)
    assert set(caught.value.errors) == {"mesh"}


def test_a_level_works_on_a_file_that_the_recorder_has_not_read_of(cube, ply):
    made = uuid.uuid4()
    attachments.keep(made, [ply])
    loaded = schema_of(app.tasks["assets.level"]).validate({"asset": cube.pk, "faces": 8, "mesh": str(made)})
    assert loaded["mesh"].path.read_bytes() == ply
    answer = tasks.level.run(**loaded)
    assert (answer["asked"], answer["faces"] <= 12) == (8, True)
