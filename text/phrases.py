"""Key phrases of a text by TextRank (Mihalcea and Tarau, "TextRank: Bringing Order into Texts", EMNLP 2004).

Words that stand beside one another recommend one another; PageRank finds those that many recommend, and neighbours among
them make a phrase. It needs no corpus to compare with. Words that say nothing are left out by a list that is English.
"""

import math
import re
import unicodedata
from dataclasses import dataclass

# Words recommend those at most so many places further on.
WINDOW = 3
LONGEST = 4
LEAST_LETTERS = 3
# Most words of a text that are looked at, so that a whole novel does not fill the memory.
MOST_WORDS = 50_000
_WORD = re.compile(r"[^\W\d_][\w'\u2019-]*[^\W_]|[^\W\d_]")
_SENTENCE = re.compile(r"[.!?;:()\[\]{}\"“”„«»|\n\r\t…,]+")


@dataclass(frozen=True)
class Phrase:
    """A phrase as it stands in the text, its weight (the best phrase has 1), and how often it is there."""

    phrase: str
    weight: float
    count: int


def key_phrases(text: str, count: int) -> list[Phrase]:
    """Return the `count` most important phrases of a text, the best first; none where there is nothing but small words."""
    runs = _runs(text)
    weights = _weights(runs)
    found: dict[tuple[str, ...], tuple[str, int]] = {}
    for run in runs:
        for length in range(1, min(LONGEST, len(run)) + 1):
            for start in range(len(run) - length + 1):
                words = run[start : start + length]
                key = tuple(word.casefold() for word in words)
                shown, times = found.get(key, (" ".join(words), 0))
                found[key] = (shown, times + 1)
    scored = {key: _score(key, times, weights) for key, (_, times) in found.items() if len(key) == 1 or times > 1}
    for run in runs:  # what the author wrote together counts even if it is there once
        key = tuple(word.casefold() for word in run[:LONGEST])
        scored.setdefault(key, _score(key, found[key][1], weights))
    chosen = _without_parts(sorted(scored, key=lambda key: (-scored[key], key)), count)
    best = max((scored[key] for key in chosen), default=1.0)
    return [Phrase(found[key][0], round(scored[key] / best, 4), found[key][1]) for key in chosen]


def _score(key: tuple[str, ...], times: int, weights: dict[str, float]) -> float:
    """Return the weight of a phrase: that of its words, less for a long one, more for one that is there often."""
    return sum(weights[word] for word in key) / math.sqrt(len(key)) * (1 + math.log(times))


def _runs(text: str) -> list[list[str]]:
    """Return the words between marks and small words, those that stand together in one list."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    runs: list[list[str]] = []
    left = MOST_WORDS
    for sentence in _SENTENCE.split(unicodedata.normalize("NFKC", text)):
        run: list[str] = []
        for word in _WORD.findall(sentence)[:left]:
            left -= 1
            if _is_small(word, ENGLISH_STOP_WORDS):
                runs.append(run)
                run = []
            else:
                run.append(word)
        runs.append(run)
    return [run for run in runs if run]


def _is_small(word: str, known: frozenset[str]) -> bool:
    """Return whether a word says nothing: a short one, one of the list, or a contraction such as don't."""
    return len(word) < LEAST_LETTERS or word.casefold() in known or "'" in word or "\u2019" in word


def _weights(runs: list[list[str]]) -> dict[str, float]:
    import networkx

    words = [word.casefold() for run in runs for word in run]
    graph = networkx.Graph()
    graph.add_nodes_from(words)
    for place, word in enumerate(words):
        for other in words[place + 1 : place + 1 + WINDOW]:
            if other != word:
                weight = graph.get_edge_data(word, other, {"weight": 0})["weight"]
                graph.add_edge(word, other, weight=weight + 1)
    ranks: dict[str, float] = networkx.pagerank(graph) if words else {}
    return ranks


def _without_parts(ranked: list[tuple[str, ...]], count: int) -> list[tuple[str, ...]]:
    """Return the first `count` phrases of which none is a part of one before it."""
    chosen: list[tuple[str, ...]] = []
    for key in ranked:
        joined = f" {' '.join(key)} "
        if not any(joined in f" {' '.join(other)} " for other in chosen):
            chosen.append(key)
        if len(chosen) == count:
            break
    return chosen
