"""Finds the terms of a vocabulary in texts, and the term that a value means."""

import dataclasses
import itertools
import re
from typing import Any

from ontology.vocabulary import words
from ontology.vocabulary.index import Index, Label, Term
from ontology.vocabulary.words import Word

# How sure a term is, by what of it was found.
CONFIDENCE = {"id": 1.0, "NAME": 1.0, "EXACT": 0.95, "NARROW": 0.75, "BROAD": 0.7, "RELATED": 0.65}
HOW = {
    "id": "id", "NAME": "name", "EXACT": "exact synonym", "NARROW": "narrow synonym", "BROAD": "broad synonym",
    "RELATED": "related synonym",
}  # fmt: skip
# Found only when the inflection is left out.
INFLECTED = 0.95
# Of two terms so close in confidence neither is chosen: a name is no better than an exact synonym.
AMBIGUOUS = 0.1
# A phrase does not go on over these.
_BREAK = re.compile(r"[,;:!?()\[\]{}|]|\n\s*\n|[.]\s")
_ID = re.compile(r"\b[A-Za-z][A-Za-z0-9_]{0,30}:[A-Za-z0-9_.-]{1,60}\b")
# Labels of so few letters are found only as they are written: “an” is a word, “AN” may be a term.
_SHORT = 2
# Words that are no names, even where a vocabulary has them as a synonym.
_COMMON = frozenset(
    [
        "the",
        "and",
        "for",
        "not",
        "are",
        "was",
        "were",
        "has",
        "had",
        "have",
        "with",
        "from",
        "this",
        "that",
        "these",
        "those",
        "all",
        "any",
        "may",
        "can",
    ]
)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One meaning of some words."""

    term: Term  # what is to be used: of an obsolete term its replacement
    label: str
    how: str
    confidence: float
    replaces: Term | None = None

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        found: dict[str, Any] = {
            **self.term.brief(),
            "label": self.label,
            "how": self.how,
            "confidence": self.confidence,
        }
        if self.replaces is not None:
            found["replaces"] = self.replaces.brief()
        if self.term.obsolete:
            found["obsolete"] = True
        return found


def chosen(candidates: list[Candidate]) -> Candidate | None:
    """Return the first of some meanings, best first, None where there is none or another is about as likely."""
    if not candidates or (candidates[1:] and candidates[0].confidence - candidates[1].confidence < AMBIGUOUS):
        return None
    return candidates[0]


@dataclasses.dataclass(frozen=True)
class Match:
    """Some words of a text, from `start` to `end` (characters), and what they mean: best first, at least one."""

    text: str
    start: int
    end: int
    candidates: list[Candidate]

    @property
    def best(self) -> Candidate | None:
        """The meaning, None where several terms are as likely."""
        return chosen(self.candidates)

    def described(self, vocabulary: str) -> dict[str, Any]:
        """Return it as JSON: `term` null and `candidates` where it is ambiguous."""
        best = self.best
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "vocabulary": vocabulary,
            "term": best.described() if best else None,
            "candidates": [] if best else [candidate.described() for candidate in self.candidates],
        }


def meanings(index: Index, text: str) -> list[Candidate]:
    """Return what the whole text means, best first; empty when it is no name, synonym or id of a term.

    Case, accents and punctuation do not count, nor does inflection where nothing fits exactly.
    """
    by_id = index.term(text)
    if by_id is not None:
        return _candidates(index, [(by_id, by_id.id, "id", 1.0)])
    return _of_words(index, words.words(text), text.strip())


def _of_words(index: Index, found: list[Word], written: str) -> list[Candidate]:
    if not found:
        return []
    exact = index.labels(" ".join(word.key for word in found))
    labels = exact or index.labels_like(" ".join(word.stem for word in found))
    if len(found) == 1 and found[0].key in _COMMON:
        return []
    if len(found) == 1 and len(found[0].key) <= _SHORT:
        labels = [label for label in exact if label.text == written]
    factor = 1.0 if exact else INFLECTED
    return _candidates(index, [_from_label(index, label, factor) for label in labels])


def _from_label(index: Index, label: Label, factor: float) -> tuple[Term, str, str, float]:
    how = HOW[label.scope] + ("" if factor == 1.0 else ", inflected")
    return index.at(label.term), label.text, how, round(CONFIDENCE[label.scope] * factor, 4)


def _candidates(index: Index, found: list[tuple[Term, str, str, float]]) -> list[Candidate]:
    """Return one candidate for each term; obsolete terms give way to their replacement, or come last without one."""
    by_term: dict[int, Candidate] = {}
    for term, label, how, confidence in found:
        current = index.current(term)
        kept = current or term
        sure = confidence if current else confidence / 2
        candidate = Candidate(kept, label, how, sure, term if current and current != term else None)
        other = by_term.get(kept.row)
        if other is None or (other.confidence, other.replaces is None) < (sure, candidate.replaces is None):
            by_term[kept.row] = candidate
    return sorted(by_term.values(), key=lambda candidate: (-candidate.confidence, candidate.term.id))


def annotate(index: Index, text: str) -> list[Match]:
    """Return the terms in a text from left to right, the longest where some overlap."""
    found = words.words(text)
    ids = _ids(index, text)
    matches = list(ids)
    at = 0
    while at < len(found):
        match = _longest(index, text, found, at, ids)
        if match is None:
            at += 1
        else:
            matches.append(match)
            at = next((n for n in range(at, len(found)) if found[n].start >= match.end), len(found))
    return sorted(matches, key=lambda match: match.start)


def _ids(index: Index, text: str) -> list[Match]:
    found = []
    for match in _ID.finditer(text):
        term = index.term(match.group())
        if term is not None:
            candidates = _candidates(index, [(term, term.id, "id", 1.0)])
            found.append(Match(match.group(), match.start(), match.end(), candidates))
    return found


def _longest(index: Index, text: str, found: list[Word], at: int, taken: list[Match]) -> Match | None:
    most = min(index.longest_from(found[at].stem), len(found) - at)
    for count in range(most, 0, -1):
        part = found[at : at + count]
        start, end = part[0].start, part[-1].end
        between = " ".join(text[one.end : two.start] for one, two in itertools.pairwise(part))
        if _BREAK.search(between) or any(start < other.end and other.start < end for other in taken):
            continue
        candidates = _of_words(index, part, text[start:end])
        if candidates:
            return Match(text[start:end], start, end, candidates)
    return None
