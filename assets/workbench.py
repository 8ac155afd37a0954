"""One job's work on one asset: the steps in one process of their own, their results kept with job and asset."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings as django_settings

from assets import sandbox, services
from assets.conf import settings
from assets.exceptions import AssetFailed
from assets.models import Asset, Kind
from jobroom.jobs import files
from jobroom.sandbox.folders import working_folder


class Reporter(Protocol):
    """The part of a task that a step needs: to report how it goes, and to hand over files."""

    request: Any

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Say how far it is."""

    def log(self, level: str, message: str, obj: str | None = None) -> None:
        """Add a line to the job's log."""

    def attach(self, path: Path, name: str = "") -> str | None:
        """Keep a file as a result of the job; return its id, None outside a job."""


class Workbench:
    """A folder, an asset and a task that reports; each step reads a file and may make others beside it."""

    def __init__(self, asset: Asset, task: Reporter, reader: sandbox.Reader) -> None:
        self.asset = asset
        self.task = task
        self.reader = reader
        self.folder = reader.folder
        self.job_id = str(task.request.id or "")
        self.mesh = asset.file.path  # what the next step works on

    def inspect(self) -> dict[str, Any]:
        """Find out about the mesh and keep it with the asset."""
        facts: dict[str, Any] = self._run("inspect", {})["facts"]
        services.remember_facts(asset=self.asset, facts=facts, job_id=self.job_id)
        for level, line in findings(facts):
            self.task.log(level, line, obj=self.asset.name)
        return facts

    def repair(self) -> str | None:
        """Repair the mesh; the next step works on the repaired one. Return the id of the job's file."""
        answer = self._run("repair", self._output("repaired", self.asset.format))
        done = answer["facts"]
        self._say(
            f"Repaired: {done['corners_welded']:,} corners welded, {done['faces_removed']:,} triangles removed, "
            f"{done['faces_added']:,} added."
        )
        if not done["watertight"]:
            self._say("It is still not watertight after the repair.", "warning")
        return self._keep_mesh(Kind.REPAIRED, self.asset.format, done)

    def simplify(self, faces: int) -> str | None:
        """Reduce the mesh to about `faces` triangles; the next step works on that one. Return the id of the job's file."""
        answer = self._run("simplify", {**self._output("simplified", self.asset.format), "faces": faces})
        done = answer["facts"]
        if done["faces"] == done["faces_before"]:
            self._say(f"It has {done['faces']:,} triangles: nothing was taken away.")
        else:
            self._say(f"Simplified from {done['faces_before']:,} to {done['faces']:,} triangles.")
        if done["faces"] > 1.1 * faces:
            self._say(f"{faces:,} triangles were asked for; with fewer than now the mesh would fall apart.", "warning")
        return self._keep_mesh(Kind.SIMPLIFIED, self.asset.format, done)

    def convert(self, file_type: str) -> str | None:
        """Write the mesh in another format. Return the id of the job's file."""
        answer = self._run("convert", self._output("converted", file_type))
        self._say(f"Written as {file_type.upper()}: {answer['facts']['bytes']:,} bytes.")
        return self._keep_mesh(Kind.CONVERTED, file_type, answer["facts"])

    def pictures(self, views: Sequence[str]) -> dict[str, str | None]:
        """Picture the mesh from each of `views`. Return the ids of the job's files by view."""
        names = self._run("pictures", {"views": list(views), "pixels": settings.PIXELS})["files"]
        made = [services.Made(self.folder / name, self._called(name), view=Path(name).stem) for name in names]
        return dict(zip(views, self._keep(Kind.PICTURE, made), strict=True))

    def _output(self, kind: str, file_type: str) -> dict[str, Any]:
        return {"name": f"{kind}.{file_type}", "format": file_type}

    def _run(self, verb: str, options: dict[str, Any]) -> dict[str, Any]:
        if not self.mesh.exists():
            raise AssetFailed("The file of this asset is not there any more. Upload it again.")
        return self.reader.run(verb, self.mesh, self.asset.format, options, progress=self.task.progress)

    def _say(self, line: str, level: str = "info") -> None:
        self.task.log(level, line, obj=self.asset.name)

    def _keep_mesh(self, kind: Kind, file_type: str, facts: dict[str, Any]) -> str | None:
        path = self.folder / f"{kind.value}.{file_type}"
        (file_id,) = self._keep(kind, [services.Made(path, self._called(path.name), facts=facts)])
        if kind != Kind.CONVERTED:
            self.mesh = path
        return file_id

    def _called(self, name: str) -> str:
        """Return what people should call one of our files."""
        return f"{files.display_name(self.asset.name)[:200]}-{name}"

    def _keep(self, kind: Kind, made: list[services.Made]) -> list[str | None]:
        """Keep the files with the job, and with the asset."""
        kept = [dataclasses.replace(item, attached=self.task.attach(item.path, item.name)) for item in made]
        services.replace_results(asset=self.asset, kind=kind, made=kept, job_id=self.job_id)
        return [item.attached for item in kept]


@contextmanager
def workbench(asset: Asset, task: Reporter) -> Iterator[Workbench]:
    """Lend a folder for the work on `asset`, which no one else works on; it is gone afterwards."""
    with (
        working_folder(Path(django_settings.VAR) / "assets", f"{asset.pk}-") as folder,
        sandbox.reader(folder) as reader,
    ):
        yield Workbench(asset, task, reader)


def findings(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield level and text of what an inspection found, in words."""
    yield "info", f"{facts['faces']:,} triangles, {facts['vertices']:,} corners, pieces: {facts['pieces']:,}."
    size = " by ".join(f"{length:.4g}" for length in facts["size"])
    yield "info", f"Size {size}; probably {facts['units']['guess']}: {facts['units']['because']}."
    if facts["watertight"]:
        genus = "" if facts["genus"] is None else f", genus {facts['genus']}"
        yield "info", f"Watertight, volume {facts['volume']:.6g}{genus}."
    else:
        yield "warning", "Not watertight: it has holes or edges with more than two triangles, so it has no volume."
    for name, text in (("duplicate_faces", "triangles are there twice"), ("flat_faces", "triangles have no area")):
        if facts[name]:
            yield "warning", f"{facts[name]:,} {text}."
    for line in facts["unread"]:
        yield "warning", line
    if not facts["winding_consistent"]:
        yield "warning", "Triangles beside each other face opposite ways."
