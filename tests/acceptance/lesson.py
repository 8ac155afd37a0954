"""Reads a lesson of the tutorial as its reader does: what to write where, what to type, and what should be seen."""

import dataclasses
import re
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WRITE = re.compile(r"Write `([^`]+)`:\s*$")
_APPEND = re.compile(r"Add to the end of `([^`]+)`:\s*$")
_REPLACE = re.compile(r"Replace (`(?P<function>\w+)`|the decorator) in `(?P<path>[^`]+)` by\s*$")
_HEAD = re.compile(r"^def .*: \.\.\.\n\Z", re.MULTILINE)
_BEGIN = re.compile(r"begin the file with\s*$")
_SEEN = re.compile(
    r"(?:page `(?P<page>/[^`]*)`|(?P<terminal>first terminal)) (?:shows|says)(?P<each>, once for each process,)? “(?P<text>[^”]+)”"
)
_STOP = re.compile(r"Stop the first terminal with Ctrl-C")


@dataclasses.dataclass(frozen=True)
class Write:
    """A file to be written."""

    path: str
    text: str


@dataclasses.dataclass(frozen=True)
class Append:
    """Lines for the end of a file."""

    path: str
    text: str


@dataclasses.dataclass(frozen=True)
class Begin:
    """Lines for the beginning of a file."""

    path: str
    text: str


@dataclasses.dataclass(frozen=True)
class Replace:
    """Lines in place of a function with its decorator, or of the decorator alone when `function` is empty."""

    path: str
    function: str
    text: str


@dataclasses.dataclass(frozen=True)
class Start:
    """Commands for the first terminal, the last of which goes on."""

    commands: str


@dataclasses.dataclass(frozen=True)
class Stop:
    """Ctrl-C in the first terminal."""


@dataclasses.dataclass(frozen=True)
class Type:
    """Commands for the second terminal, and lines that they print; `…` stands for anything."""

    commands: str
    printed: str = ""


@dataclasses.dataclass(frozen=True)
class See:
    """A text that a page shows, or the first terminal: with `each` as often as it said what was looked for before."""

    text: str
    page: str = ""
    each: bool = False


Step = Write | Append | Begin | Replace | Start | Stop | Type | See


def steps(page: Path) -> list[Step]:
    """Return what the lesson asks for, in order; fail at a block of code that it does not say what to do with."""
    text = page.read_text()
    found: list[Step] = []
    at = 0
    path = ""  # the file that was spoken of last
    for block in _FENCE.finditer(text):
        said = text[at : block.start()]
        at = block.end()
        found += _steps(said)
        step = _step(block.group(1), block.group(2), said, path)
        path = getattr(step, "path", path)
        if isinstance(step, str):
            before = found[-1] if isinstance(found[-1], Type) else next(s for s in found[::-1] if isinstance(s, Type))
            found[found.index(before)] = dataclasses.replace(before, printed=step)
        else:
            found.append(step)
    return found + _steps(text[at:])


def _steps(said: str) -> list[Step]:
    """Return what a passage without code says is to be done or seen, in order."""
    one_line = re.sub(r"\s*\n\s*", " ", said)
    places: list[tuple[int, Step]] = [(m.start(), Stop()) for m in _STOP.finditer(one_line)]
    places += [(m.start(), See(m["text"], m["page"] or "", bool(m["each"]))) for m in _SEEN.finditer(one_line)]
    return [step for _, step in sorted(places, key=lambda place: place[0])]


def _step(language: str, code: str, said: str, path: str) -> Step | str:
    """Return the step that a block of code is; for what a command prints, the text."""
    if language == "text":
        return code
    if language == "sh":
        return Start(code) if "manage.py up" in code else Type(code)
    last = said.strip().split("\n\n")[-1].replace("\n", " ")
    if match := _WRITE.search(last):
        return Write(match[1], code)
    if match := _APPEND.search(last):
        return Append(match[1], code)
    if match := _REPLACE.search(last):
        # Below a decorator alone stands the head of its function, to show where it belongs.
        return Replace(match["path"], match["function"] or "", code if match["function"] else _HEAD.sub("", code))
    if _BEGIN.search(last) and path:
        return Begin(path, code)
    raise AssertionError(
        f"The lesson does not say what to do with this {language}: {code[:80]!r} after {last[-120:]!r}"
    )


def edited(text: str, step: Append | Begin | Replace) -> str:
    """Return the text of a file after what the lesson asks for."""
    if isinstance(step, Append):
        return f"{text}\n{step.text}"
    if isinstance(step, Begin):
        return step.text + text
    decorator, function = r"^@app\.task\(.*?(?=^def )", r"^def NAME\(.*?(?=^\S|\Z)"
    pattern = decorator + function.replace("NAME", step.function) if step.function else decorator
    new, count = re.subn(pattern, lambda _: step.text, text, flags=re.MULTILINE | re.DOTALL)
    assert count == 1, f"{step.path} has {count} places to replace"
    return new


def printed(wanted: str, output: str) -> bool:
    """Return whether the output has the wanted lines, in order; `…` in them stands for anything within a line."""
    pattern = "(.*\n)*?".join(re.escape(line).replace("…", ".*") + r"\s*\n" for line in wanted.rstrip("\n").split("\n"))
    return re.search(pattern, output + "\n") is not None
