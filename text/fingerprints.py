"""Fingerprints of texts, and which texts are nearly the same.

A text is the set of its shingles, all pieces of five characters; two texts are as similar as the Jaccard index of their
sets, 0 to 1. A MinHash (Broder 1997) estimates it from 128 numbers a text, and buckets of them (locality-sensitive
hashing; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3) find who may be similar without comparing
each with each.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

SHINGLE = 5
NUMBERS = 128
SEED = 1
_NO_WORD = re.compile(r"[\W_]+")


@dataclass
class Group:
    """Texts that are nearly the same as the first of them: their places, and how similar each is to the first."""

    places: list[int]
    similarities: list[float] = field(default_factory=lambda: [1.0])


def plain(text: str) -> str:
    """Return the text without case, accents of width, punctuation and repeated blanks: what is compared."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def shingles(text: str) -> frozenset[str]:
    """Return the pieces of five characters of a plain text; of a shorter one itself."""
    words = plain(text)
    if len(words) <= SHINGLE:
        return frozenset({words})
    return frozenset(words[start : start + SHINGLE] for start in range(len(words) - SHINGLE + 1))


def similarity(first: str, second: str) -> float:
    """Return how similar two texts are, the Jaccard index of their shingles, 0 to 1."""
    return jaccard(shingles(first), shingles(second))


def minhash(text: str) -> Any:
    """Return the MinHash of a text, an object of datasketch."""
    from datasketch import MinHash

    made = MinHash(num_perm=NUMBERS, seed=SEED)
    made.update_batch([piece.encode("utf-8", "surrogatepass") for piece in shingles(text)])
    return made


def numbers(text: str) -> list[int]:
    """Return the MinHash of a text as 128 whole numbers; the share of equal ones estimates the similarity."""
    return [int(value) for value in minhash(text).hashvalues]


def estimated(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the similarity that two MinHashes give, 0 to 1."""
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def groups(texts: Sequence[str], threshold: float, each: Callable[[int], None] = lambda done: None) -> list[Group]:
    """Return the groups of two or more texts that are similar to the first of their group by at least `threshold`.

    Each text joins the most similar of the groups before it, or begins one of its own. So no chain of small changes
    leads from a text to one that has nothing in common with it, and a flood of the same message is compared only with
    its first. `each` is called with the number of texts that are done.
    """
    from datasketch import MinHashLSH

    # To miss a pair is worse than to look at one in vain: candidates are compared exactly.
    buckets = MinHashLSH(threshold=threshold, num_perm=NUMBERS, weights=(0.1, 0.9))
    begun: list[Group] = []
    same: dict[str, tuple[Group, float]] = {}
    for place, text in enumerate(texts):
        words = plain(text)
        if words in same:
            group, likeness = same[words]
            group.places.append(place)
            group.similarities.append(likeness)
        else:
            same[words] = _joined(place, text, texts, begun, buckets, threshold)
        each(place + 1)
    return [group for group in begun if len(group.places) > 1]


def _joined(
    place: int, text: str, texts: Sequence[str], begun: list[Group], buckets: Any, threshold: float
) -> tuple[Group, float]:
    """Put a text into the most similar group, or into a new one; return the group and the similarity to its first."""
    pieces, fingerprint = shingles(text), minhash(text)
    near = [
        (jaccard(pieces, shingles(texts[begun[number].places[0]])), -number) for number in buckets.query(fingerprint)
    ]
    likeness, number = max(near, default=(0.0, 0))
    if likeness >= threshold:
        group = begun[-number]
        group.places.append(place)
        group.similarities.append(likeness)
        return group, likeness
    group = Group([place])
    buckets.insert(len(begun), fingerprint, check_duplication=False)
    begun.append(group)
    return group, 1.0


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the share of common elements of all that two sets have, 0 to 1."""
    common = len(first & second)
    return common / (len(first) + len(second) - common)
