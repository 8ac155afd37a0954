"""Help with a failure: the frame of the project's own code, the last success, other jobs with the same cause."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from django.conf import settings

from jobroom.arguments.redaction import hide
from jobroom.jobs import failures, policies
from jobroom.jobs.catalogue import named_arguments
from jobroom.jobs.models import Job, State
from jobroom.users import User

# So many of the task's newest jobs are looked at.
LOOKED_AT = 200
# Lines of code before and after the failing one.
AROUND = 4


@dataclasses.dataclass(frozen=True)
class Frame:
    """One place of a traceback."""

    file: str
    line: int
    name: str
    code: str
    text: str = ""  # as it stands in the traceback
    around: tuple[tuple[int, str], ...] = ()  # lines of the file with their numbers, where it still is as it was

    def split(self, traceback: str) -> tuple[str, str, str]:
        """Return the traceback before, of and after this frame."""
        before, found, after = traceback.rpartition(self.text) if self.text else (traceback, "", "")
        return (before, found, after)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A failed job beside others of its task."""

    frame: Frame | None  # the deepest one in the project's own code
    success: Job | None  # the last job of the task that succeeded
    differences: list[tuple[str, str, str]]  # argument, of the success, of this one
    alike: list[Job]  # others that failed for the same reason, the newest first


def of(job: Job, user: User) -> Comparison | None:
    """Return what there is to compare a failed job with, among what the user may see and read; None for other jobs."""
    if job.state not in (State.FAILED, State.LOST):
        return None
    newest = list(
        Job.objects.visible_to(user)
        .filter(task=job.task)
        .newest_first()
        .defer("result", "traceback", "facts")[:LOOKED_AT]
    )
    readable = [one for one in newest if one.pk != job.pk and policies.may_see_arguments(user, one)]
    success = next((one for one in readable if one.state == State.SUCCEEDED and not one.answer_of), None)
    return Comparison(
        frame=own_frame(job.traceback),
        success=success,
        differences=differences(success, job) if success else [],
        alike=[one for one in readable if _same_cause(one, job)],
    )


def _same_cause(one: Job, job: Job) -> bool:
    if one.fingerprint and job.fingerprint:
        return one.fingerprint == job.fingerprint
    # One of them was recorded before causes were.
    if one.state != job.state or one.error_type != job.error_type:
        return False
    first, second = (each.error.strip().partition("\n")[0] for each in (one, job))
    return failures.alike(first) == failures.alike(second)


def differences(before: Job, job: Job) -> list[tuple[str, str, str]]:
    """Return the arguments in which two jobs differ, with both values; “—” stands for one that was left out."""
    old, new = (dict(named_arguments(each)) for each in (before, job))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [(name, _text(old, name), _text(new, name)) for name in names]


def _text(values: dict[str, Any], name: str) -> str:
    if name not in values:
        return "—"
    value = hide(values[name])
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:199]}…"


def own_frame(traceback: str) -> Frame | None:
    """Return the deepest frame of a traceback that is in the project's code and in no library; None where none is."""
    base = str(getattr(settings, "BASE_DIR", ""))
    best = next(iter(reversed(failures.own_frames(traceback))), None)
    if best is None:
        return None
    file = best["file"].removeprefix(f"{base}/") if base else best["file"]
    around = _lines_around(best["file"], int(best["line"]), best["code"] or "", base)
    return Frame(file, int(best["line"]), best["name"], best["code"] or "", best[0], around)


def _lines_around(file: str, line: int, code: str, base: str) -> tuple[tuple[int, str], ...]:
    """Return the lines around one of the project's own code, none where the file is away, or another than it was."""
    path = Path(file)
    if not base or path.suffix != ".py" or not path.resolve().is_relative_to(base):
        return ()
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError):
        return ()
    if not code or not 0 < line <= len(lines) or lines[line - 1].strip() != code.strip():
        return ()
    first = max(1, line - AROUND)
    return tuple((number, lines[number - 1]) for number in range(first, min(len(lines), line + AROUND) + 1))
