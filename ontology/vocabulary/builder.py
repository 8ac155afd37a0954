"""Writes the index of a vocabulary: one file that is read in place, so that all processes share its memory.

It is an SQLite database that never changes after it was written. Tables: `terms` (row, id, name, definition, obsolete),
`ids` (every id that leads to a term, alternative ones too), `replacements` (of obsolete terms), `labels` (names and synonyms as
they are compared, with their scope), `first` (how many words the longest label that begins with a word has), `grams` (for
names that are only similar: the rows of the labels that have a group of three letters, as 32-bit numbers), `lengths` (how many
different groups each label has, in the order of the labels), `edges` (child, parent, relation) and `meta`.
"""

import dataclasses
import json
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ontology.vocabulary import words

# Raised when the tables change: an index of another version is made again from its source.
VERSION = 1
SCOPES = ("NAME", "EXACT", "NARROW", "BROAD", "RELATED")
# Longer names are sentences, which no one writes in the same words.
LONGEST_LABEL = 300
_TABLES = """
CREATE TABLE terms (row INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
                    obsolete INTEGER NOT NULL);
CREATE TABLE ids (id TEXT PRIMARY KEY, term INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE replacements (term INTEGER NOT NULL, id TEXT NOT NULL, certain INTEGER NOT NULL);
CREATE TABLE labels (row INTEGER PRIMARY KEY, term INTEGER NOT NULL, text TEXT NOT NULL, scope INTEGER NOT NULL,
                     key TEXT NOT NULL, stem TEXT NOT NULL);
CREATE TABLE first (word TEXT PRIMARY KEY, longest INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE grams (gram TEXT PRIMARY KEY, labels BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE lengths (counts BLOB NOT NULL);
CREATE TABLE edges (child INTEGER NOT NULL, parent INTEGER NOT NULL, relation TEXT NOT NULL,
                    PRIMARY KEY (child, parent, relation)) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX terms_name ON terms (name COLLATE NOCASE);
CREATE INDEX replacements_term ON replacements (term);
CREATE INDEX labels_term ON labels (term);
CREATE INDEX labels_key ON labels (key);
CREATE INDEX labels_stem ON labels (stem);
CREATE INDEX edges_parent ON edges (parent);
"""


@dataclasses.dataclass
class SourceTerm:
    """One term as its file gives it."""

    id: str
    name: str
    definition: str = ""
    synonyms: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # text, scope
    alternative_ids: list[str] = dataclasses.field(default_factory=list)
    parents: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # id, relation
    obsolete: bool = False
    replaced_by: list[str] = dataclasses.field(default_factory=list)
    consider: list[str] = dataclasses.field(default_factory=list)


def build(
    path: Path, terms: list[SourceTerm], meta: dict[str, Any], progress: Callable[[float, float, str], None]
) -> dict[str, int]:
    """Write the index of `terms` to `path`, which must not exist; return what it counts."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096;" + _TABLES)
        connection.execute("BEGIN")
        counts = _fill(connection, terms, progress)
        rows = [*meta.items(), *counts.items(), ("version", VERSION)]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", [(name, json.dumps(value)) for name, value in rows])
        connection.execute("COMMIT")
        connection.executescript(_INDEXES + "ANALYZE;")
    finally:
        connection.close()
    return counts


def _fill(
    connection: sqlite3.Connection, terms: list[SourceTerm], progress: Callable[[float, float, str], None]
) -> dict[str, int]:
    rows = {term.id: number for number, term in enumerate(terms, start=1)}
    connection.executemany(
        "INSERT INTO terms VALUES (?, ?, ?, ?, ?)",
        ((rows[term.id], term.id, term.name, term.definition, term.obsolete) for term in terms),
    )
    connection.executemany("INSERT INTO ids VALUES (?, ?)", _ids(terms, rows).items())
    connection.executemany(
        "INSERT INTO replacements VALUES (?, ?, ?)",
        (
            (rows[term.id], other, certain)
            for term in terms
            for certain, others in ((1, term.replaced_by), (0, term.consider))
            for other in sorted(others)
        ),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO edges VALUES (?, ?, ?)",
        (
            (rows[term.id], rows[parent], relation)
            for term in terms
            for parent, relation in term.parents
            if parent in rows
        ),
    )
    labels = _fill_labels(connection, terms, rows, progress)
    return {"terms": len(terms), "obsolete": sum(term.obsolete for term in terms), "labels": labels}


def _ids(terms: list[SourceTerm], rows: dict[str, int]) -> dict[str, int]:
    """Return the row of the term to which each id leads; an id of its own goes before an alternative one."""
    alternative = {other: rows[term.id] for term in terms for other in term.alternative_ids}
    return {**alternative, **rows}


def _labels(term: SourceTerm) -> Iterator[tuple[str, str]]:
    yield term.name, "NAME"
    yield from term.synonyms


def _fill_labels(
    connection: sqlite3.Connection,
    terms: Iterable[SourceTerm],
    rows: dict[str, int],
    progress: Callable[[float, float, str], None],
) -> int:
    longest: dict[str, int] = {}
    having: dict[str, array[int]] = {}
    lengths = array("H")
    count = 0
    for number, term in enumerate(terms, start=1):
        seen = set()
        for text, scope in _labels(term):
            found = words.words(text) if len(text) <= LONGEST_LABEL else []
            key = " ".join(word.key for word in found)
            if not found or key in seen:
                continue
            seen.add(key)
            count += 1
            stem = " ".join(word.stem for word in found)
            label = (count, rows[term.id], text, SCOPES.index(scope), key, stem)
            connection.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?)", label)
            grams = words.grams(key)
            lengths.append(len(grams))
            for gram in grams:
                having.setdefault(gram, array("I")).append(count)
            longest[found[0].stem] = max(len(found), longest.get(found[0].stem, 0))
        if number % 2000 == 0:
            progress(2, 3, f"Indexing: {number:,} of {len(rows):,} terms")
    connection.executemany("INSERT INTO first VALUES (?, ?)", longest.items())
    connection.executemany(
        "INSERT INTO grams VALUES (?, ?)", ((gram, found.tobytes()) for gram, found in having.items())
    )
    connection.execute("INSERT INTO lengths VALUES (?)", (lengths.tobytes(),))
    return count
