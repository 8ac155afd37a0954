"""Copies of a mesh with fewer triangles, made at the same time, and a page about them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings

from assets import sandbox
from assets.exceptions import AssetFailed
from assets.models import Asset
from assets.workbench import Reporter, findings
from jobroom.arguments import File
from jobroom.jobs import files
from jobroom.sandbox.folders import working_folder


def level(asset: Asset, task: Reporter, faces: int, mesh: File | None = None) -> dict[str, Any]:
    """Make a copy with about `faces` triangles of the asset's file, or of the file `mesh`.

    Returns what was asked for, how many triangles it became, its bytes and the id of the job's file.
    """
    path = _content(asset, mesh)
    name = f"{files.display_name(asset.name)[:200]}-{faces}.{asset.format}"
    with working_folder(Path(django_settings.VAR) / "assets", "level-") as folder:
        options = {"name": f"level.{asset.format}", "format": asset.format, "faces": faces}
        done = sandbox.run("simplify", path, asset.format, folder, options, progress=task.progress)["facts"]
        made = folder / f"level.{asset.format}"
        size, kept = made.stat().st_size, task.attach(made, name)
    task.log("info", f"{done['faces']:,} triangles, {size:,} bytes.", obj=asset.name)
    return {"asked": faces, "faces": done["faces"], "bytes": size, "file": kept}


def _content(asset: Asset, mesh: File | None) -> Path:
    path = (mesh or asset.file).path
    if not path.exists():
        raise AssetFailed("The file of the mesh is not there any more. Run what made it again.")
    return path


def report(asset: Asset, task: Reporter, facts: dict[str, Any], levels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write a page in Markdown about a mesh and its copies; return its id, and the copies from fine to coarse."""
    ordered = sorted(levels, key=lambda item: -int(item["faces"]))
    lines = [f"# {files.display_name(asset.name)}", "", *(f"- {text}" for _, text in findings(facts)), ""]
    lines += ["| triangles | asked for | bytes |", "|---|---|---|"]
    lines += [f"| {item['faces']:,} | {item['asked']:,} | {item['bytes']:,} |" for item in ordered]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.md"
        page.write_text("\n".join(lines) + "\n")
        kept = task.attach(page, f"{files.display_name(asset.name)[:200]}-report.md")
    return {"report": kept, "levels": ordered}
