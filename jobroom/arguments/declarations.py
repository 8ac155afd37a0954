"""What a task's author declares about an argument beside its type: `Argument` for the form, `File` for an upload."""

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Pairs of value and label, or plain values that are their own labels.
Choices = Sequence[Any]
Answers = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Argument:
    """What a form shows about one argument; put it into `Annotated`.

    `choices`, `visible` and `default` may be functions of the answers so far (a dict, possibly incomplete): the form asks
    them again whenever an answer changes.
    """

    title: str = ""
    help: str = ""
    group: str = ""
    order: int = 0
    multiline: bool = False
    suffixes: tuple[str, ...] = ()  # of a file, with the dot: (".ply", ".stl")
    choices: Choices | Callable[[Answers], Choices] | None = None
    visible: Callable[[Answers], bool] | None = None
    default: Callable[[Answers], Any] | None = None
    size: str | Callable[[Any], float] | None = None


class File:
    """Hint for an uploaded file: `run` gets an object of this type; on the wire it is the file's id."""

    # Set by the app that keeps files: turns an id into an object, and raises ValueError for an unknown one.
    load: typing.ClassVar[Callable[[str], "File"] | None] = None

    id: str
    name: str
    path: Path
    sha256: str = ""  # of the content; empty when no one has computed it
