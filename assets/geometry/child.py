"""The child process in which foreign meshes are read: `jobroom.sandbox` starts it.

Its request is `{"verb", "source", "format", "folder", "options"}` beside the limits.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jobroom.sandbox.child import say, serve

# The mesh of the last step, by the file in which it lies: the next step of a job works on it without reading it again.
_known: dict[str, Any] = {}


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for; return facts and the names of the files made in `folder`."""
    from assets.geometry import shapes

    folder, options, verb = Path(request["folder"]), request["options"], request["verb"]
    steps = 1 + (len(_views(options)) if verb == "pictures" else 1)
    say(progress=[0, steps, "Reading"])
    mesh = _mesh(request["source"], request["format"])
    say(progress=[1, steps, f"{len(mesh.faces):,} triangles"])
    if verb == "inspect":
        return {"facts": shapes.inspect(mesh)}
    if verb == "pictures":
        return {"files": _pictures(mesh, folder, options)}
    made, facts = _made(mesh, verb, options)
    path = folder / options["name"]
    shapes.save(made, path, options["format"])
    if verb == "convert":
        facts["bytes"] = path.stat().st_size
    else:
        _known[str(path)] = made
    return {"facts": facts, "files": [options["name"]]}


def _mesh(source: str, file_type: str) -> Any:
    from assets.geometry import shapes

    if source not in _known:
        _known[source] = shapes.load(Path(source), file_type)
    return _known[source]


def _made(mesh: Any, verb: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the mesh that `verb` makes of `mesh`, and facts about it."""
    from assets.geometry import shapes

    if verb == "repair":
        return shapes.repair(mesh)
    if verb == "simplify":
        small = shapes.simplify(mesh, int(options["faces"]))
        return small, {"faces_before": len(mesh.faces), "faces": len(small.faces), "asked_for": int(options["faces"])}
    return mesh, {}


def _views(options: dict[str, Any]) -> list[str]:
    from assets.geometry import renderer

    return list(options.get("views") or renderer.VIEWS)


def _pictures(mesh: Any, folder: Path, options: dict[str, Any]) -> list[str]:
    from assets.geometry import renderer

    views = _views(options)
    studio = renderer.Studio(mesh)
    names = []
    for number, view in enumerate(views, start=1):
        say(progress=[number, len(views) + 1, f"Picture from {view}"])
        name = f"{view}.png"
        renderer.save(studio, view, folder / name, int(options.get("pixels", 512)))
        names.append(name)
    say(progress=[len(views) + 1, len(views) + 1, "Pictures are made"])
    return names


if __name__ == "__main__":
    serve(work)
