"""Files that jobs make: the content is stored at once, and an event lets the database know."""

import contextlib
import hashlib
import logging
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings

from jobroom import events
from jobroom.conf import settings

logger = logging.getLogger(__name__)

# Bytes that are read and written at once.
CHUNK = 1 << 20
_PNG = b"\x89PNG\r\n\x1a\n"


def location(file_id: uuid.UUID) -> Path:
    """Return where the content of a file lies: below MEDIA_ROOT under its id, never under its name."""
    return Path(django_settings.MEDIA_ROOT) / file_id.hex[:2] / file_id.hex


def keep(file_id: uuid.UUID, chunks: Iterable[bytes]) -> dict[str, Any]:
    """Write the content of a new file; return its `size` in bytes, `sha256` and `content_type`.

    The file appears when it is complete. The type is read from the content: what a name or a browser claims proves
    nothing. Whatever the chunks raise is passed on, and nothing is left behind.
    """
    path = location(file_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.part")
    digest, size, head = hashlib.sha256(), 0, b""
    try:
        with draft.open("wb") as out:
            for chunk in chunks:
                head = head or chunk[: len(_PNG)]
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
        draft.replace(path)
    except BaseException:  # whatever it is goes on, also a time limit; no half of a file stays
        draft.unlink(missing_ok=True)
        raise
    return {"size": size, "sha256": digest.hexdigest(), "content_type": _kind(head)}


def _kind(head: bytes) -> str:
    return "image/png" if head == _PNG else "application/octet-stream"


def share(file_id: uuid.UUID, other: uuid.UUID) -> dict[str, Any]:
    """Let a new file have the content of another one without a second copy; return what `keep` returns.

    Both names lead to the same bytes on the disk, which no one changes once they are complete, and which are gone when
    both files are forgotten. Where the disk has no such names the content is copied. Raises OSError when the other one
    cannot be read.
    """
    path = location(file_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(location(other), path)
    except FileNotFoundError:
        raise
    except OSError:
        return keep(file_id, _chunks(location(other)))
    digest, head = hashlib.sha256(), b""
    for chunk in _chunks(path):
        head = head or chunk[: len(_PNG)]
        digest.update(chunk)
    return {"size": path.stat().st_size, "sha256": digest.hexdigest(), "content_type": _kind(head)}


def forget(file_id: uuid.UUID) -> None:
    """Delete the content of a file, and its folder when that is empty."""
    path = location(file_id)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def _chunks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            yield chunk


def wants_whole(task: Any) -> bool:
    """Return whether what is too long for the page should be kept whole: the task's option, else the setting."""
    said = getattr(task, "keep_whole", None)
    return bool(settings.KEEP_WHOLE if said is None else said)


def attach_text(job: str, execution: Any, name: str, text: str) -> None:
    """Keep `text` as a file of the job; a disk that is full costs the file and nothing else."""
    file_id = uuid.uuid4()
    try:
        kept = keep(file_id, [text.encode("utf-8", "replace")])
    except OSError as error:
        logger.warning("Job %s: %s could not be kept: %s", job, name, error)
        return
    _report(job, execution, file_id, name, kept)


def _report(job: str, execution: Any, file_id: uuid.UUID, name: str, kept: dict[str, Any]) -> str | None:
    """Report a file that is complete; return the request to cancel the job, if there is one."""
    execution.files = [*(getattr(execution, "files", None) or []), {"id": str(file_id), "name": name}]
    data = {"execution": execution.id, "file": str(file_id), "name": name, **kept}
    return events.write("file", job, data)[1]


class AttachMixin:
    """`attach` for tasks; outside a job it does nothing."""

    request: Any

    def attach(self, path: str | os.PathLike[str], name: str = "") -> str | None:
        """Keep a copy of the file at `path` as a result of this job, under `name` (default: the path's own).

        Returns the id of the kept file, None outside a job; raises OSError when it cannot be read or kept.
        """
        execution = getattr(self.request, "execution", None)
        if execution is None:
            return None
        file_id = uuid.uuid4()
        kept = keep(file_id, _chunks(Path(path)))
        asked = _report(self.request.id, execution, file_id, name or Path(path).name, kept)
        if asked:
            execution.cancelled = asked
        self.check_cancelled()  # type: ignore[attr-defined]  # ProgressMixin has it
        return str(file_id)
