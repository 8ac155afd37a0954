"""Fingerprints: what they estimate, and which groups come out."""

import random

import pytest

from text import fingerprints
from text.fingerprints import groups


def sentence(chance, words=12):
    return " ".join("".join(chance.choice("abcdefghijklmnop") for _ in range(6)) for _ in range(words))


def test_similarity_is_the_jaccard_index_of_shingles():
    assert fingerprints.shingles("Ab, cd-EF") == {"ab cd", "b cd ", " cd e", "cd ef"}
    assert fingerprints.similarity("abcdef", "abcdeX") == pytest.approx(1 / 3)
    assert fingerprints.similarity("", "") == 1
    assert fingerprints.similarity("Hello!", "hello") == 1


def test_the_estimate_is_near_the_truth():
    chance = random.Random(11)
    for kept in (3, 6, 9, 12):
        first = sentence(chance).split()
        second = first[:kept] + sentence(chance).split()[kept:]
        truth = fingerprints.similarity(" ".join(first), " ".join(second))
        estimate = fingerprints.estimated(fingerprints.numbers(" ".join(first)), fingerprints.numbers(" ".join(second)))
        assert estimate == pytest.approx(truth, abs=0.15)


def test_groups_are_those_that_comparing_each_with_each_would_find():
    chance = random.Random(7)
    texts = []
    for _ in range(40):
        base = sentence(chance)
        texts += [base, f"{base[:-3]}xyz", base.upper()] if chance.random() < 0.5 else [base]
    chance.shuffle(texts)
    found = {place: number for number, group in enumerate(groups(texts, 0.7)) for place in group.places}
    for one in range(len(texts)):
        for other in range(one):
            alike = fingerprints.similarity(texts[one], texts[other]) >= 0.7
            assert alike == (one in found and found.get(one) == found.get(other))


def test_each_member_is_similar_to_the_first_of_its_group():
    base = "the quick brown fox jumps over the lazy dog and runs away"
    chain = [base[: len(base) - cut] + "z" * cut for cut in range(0, 40, 4)]
    for group in groups(chain, 0.6):
        for place, likeness in zip(group.places, group.similarities, strict=True):
            assert likeness >= 0.6
            assert likeness == pytest.approx(fingerprints.similarity(chain[group.places[0]], chain[place]))


def test_a_flood_of_the_same_is_one_group_and_quick():
    texts = [f"Win a prize! Call 0909 879 {number:04} now, this offer ends today" for number in range(3000)]
    (group,) = groups(texts, 0.6)
    assert len(group.places) == 3000


def test_progress_is_reported():
    steps = []
    assert groups(["a", "b", "a"], 0.9, steps.append)[0].places == [0, 2]
    assert steps == [1, 2, 3]
