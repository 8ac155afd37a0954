"""Reads an index in place: nothing is loaded, and every process that reads the same file shares its pages."""

import dataclasses
import json
import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from ontology.vocabulary import words
from ontology.vocabulary.builder import SCOPES, VERSION

# Replacements of replacements that are followed.
_LONGEST_CHAIN = 10

_PARENTS = """
SELECT parent, relation FROM edges JOIN terms ON terms.row = parent
WHERE child = ? AND relation IN (SELECT value FROM json_each(?)) ORDER BY terms.name COLLATE NOCASE
"""
_CHILDREN = """
SELECT child, relation FROM edges JOIN terms ON terms.row = child
WHERE parent = ? AND relation IN (SELECT value FROM json_each(?)) ORDER BY terms.name COLLATE NOCASE
"""
_LABELS_OF = "SELECT row, term, text, scope, key, stem FROM labels WHERE term = ? ORDER BY scope, text"
_LABELS_BY_KEY = "SELECT row, term, text, scope, key, stem FROM labels WHERE key = ?"
_LABELS_BY_STEM = "SELECT row, term, text, scope, key, stem FROM labels WHERE stem = ?"
_LABELS_AT = "SELECT row, term, text, scope, key, stem FROM labels WHERE row IN (SELECT value FROM json_each(?))"
_POSTINGS = "SELECT labels FROM grams WHERE gram IN (SELECT value FROM json_each(?))"


