"""The child process in which foreign meshes are read: `common.sandbox` starts it.

Its request is `{"verb", "source", "format", "folder", "options"}` beside the limits.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.sandbox.child import say, serve


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for; return facts and the names of the files made in `folder`."""
    from assets.geometry import rendering, shapes

    folder, options = Path(request["folder"]), request["options"]
    steps = 1 + (len(_views(options)) if request["verb"] == "pictures" else 1)
    say(progress=[0, steps, "Reading"])
    mesh = shapes.load(Path(request["source"]), request["format"])
    say(progress=[1, steps, f"{len(mesh.faces):,} triangles"])
    if request["verb"] == "inspect":
        return {"facts": shapes.inspect(mesh)}
    if request["verb"] == "repair":
        mesh, done = shapes.repair(mesh)
        shapes.save(mesh, folder / options["name"], options["format"])
        return {"facts": done, "files": [options["name"]]}
    if request["verb"] == "simplify":
        small = shapes.simplify(mesh, int(options["faces"]))
        shapes.save(small, folder / options["name"], options["format"])
        facts = {"faces_before": len(mesh.faces), "faces": len(small.faces), "asked_for": int(options["faces"])}
        return {"facts": facts, "files": [options["name"]]}
    if request["verb"] == "convert":
        shapes.save(mesh, folder / options["name"], options["format"])
        return {"facts": {"bytes": (folder / options["name"]).stat().st_size}, "files": [options["name"]]}
    return {"files": _pictures(mesh, folder, options, rendering)}


def _views(options: dict[str, Any]) -> list[str]:
    from assets.geometry import rendering

    return list(options.get("views") or rendering.VIEWS)


def _pictures(mesh: Any, folder: Path, options: dict[str, Any], rendering: Any) -> list[str]:
    views = _views(options)
    names = []
    for number, view in enumerate(views, start=1):
        say(progress=[number, len(views) + 1, f"Picture from {view}"])
        name = f"{view}.png"
        rendering.save(mesh.vertices, mesh.faces, view, folder / name, int(options.get("pixels", 512)))
        names.append(name)
    say(progress=[len(views) + 1, len(views) + 1, "Pictures are made"])
    return names


if __name__ == "__main__":
    serve(work)
