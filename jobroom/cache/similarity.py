"""Fingerprints that measure how similar two contents are, and the buckets in which similar ones are found.

Two kinds, both for code that computes them (no library is needed here): a SimHash (Charikar 2002), 64 bits of which alike
contents share most, and a MinHash (Broder 1997), a list of numbers of which alike contents share most. Only answers that
share a *band* of the fingerprint are compared (locality-sensitive hashing: Leskovec, Rajaraman, Ullman, "Mining of
Massive Datasets", chapter 3).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

# Bits of a SimHash.
BITS = 64
# Most bands of one fingerprint: each is a bucket in Redis.
MOST_BANDS = 32
# A pair of MinHashes that is just alike enough meets in a bucket with at least this probability.
FOUND = 0.99


@dataclasses.dataclass(frozen=True)
class Similar:
    """What `fingerprint=` returns where the answer of something *nearly* the same will do.

    Args:
        bits: a SimHash, as a whole number of 64 bits, or a MinHash, as a sequence of whole numbers of which two
            fingerprints have equally many.
        threshold: least likeness of a near-duplicate, above 0 and at most 1: the share of equal bits of a SimHash, of
            equal numbers of a MinHash.
        exact: what must be the same all the same, such as the language.

    Raises ValueError, which says what is wrong.

    """

    bits: int | Sequence[int]
    threshold: float = 0.95
    exact: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold!r}: give a share above 0 and at most 1.")
        if isinstance(self.bits, int):
            if not 0 <= self.bits < 1 << BITS:
                raise ValueError(f"bits: a SimHash is a whole number from 0 to 2^{BITS} - 1.")
            return
        numbers = tuple(int(number) for number in self.bits)
        if not numbers:
            raise ValueError("bits: a MinHash has at least one number.")
        object.__setattr__(self, "bits", numbers)

    def likeness(self, other: Any) -> float:
        """Return the share, 0 to 1, in which `other`, the `bits` of another fingerprint, is the same; 0 for another kind."""
        if isinstance(self.bits, int):
            return 1 - (self.bits ^ other).bit_count() / BITS if isinstance(other, int) else 0.0
        if isinstance(other, int) or len(other) != len(self.bits):
            return 0.0
        same = sum(1 for a, b in zip(self.bits, other, strict=True) if a == b)
        return same / len(self.bits)

    def bands(self) -> list[str]:
        """Return the names of the buckets in which alike fingerprints meet."""
        return self._bands_of_bits(self.bits) if isinstance(self.bits, int) else self._bands_of_numbers(self.bits)

    def _bands_of_bits(self, bits: int) -> list[str]:
        """Cut the bits into one piece more than may differ: two that are alike enough share at least one piece."""
        differing = int(BITS * (1 - self.threshold) + 1e-9)
        count = min(differing + 1, MOST_BANDS)
        edges = [BITS * n // count for n in range(count + 1)]
        return [
            f"{count}.{n}.{(bits >> low) & ((1 << (high - low)) - 1):x}"
            for n, (low, high) in enumerate(itertools.pairwise(edges))
        ]

    def _bands_of_numbers(self, numbers: Sequence[int]) -> list[str]:
        rows = _rows(len(numbers), self.threshold)
        pieces = [numbers[start : start + rows] for start in range(0, len(numbers) - rows + 1, rows)][:MOST_BANDS]
        return [f"{rows}.{n}.{'-'.join(f'{number:x}' for number in piece)}" for n, piece in enumerate(pieces)]


def _rows(numbers: int, threshold: float) -> int:
    """Return the longest band for which a pair at the threshold is found with probability FOUND; at least one number."""
    for rows in range(numbers, 1, -1):
        bands = min(numbers // rows, MOST_BANDS)
        if 1 - (1 - threshold**rows) ** bands >= FOUND:
            return rows
    return 1
