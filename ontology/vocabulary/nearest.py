"""Terms that are near: by how their names are written, and by their place in the graph."""

import dataclasses
from collections import deque
from typing import Any

from ontology.vocabulary import words
from ontology.vocabulary.index import Index, Term

# So many labels that share letters with the text are compared whole, and so many letters of each.
_COMPARED = 60
_LETTERS = 200
# Words in common say less than letters in common.
_WORDS = 0.9
# Most terms that a walk through the graph visits.
_VISITED = 20_000
# Simple paths grow exponentially with the diamonds above a term; so many steps are looked at.
_STEPS = 20_000

Relations = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Similar:
    """A term with a name or synonym that is written like the text: score from 0 to 1, distance in letters."""

    term: Term
    label: str
    score: float
    distance: int

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**self.term.brief(), "label": self.label, "score": self.score, "distance": self.distance}


def edit_distance(one: str, two: str) -> int:
    """Return how many letters have to be added, removed, changed or swapped with their neighbour (optimal alignment)."""
    before: list[int] = []
    last = list(range(len(two) + 1))
    for row, letter in enumerate(one, start=1):
        now = [row]
        for column, other in enumerate(two, start=1):
            cost = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == two[column - 2] and one[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        before, last = last, now
    return last[-1]


def _alike(one: str, two: str) -> float:
    return 1 - edit_distance(one, two) / max(len(one), len(two), 1)


def similarity(one: str, two: str) -> float:
    """Return how alike two keys are, from 0 to 1: by letters, by letters of the sorted words, or by common words."""
    first, second = one.split(), two.split()
    common = len(set(first) & set(second))
    by_words = _WORDS * 2 * common / (len(set(first)) + len(set(second)) or 1)
    return max(_alike(one, two), _alike(" ".join(sorted(first)), " ".join(sorted(second))), by_words)


def by_name(index: Index, text: str, count: int = 10, least: float = 0.5) -> list[Similar]:
    """Return the terms whose names or synonyms are most like the text, best first, none below the score `least`.

    Obsolete terms are left out.
    """
    key = words.stem_key(text)[:_LETTERS]
    if not key:
        return []
    best: dict[int, Similar] = {}
    for label in index.sharing(words.grams(key) | words.grams(words.key(text)[:_LETTERS]), _COMPARED):
        stem = label.stem[:_LETTERS]
        score = round(similarity(key, stem), 4)
        known = best.get(label.term)
        if score >= least and (known is None or known.score < score):
            best[label.term] = Similar(index.at(label.term), label.text, score, edit_distance(key, stem))
    found = [similar for similar in best.values() if not similar.term.obsolete]
    return sorted(found, key=lambda similar: (-similar.score, similar.distance, similar.term.id))[:count]


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A term so many steps away; up and down are how many of them lead to parents and to children."""

    term: Term
    distance: int
    up: int
    down: int

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**self.term.brief(), "distance": self.distance, "up": self.up, "down": self.down}


def by_graph(
    index: Index, term: Term, count: int = 10, most: int = 3, relations: Relations = ("is_a",)
) -> list[Neighbour]:
    """Return the terms at most `most` steps (to a parent or a child) from a term, the nearest first."""
    seen = {term.row}
    waiting = deque([(term.row, 0, 0)])
    found: list[Neighbour] = []
    while waiting and len(found) < count and len(seen) < _VISITED:
        row, up, down = waiting.popleft()
        if up + down:
            found.append(Neighbour(index.at(row), up + down, up, down))
        if up + down == most:
            continue
        steps = [(parent, up + 1, down) for parent, _ in index.parents(row, relations)]
        steps += [(child, up, down + 1) for child, _ in index.children(row, relations)]
        for step in steps:
            if step[0] not in seen:
                seen.add(step[0])
                waiting.append(step)
    return found


def paths(
    index: Index, term: Term, relations: Relations = ("is_a",), most: int = 20
) -> tuple[list[list[tuple[Term, str]]], bool]:
    """Return the paths from a term to roots, the shortest first, and whether these are all of them.

    Each step has the relation that led to it, that of the first is empty. A circle in the file ends no path.
    """
    found: list[list[tuple[int, str]]] = []
    waiting: deque[list[tuple[int, str]]] = deque([[(term.row, "")]])
    steps = 0
    while waiting and len(found) < most and steps < _STEPS:
        steps += 1
        path = waiting.popleft()
        above = index.parents(path[-1][0], relations)
        if not above:
            found.append(path)
        visited = {row for row, _ in path}
        waiting.extend([*path, step] for step in above if step[0] not in visited)
    return [[(index.at(row), relation) for row, relation in path] for path in found], not waiting
