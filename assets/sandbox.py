"""Runs one verb on one mesh file in a child process that may break without breaking the worker."""

from pathlib import Path
from typing import Any

from assets.conf import settings
from assets.exceptions import AssetFailed
from common.sandbox import Progress, Sandbox, quiet

_CHILD = Path(__file__).parent / "geometry" / "child.py"


def run(
    verb: str,
    source: Path,
    file_type: str,
    folder: Path,
    options: dict[str, Any] | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Return what the child answers: `facts` and the names of the `files` it made in `folder`.

    Raises AssetFailed with a sentence for the person who uploaded the file when it is damaged, or needs more memory or
    time than allowed; whatever happens to the child, the caller lives.
    """
    sandbox = Sandbox(
        script=_CHILD,
        memory=settings.MEMORY,
        cpu_seconds=settings.CPU_SECONDS,
        seconds=settings.SECONDS,
        subject="The mesh",
        smaller="Simplify it before uploading.",
        anew="Export it anew, perhaps as PLY.",
        error=AssetFailed,
    )
    request = {
        "verb": verb,
        "source": str(source),
        "format": file_type,
        "folder": str(folder),
        "options": options or {},
    }
    return sandbox.run(request, folder, progress)
