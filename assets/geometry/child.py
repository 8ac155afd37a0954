"""The child process in which foreign files are read: limited memory and time, nothing but JSON to its parent.

Reads one request from standard input: `{"verb", "source", "format", "folder", "options", "memory", "seconds", "parent"}`; writes
lines of JSON to standard output: `{"progress": [done, of, text]}` and at the end `{"done": {...}}` or `{"problem": text}`.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)


def limit(memory: int, seconds: int) -> None:
    """Limit this process to `memory` bytes of address space, `seconds` of processor time, and no core file."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin":  # accepted there, and without effect
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def die_with(parent: int) -> None:
    """End this process when its parent ends, even by `kill -9`: nobody is left to hear the answer."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":  # there the kernel does it at once, whatever this process is busy with
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def say(**message: Any) -> None:
    """Write one line to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


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


def main() -> None:
    """Serve one request."""
    request = json.load(sys.stdin)
    die_with(request["parent"])
    # Before the libraries are loaded: their thread pools would reserve address space for each core.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    limit(request["memory"], request["seconds"])
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from assets.geometry.formats import MeshProblem

    try:
        say(done=work(request))
    except MeshProblem as problem:
        say(problem=str(problem))
    except MemoryError:
        allowed = request["memory"] // 2**20
        say(problem=f"The mesh needs more than the {allowed} MB that one job may use. Simplify it before uploading.")


if __name__ == "__main__":
    main()
