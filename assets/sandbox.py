"""Runs verbs on mesh files in a child process that may break without breaking the worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assets.conf import settings
from assets.exceptions import AssetFailed
from jobroom.sandbox import Progress, Sandbox, Session, quiet

_CHILD = Path(__file__).parent / "geometry" / "child.py"


class Reader:
    """A running child that reads meshes; what it has read it keeps for the next step."""

    def __init__(self, session: Session, folder: Path) -> None:
        self._session = session
        self.folder = folder

    def run(
        self,
        verb: str,
        source: Path,
        file_type: str,
        options: dict[str, Any] | None = None,
        progress: Progress = quiet,
    ) -> dict[str, Any]:
        """Return the child's answer to one verb: `facts` and the names of the `files` it made in the folder.

        Raises AssetFailed with a sentence for the person who uploaded the file when it is damaged, or needs more memory
        or time than allowed; whatever happens to the child, the caller lives.
        """
        request = {
            "verb": verb,
            "source": str(source),
            "format": file_type,
            "folder": str(self.folder),
            "options": options or {},
        }
        return self._session.ask(request, progress)


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    """Start a child that works in `folder`; it ends with the block."""
    sandbox = Sandbox(
        script=_CHILD,
        memory=settings.MEMORY,
        cpu_seconds=settings.CPU_SECONDS,
        seconds=settings.SECONDS,
        subject="The mesh",
        smaller="Simplify it before uploading.",
        remedy="Export it again, perhaps as PLY.",
        error=AssetFailed,
    )
    with sandbox.session(folder) as session:
        yield Reader(session, folder)


def run(
    verb: str,
    source: Path,
    file_type: str,
    folder: Path,
    options: dict[str, Any] | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Return the answer of a child of its own to one verb; see `Reader.run`."""
    with reader(folder) as child:
        return child.run(verb, source, file_type, options, progress)
