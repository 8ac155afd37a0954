"""The tasks on 3D assets. Each may run twice: results replace those of before."""

from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Le, MinLen

from assets import detail
from assets.exceptions import AssetFailed
from assets.models import Asset
from assets.workbench import workbench
from image.celery import app
from jobroom.tasks import Argument, BaseTask, File, NotifyAdminTaskMixin, exclusive_task

Format = Literal["ply", "obj", "stl", "glb", "off", "3mf"]
SUFFIXES = tuple(f".{one}" for one in get_args(Format))
View = Literal["front", "side", "top", "corner"]
EVERY_VIEW: list[View] = ["front", "side", "top", "corner"]

AnAsset = Annotated[Asset, Argument(title="Asset", help="The mesh to work on", size="size")]
Faces = Annotated[
    int,
    Ge(4),
    Le(5_000_000),
    Argument(title="Triangles", help="How many to keep, about; a mesh with fewer stays as it is"),
]
AMesh = Annotated[
    File | None,
    Argument(title="Mesh", suffixes=SUFFIXES, help="A file to work on instead of the asset's own, in the same format"),
]
TheFormat = Annotated[Format, Argument(title="Format", help="What the converted mesh is written as")]
Views = Annotated[list[View], MinLen(1), Argument(title="Pictures", help="From where to look at it")]

# The task that does it all; those below are its steps.
PROCESS = "Process asset"

# Jobs on one asset wait for each other in their queue, for a day at most.
PATIENCE = 24 * 3600.0


def lock_of(asset: Asset | int | str, *args: Any, **kwargs: Any) -> str:
    """Return the name of the lock of an asset, given itself or its id."""
    return f"asset:{getattr(asset, 'pk', asset)}"


def alone(task_name: str) -> exclusive_task:
    """Return the decorator for a run that should have its asset for itself."""
    return exclusive_task(task_name=task_name, lock_id=lock_of, blocking=True, wait=PATIENCE)


@app.task(bind=True, base=app.Task, name="assets.inspect", acks_late=True, step_of=PROCESS)
@alone("assets.inspect")
def inspect(self: Any, asset: AnAsset) -> dict[str, Any]:
    """Measure a mesh: size, area, volume, holes, doubled triangles, and what unit it is probably in."""
    with workbench(asset, self) as bench:
        return {"facts": bench.inspect()}


@app.task(bind=True, base=app.Task, name="assets.repair", acks_late=True, step_of=PROCESS)
@alone("assets.repair")
def repair(self: Any, asset: AnAsset) -> dict[str, Any]:
    """Weld corners, remove doubled and flat triangles, turn all the same way, and close small holes."""
    with workbench(asset, self) as bench:
        return {"files": {"repaired": bench.repair()}}


@app.task(bind=True, base=app.Task, name="assets.simplify", acks_late=True, step_of=PROCESS)
@alone("assets.simplify")
def simplify(self: Any, asset: AnAsset, faces: Faces = 5000) -> dict[str, Any]:
    """Reduce a mesh to about so many triangles, keeping its shape as well as they can."""
    with workbench(asset, self) as bench:
        return {"files": {"simplified": bench.simplify(faces)}}


@app.task(bind=True, base=app.Task, name="assets.convert", acks_late=True, step_of=PROCESS)
@alone("assets.convert")
def convert(self: Any, asset: AnAsset, format: TheFormat = "glb") -> dict[str, Any]:
    """Write a mesh in another format: PLY, OBJ, STL, GLB, OFF or 3MF; with its colours, and into GLB and 3MF with its texture."""
    with workbench(asset, self) as bench:
        return {"files": {"converted": bench.convert(format)}}


@app.task(bind=True, base=app.Task, name="assets.pictures", acks_late=True, step_of=PROCESS)
@alone("assets.pictures")
def pictures(self: Any, asset: AnAsset, views: Views = EVERY_VIEW) -> dict[str, Any]:
    """Picture a mesh from several sides, as PNG with a clear background."""
    with workbench(asset, self) as bench:
        return {"files": bench.pictures(views)}


@app.task(bind=True, base=app.Task, name="assets.level", acks_late=True, step_of=PROCESS)
def level(self: Any, asset: AnAsset, faces: Faces, mesh: AMesh = None) -> dict[str, Any]:
    """Make a copy of a mesh with about so many triangles; jobs for several sizes may run at once.

    Unlike `assets.simplify` it leaves the asset's own results alone: the copy belongs to the job.
    """
    return detail.level(asset, self, faces, mesh)


@app.task(bind=True, base=app.Task, name="assets.report", acks_late=True, step_of=PROCESS)
def report(
    self: Any,
    asset: AnAsset,
    facts: Annotated[dict[str, Any], Argument(title="Facts", help="What the inspection found")],
    levels: Annotated[list[dict[str, Any]], Argument(title="Levels", help="What `assets.level` answered")],
) -> dict[str, Any]:
    """Write a page about a mesh and the copies of it."""
    return detail.report(asset, self, facts, levels)


class ProcessAssetTask(NotifyAdminTaskMixin, BaseTask):
    """Does everything there is to do with a new mesh."""

    name = PROCESS
    description = """Inspect, repair, simplify, convert and picture a mesh in one job.

The **simplified** mesh is made from the repaired one, the **converted** mesh from the simplified one; the pictures show
the repaired one. All of them are found on the asset's page afterwards, in place of those of an earlier run.

Jobs on one asset run one after the other. A file that is damaged, or needs more memory or time than allowed, makes the
job fail with a sentence that says so.
"""
    action = "processing an asset"
    no_mail_for = (AssetFailed,)  # the file's fault, or a limit of ours that it met: its owner reads why
    acks_late = True

    @alone(PROCESS)
    def run(
        self, asset: AnAsset, faces: Faces = 5000, format: TheFormat = "glb", views: Views = EVERY_VIEW
    ) -> dict[str, Any]:
        """Do all steps; return the facts and the ids of the files by kind and view."""
        found: dict[str, Any] = {}
        with workbench(asset, self) as bench:
            with self.stage("Inspect", weight=2, of=10):
                facts = bench.inspect()
            with self.stage("Repair", weight=3, of=10):
                found["repaired"] = bench.repair()
                repaired = bench.mesh
            with self.stage("Simplify", weight=2, of=10):
                found["simplified"] = bench.simplify(faces)
            with self.stage("Convert", weight=1, of=10):
                found["converted"] = bench.convert(format)
            with self.stage("Pictures", weight=2, of=10):
                bench.mesh = repaired
                found["pictures"] = bench.pictures(views)
        return {"facts": facts, "files": found}


app.tasks.register(ProcessAssetTask)  # type: ignore[arg-type]  # Celery takes classes too, its stubs do not know
