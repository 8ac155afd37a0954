"""The status file of an installation's processes: the supervisor writes it, `/readyz` reads it.

A file, and not Redis: it must be readable when Redis is the part that does not stay up.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobroom.runner.part import Part
from jobroom.runner.shutdown import exists


def path_in(var: Path) -> Path:
    """Return where the file lies in a data folder."""
    return var / "run" / "parts.json"


def write(path: Path, parts: list[Part]) -> None:
    """Write how each part is doing; a disk that is full costs the file and nothing else."""
    rows = {part.name: part.describe() for part in parts}
    draft = path.with_suffix(".part")
    with suppress(OSError):
        draft.write_text(json.dumps({"supervisor": os.getpid(), "parts": rows}))
        draft.replace(path)


def failing(path: Path) -> dict[str, str]:
    """Return the parts that do not stay up, each with a sentence; empty where no supervisor runs."""
    try:
        said: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not exists(int(said["supervisor"])):
        return {}
    return {name: _sentence(row) for name, row in said["parts"].items() if row["failing"]}


def _sentence(row: dict[str, Any]) -> str:
    wait = row["again_at"] - time.time()
    then = f"is started again in {wait:.0f} s" if not row["runs"] and wait > 0 else "was started again"
    return f"does not stay up: it {row['last']}, {row['deaths']} times in a row, and {then}"
