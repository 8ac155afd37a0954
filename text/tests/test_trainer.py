"""Training and measuring, without a database."""

import random

import pytest

from text import message_files, registry
from text.spam import recipes, trainer
from text.spam.measures import Measures, mean, measured
from text.spam.trainer import Example
from text.tests.conftest import lines


def examples(content):
    return [Example(text, label == "spam") for label, text in (line.split("\t", 1) for line in content.splitlines())]


def test_measures_are_those_of_the_textbooks():
    found = measured([True, True, True, False, False], [0.9, 0.6, 0.2, 0.7, 0.1])
    assert found.confusion == [[1, 1], [1, 2]]
    assert (found.messages, found.spam) == (5, 3)
    assert (found.precision, found.recall, found.f1, found.accuracy) == (0.6667, 0.6667, 0.6667, 0.6)
    assert found.brier == pytest.approx((0.01 + 0.16 + 0.64 + 0.49 + 0.01) / 5)


def test_measures_agree_with_scikit_learn():
    from sklearn.metrics import brier_score_loss, confusion_matrix, f1_score

    chance = random.Random(5)
    truth = [chance.random() < 0.3 for _ in range(500)]
    said = [min(1, max(0, value + chance.gauss(0, 0.4))) for value in truth]
    found = measured(truth, said)
    labels = [value >= 0.5 for value in said]
    assert found.f1 == pytest.approx(f1_score(truth, labels), abs=1e-4)
    assert found.confusion == confusion_matrix(truth, labels).tolist()
    assert found.brier == pytest.approx(brier_score_loss(truth, said), abs=1e-4)


def test_nothing_right_is_zero_and_no_error():
    assert measured([True, False], [0.1, 0.9]).f1 == 0
    assert measured([], []).accuracy == 0


def test_the_mean_has_its_spread():
    def fold(f1):
        return Measures(1, 1, f1, f1, f1, f1, 0, [])

    assert mean([fold(0.9), fold(1.0)])["f1"] == 0.95
    assert mean([fold(0.9), fold(1.0)])["f1_spread"] == 0.05


def test_a_message_is_held_out_in_every_training_or_in_none():
    first, second = examples(lines(60)), examples(lines(90))
    chance = random.Random(3)
    chance.shuffle(second)
    held = {example.text for example in trainer.divided(first).held_out}
    also = {example.text for example in trainer.divided(second).held_out}
    assert held == also & {example.text for example in first}
    assert 0.1 < len(also) / len(second) < 0.3
    assert not also & {example.text for example in trainer.divided(second).learned}


def test_repeated_messages_count_once_and_contradictions_not_at_all():
    found = trainer.divided([
        *examples(lines(20)), Example("See YOU  at nine", False), Example("see you at nine", False),
        Example("both", True), Example("BOTH", False),
    ])  # fmt: skip
    assert (found.repeated, found.contradictory) == (2, 1)
    assert len(found.learned) + len(found.held_out) == 41


def test_a_few_of_each_kind_are_always_held_out():
    found = trainer.divided(examples(lines(10)))
    assert sum(example.is_spam for example in found.held_out) >= 3
    assert sum(not example.is_spam for example in found.held_out) >= 3


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_every_recipe_learns_and_says_a_probability(recipe):
    divided = trainer.divided(examples(lines(30)))
    model = trainer.fitted(divided.learned, recipe)
    assert trainer.judged(model, divided.held_out).f1 > 0.9
    spam, ham = trainer.probabilities(model, ["WIN a £900 prize now, call baba free!", "see you at lunch my friend"])
    assert 0 <= ham < 0.5 < spam <= 1
    assert trainer.probabilities(model, []) == []


def test_the_same_messages_make_the_same_model():
    divided = trainer.divided(examples(lines(30)))
    texts = ["call me free at lunch", "£5 £6", "", "\U0001f600", "a" * 20_000]
    first, second = (trainer.fitted(divided.learned) for _ in range(2))
    assert trainer.probabilities(first, texts) == trainer.probabilities(second, texts)
    assert list(trainer.cross_validated(divided.learned)) == list(trainer.cross_validated(divided.learned))


def test_digits_and_wide_letters_are_made_equal():
    assert recipes.prepared(["Call 0909 \uff26\uff32\uff25\uff25", "\u0663"]) == ["Call 0000 FREE", "0"]


def test_the_sentences_that_come_along_make_a_fair_model():
    messages = message_files.labelled(registry.FIRST_DATA)
    assert 150 <= len(messages) <= 200
    divided = trainer.divided(registry.examples_of(messages))
    assert (divided.repeated, divided.contradictory) == (0, 0)
    assert mean(list(trainer.cross_validated(divided.learned)))["f1"] > 0.85


@pytest.mark.timeout(180)
def test_the_default_recipe_keeps_its_promise_on_real_messages(sms):
    divided = trainer.divided(registry.examples_of(message_files.labelled(sms)))
    held_out = trainer.judged(trainer.fitted(divided.learned), divided.held_out)
    assert held_out.f1 >= 0.95