class IndexUnusable(Exception):
    """The index cannot be read; the vocabulary has to be loaded again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """One term of a vocabulary."""

    row: int
    id: str
    name: str
    definition: str
    obsolete: bool

    def brief(self) -> dict[str, str]:
        """Return id and name."""
        return {"id": self.id, "name": self.name}


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """A name or synonym of a term."""

    row: int
    term: int
    text: str
    scope: str  # NAME, EXACT, NARROW, BROAD or RELATED
    key: str
    stem: str


class Index:
    """The index of one vocabulary. May be used by many threads and after a fork: each gets a connection of its own."""

    def __init__(self, path: Path, name: str = "", version: int = 0) -> None:
        self._connections: dict[tuple[int, int], sqlite3.Connection] = {}
        self.path = path
        self.name = name
        self.version = version
        try:
            self.meta: dict[str, Any] = {
                name: json.loads(value) for name, value in self._rows("SELECT name, value FROM meta")
            }
        except (sqlite3.Error, ValueError) as error:
            self.close()
            raise IndexUnusable(f"The index of {name or path.name} cannot be read ({error}). Load it again.") from error
        if self.meta.get("version") != VERSION:
            self.close()
            raise IndexUnusable(f"The index of {name or path.name} is of another version. Load it again.")

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of this process; those of a process that was forked from are left to it."""
        mine = [owner for owner in self._connections if owner[0] == os.getpid()]
        for owner in mine:
            self._connections.pop(owner).close()

    def _connection(self) -> sqlite3.Connection:
        owner = (os.getpid(), threading.get_ident())
        found = self._connections.get(owner)
        if found is None:
            address = f"file:{quote(str(self.path))}?mode=ro&immutable=1"
            found = sqlite3.connect(address, uri=True, check_same_thread=False)  # closed by anyone who closes the index
            found.execute(f"PRAGMA mmap_size={self.path.stat().st_size}")
            self._connections[owner] = found
        return found

    def _rows(self, query: str, arguments: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection().execute(query, tuple(arguments)).fetchall()

    # Terms ---------------------------------------------------------------------------------------------------------

    def term(self, term_id: str) -> Term | None:
        """Return the term with this id, also an alternative one; None if there is none."""
        found = self._rows("SELECT term FROM ids WHERE id = ?", (term_id.strip(),))
        return self.at(found[0][0]) if found else None

    def at(self, row: int) -> Term:
        """Return the term in a row."""
        ((term_id, name, definition, obsolete),) = self._rows(
            "SELECT id, name, definition, obsolete FROM terms WHERE row = ?", (row,)
        )
        return Term(row, term_id, name, definition, bool(obsolete))

    def synonyms(self, term: Term) -> list[Label]:
        """Return all labels of a term but its name."""
        return [label for label in map(_label, self._rows(_LABELS_OF, (term.row,))) if label.scope != "NAME"]

    def alternative_ids(self, term: Term) -> list[str]:
        """Return the other ids that lead to a term."""
        found = self._rows("SELECT id FROM ids WHERE term = ? AND id <> ? ORDER BY id", (term.row, term.id))
        return [other for (other,) in found]

    def replacements(self, term: Term) -> tuple[list[str], list[str]]:
        """Return the ids that replace an obsolete term, and those that might."""
        found = self._rows("SELECT id, certain FROM replacements WHERE term = ? ORDER BY id", (term.row,))
        return [other for other, certain in found if certain], [other for other, certain in found if not certain]

    def current(self, term: Term) -> Term | None:
        """Return the term itself, or the one that replaces it; None for an obsolete term without exactly one."""
        for _ in range(_LONGEST_CHAIN):
            if not term.obsolete:
                return term
            certain, _ = self.replacements(term)
            following = self.term(certain[0]) if len(certain) == 1 else None
            if following is None:
                return None
            term = following
        return None

    def parents(self, row: int, relations: tuple[str, ...] = ("is_a",)) -> list[tuple[int, str]]:
        """Return row and relation of each parent, by name."""
        return [(found, relation) for found, relation in self._rows(_PARENTS, (row, json.dumps(relations)))]

    def children(self, row: int, relations: tuple[str, ...] = ("is_a",)) -> list[tuple[int, str]]:
        """Return row and relation of each child, by name."""
        return [(found, relation) for found, relation in self._rows(_CHILDREN, (row, json.dumps(relations)))]

    def roots(self, limit: int = 100) -> list[Term]:
        """Return the terms without parents that have children, and only then the others; obsolete ones are none."""
        query = (
            "SELECT row FROM terms WHERE NOT obsolete AND row NOT IN (SELECT child FROM edges) "
            "ORDER BY row NOT IN (SELECT parent FROM edges), name COLLATE NOCASE LIMIT ?"
        )
        return [self.at(row) for (row,) in self._rows(query, (limit,))]

    # Labels --------------------------------------------------------------------------------------------------------

    def labels(self, key: str) -> list[Label]:
        """Return the labels that are these words."""
        return [_label(row) for row in self._rows(_LABELS_BY_KEY, (key,))]

    def labels_like(self, stem: str) -> list[Label]:
        """Return the labels that are these words but for inflection."""
        return [_label(row) for row in self._rows(_LABELS_BY_STEM, (stem,))]

    def longest_from(self, word: str) -> int:
        """Return how many words the longest label has that begins with this word, given without inflection."""
        found = self._rows("SELECT longest FROM first WHERE word = ?", (word,))
        return int(found[0][0]) if found else 0

    def sharing(self, grams: set[str], limit: int) -> list[Label]:
        """Return the labels that share most groups of three letters with a text (Dice's coefficient), by their rows."""
        # Loading it takes a tenth of the start of a process, and few of them search.
        import numpy as np

        found = [np.frombuffer(blob, np.uint32) for (blob,) in self._rows(_POSTINGS, (json.dumps(sorted(grams)),))]
        if not found:
            return []
        rows, shared = np.unique(np.concatenate(found), return_counts=True)
        ((blob,),) = self._rows("SELECT counts FROM lengths")
        alike = 2 * shared / (np.frombuffer(blob, np.uint16)[rows - 1] + len(grams))
        best = np.lexsort((rows, -alike))[:limit]
        return [_label(row) for row in self._rows(_LABELS_AT, (json.dumps(rows[best].tolist()),))]

    def search(self, text: str, limit: int, offset: int = 0) -> list[tuple[Term, str]]:
        """Return terms by id, or by name or synonym that begins with the text or has a word that does, names first.

        With each comes the label that was found. An empty text finds all terms, by name.
        """
        exact = self.term(text)
        if exact is not None:
            return [(exact, exact.name)] if offset == 0 else []
        key = words.key(text)
        if not key:
            query = "SELECT row, name FROM terms ORDER BY obsolete, name COLLATE NOCASE, id LIMIT ? OFFSET ?"
            return [(self.at(row), name) for row, name in self._rows(query, (limit, offset))]
        query = (
            "SELECT labels.term, text, MIN(2 * (scope > 0) + (key NOT LIKE ? || '%')) AS rank FROM labels "
            "JOIN terms ON terms.row = labels.term WHERE key LIKE ? || '%' OR key LIKE '% ' || ? || '%' "
            "GROUP BY labels.term ORDER BY obsolete, rank, LENGTH(key), key, labels.term LIMIT ? OFFSET ?"
        )
        return [(self.at(row), text) for row, text, _ in self._rows(query, (key, key, key, limit, offset))]


def _label(row: tuple[Any, ...]) -> Label:
    number, term, text, scope, key, stem = row
    return Label(number, term, text, SCOPES[scope], key, stem)
