"""Lines of a calendar from a file that a person chooses: an .ics file, a table (.csv), or lines as they are typed."""

import csv
import re
from typing import IO

from jobroom.arguments import WrongArguments
from jobroom.schedules.services import calendar_import
from jobroom.schedules.services.calendar_days import canonical

# Bytes of a file.
MOST_BYTES = calendar_import.MOST_BYTES
TOO_LARGE = f"It is larger than {MOST_BYTES >> 20} MB. Leave out what has passed, or choose a smaller file."
_LONGEST = 1000  # characters of a row that may be one of a table
_DATE = re.compile(r"(?:\d{4}-\d\d?-\d\d?|\d\d?\.\d\d?\.\d{4})(?:[ T]\d\d?:\d\d)?")


def lines_of(file: IO[bytes], name: str) -> list[str]:
    """Return what the file says as lines of a calendar; raise WrongArguments for the field `file`."""
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _wrong(TOO_LARGE)
    text = _decoded(content)
    if text.lstrip().upper().startswith("BEGIN:VCALENDAR") or name.lower().endswith(".ics"):
        return calendar_import.lines_of(text)
    if "\x00" in text:
        raise _wrong("It is no text. Choose an .ics file, or save the table as CSV (UTF-8).")
    rows = [_row(line) for line in text.splitlines()]
    said = [number for number, line in enumerate(rows) if line]
    if not said:
        raise _wrong("It is empty. Choose another file.")
    first = rows[said[0]]
    if len(said) > 1 and not any(sign.isdigit() for sign in first) and not first.lower().startswith(("every", "#")):
        rows[said[0]] = ""  # the heading of a table; lines keep their numbers
    try:
        return canonical("\n".join(rows)).splitlines()
    except WrongArguments as wrong:
        raise WrongArguments({"file": wrong.errors["days"]}) from wrong


def _decoded(content: bytes) -> str:
    """Return the text: UTF-8, or what spreadsheets of Windows write."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _row(line: str) -> str:
    """Return a row of a table as a line: a day, or the first and the last one, and words; other lines as they are."""
    line = line.strip()
    separator = max(";\t,", key=line.count)
    if len(line) > _LONGEST or not (line[:1].isdigit() or line[:1] == '"'):
        return line
    cells = [" ".join(cell.split()) for cell in next(csv.reader([line], delimiter=separator), [])]
    dates = next((number for number, cell in enumerate(cells) if not _DATE.fullmatch(cell)), len(cells))
    if not 1 <= dates <= 2:
        return line
    return " ".join([" to ".join(cells[:dates]), *filter(None, cells[dates:])])


def _wrong(text: str) -> WrongArguments:
    return WrongArguments({"file": [text]})
