"""CSV files that people open in a spreadsheet."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

# A spreadsheet takes a cell that begins so for a formula, and runs it (OWASP, "CSV Injection"); the last four are the
# wide forms of the first ones, which some take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def harmless(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: a text that looks like one gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA) else value


def write(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table as CSV in UTF-8 with a mark, which spreadsheets need to see that it is; return its path."""
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(names)
        writer.writerows([harmless(cell) for cell in row] for row in rows)
    return path
