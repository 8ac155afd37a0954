"""Messages out of files that people upload: the SMS Spam Collection's format, CSV, or one message a line.

A file may be anything. It is read line by line, no line is longer than it may be before it is taken into memory, and
what is wrong is reported with the number of its line.
"""

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from text.conf import settings
from text.exceptions import FileRefused

Encoding = Literal["utf-8", "windows-1252"]
SPAM, HAM = "spam", "ham"
LABELS = (HAM, SPAM)
# Names of columns in the first line of a CSV; v1 and v2 are those of a widespread copy of the SMS Spam Collection.
TEXT_COLUMNS = ("message", "text", "sms", "v2")
LABEL_COLUMNS = ("category", "label", "class", "v1")
SEPARATORS = ",;\t"
_LABELLED = re.compile(r"(ham|spam)\t", re.IGNORECASE)
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"PK": "a ZIP file or spreadsheet", b"%P": "a PDF"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a file: the line where it begins, counted from 1, its text, and its label if it has one."""

    line: int
    text: str
    label: str = ""


def messages(path: Path, encoding: str = "utf-8") -> list[Message]:
    """Return the messages of a file, with labels where it has them; raise FileRefused."""
    found: list[Message] = []
    for message in _parsed(_lines(path, encoding)):
        if not message.text.strip():
            continue
        if len(message.text) > settings.MAX_CHARACTERS:
            raise FileRefused(
                f"Line {message.line}: the message has {len(message.text):,} characters; at most "
                f"{settings.MAX_CHARACTERS:,} are allowed (TEXT_MAX_CHARACTERS)."
            )
        if len(found) >= settings.MAX_MESSAGES:
            raise FileRefused(
                f"Line {message.line}: the file has more than {settings.MAX_MESSAGES:,} messages "
                "(TEXT_MAX_MESSAGES). Split it."
            )
        found.append(message)
    if not found:
        raise FileRefused("The file has no messages.")
    return found


def labelled(path: Path, encoding: str = "utf-8") -> list[Message]:
    """Return the messages of a file to learn from or to test with; raise FileRefused where one has no label."""
    found = messages(path, encoding)
    bare = next((message for message in found if not message.label), None)
    if bare is not None:
        raise FileRefused(
            f"Line {bare.line} has no label. Every line is `ham` or `spam`, a tab and the message; or the first line "
            "names the columns of a CSV: Category,Message or label,text."
        )
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; raise FileRefused."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise FileRefused(f"The file cannot be read: {error.strerror}.") from error


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file with their ends; raise FileRefused for what is no line of text."""
    most = 4 * settings.MAX_CHARACTERS + 1000
    try:
        size = path.stat().st_size
        if size == 0:
            raise FileRefused("The file is empty.")
        if size > settings.MAX_BYTES:
            raise FileRefused(f"The file has {size:,} bytes; at most {settings.MAX_BYTES:,} are read (TEXT_MAX_BYTES).")
        with path.open("rb") as content:
            for number, raw in enumerate(iter(lambda: content.readline(most + 1), b""), start=1):
                if len(raw) > most:
                    raise FileRefused(f"Line {number} is longer than {most:,} bytes: this is no file of messages.")
                yield _decoded(raw, number, encoding)
    except OSError as error:
        raise FileRefused(f"The file cannot be read: {error.strerror}.") from error


def _decoded(raw: bytes, number: int, encoding: str) -> str:
    if number == 1:
        kind = next((kind for mark, kind in _MARKS.items() if raw.startswith(mark)), "")
        if kind:
            raise FileRefused(f"The file is {kind}, not plain text. Save it as text or CSV in UTF-8.")
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in raw:
        raise FileRefused(f"Line {number} has a NUL byte: this is no text file. Save it as text or CSV in UTF-8.")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        other = "choose the encoding windows-1252" if encoding == "utf-8" else "choose the encoding utf-8"
        raise FileRefused(
            f"Line {number} is not {encoding}: byte 0x{raw[error.start]:02x} at position {error.start + 1}. "
            f"Save the file as UTF-8, or {other}."
        ) from error


def _parsed(lines: Iterator[str]) -> Iterator[Message]:
    """Yield the messages, in the format that the first line gives."""
    first = next(lines, "")
    if _LABELLED.match(first):
        yield from _pairs(first, lines)
        return
    for separator in SEPARATORS:
        names = [name.strip().strip('"').casefold() for name in first.strip("\r\n").split(separator)]
        if any(name in TEXT_COLUMNS for name in names) and (len(names) > 1 or separator == SEPARATORS[0]):
            yield from _table(names, separator, lines)
            return
    yield Message(1, first.strip("\r\n"))
    for number, line in enumerate(lines, start=2):
        yield Message(number, line.strip("\r\n"))


def _pairs(first: str, lines: Iterator[str]) -> Iterator[Message]:
    """Yield the messages of `label TAB text` lines, the format of the SMS Spam Collection."""
    number, line = 1, first
    while line:
        stripped = line.strip("\r\n")
        if stripped:
            label, tab, text = stripped.partition("\t")
            if not tab:
                raise FileRefused(f"Line {number} has no tab between label and message: {_shown(stripped)}.")
            yield Message(number, text, _label(label, number))
        number, line = number + 1, next(lines, "")


def _table(names: Sequence[str], separator: str, lines: Iterator[str]) -> Iterator[Message]:
    """Yield the messages of a CSV whose columns have these names."""
    text = next(names.index(name) for name in TEXT_COLUMNS if name in names)
    label = next((names.index(name) for name in LABEL_COLUMNS if name in names), None)
    rows = csv.reader(lines, delimiter=separator, strict=True)
    begins = 2
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise FileRefused(f"Line {rows.line_num + 1} is no proper CSV: {error}.") from error
        if row is None:
            return
        if row and any(cell.strip() for cell in row):
            if len(row) != len(names) and (len(names) == 1 or any(row[len(names) :]) or len(row) < len(names)):
                raise FileRefused(
                    f"Line {begins} has {len(row)} columns, the first line names {len(names)}. "
                    "Put messages that contain the separator into quotes."
                )
            yield Message(begins, row[text], _label(row[label], begins) if label is not None else "")
        begins = rows.line_num + 2


def _label(text: str, number: int) -> str:
    label = text.strip().casefold()
    if label not in LABELS:
        raise FileRefused(f"Line {number}: the label is {_shown(text)}; known are ham and spam.")
    return label


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
