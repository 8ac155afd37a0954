"""The commands that train and test."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from jobroom.locks import ExclusiveLock
from text.models import SpamModel
from text.tests.conftest import lines

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis"), pytest.mark.timeout(180)]


def run(*argv):
    out = StringIO()
    call_command(*argv, stdout=out, stderr=out)
    return out.getvalue()


def test_training_prints_stages_folds_and_matrix(write):
    printed = run("train_spam_detector", str(write(lines(30))), "--recipe", "bayes")
    for part in ("Cross-validate …", "fold 5", "held out", "→ spam", "Version 1 is promoted."):
        assert part in printed
    assert SpamModel.objects.get().state == "promoted"


def test_a_candidate_may_be_wished_for(write):
    assert "Version 1 is a candidate." in run("train_spam_detector", str(write(lines(30))), "--no-promote")


@pytest.mark.parametrize(
    ("content", "says"),
    [("nonsense\n", "Line 1 has no label"), (lines(3), "3 different ham"), ("", "The file is empty")],
)
def test_nothing_to_learn_is_one_line_and_exit_code_1(write, content, says):
    with pytest.raises(CommandError, match=says):
        run("train_spam_detector", str(write(content)))


def test_two_trainings_at_once_are_one(write):
    with ExclusiveLock("train_spam_detector"), pytest.raises(CommandError, match="already running!"):
        run("train_spam_detector", str(write(lines(30))))


def test_testing_prints_the_report(write, version):
    version(promoted=True)
    printed = run("test_spam_detector", str(write(lines(40))))
    assert printed.startswith("Version 1 of the spam model on messages.tsv")
    assert "all messages" in printed
    assert "precision" in printed
    with pytest.raises(CommandError, match="There is no version 7"):
        run("test_spam_detector", str(write(lines(40))), "--version-number", "7")
    with pytest.raises(CommandError, match="cannot be read"):
        run("test_spam_detector", "/nowhere/at/all")


def test_messages_are_judged_one_by_one(version):
    version(promoted=True)
    printed = run("test_spam_detector", "--message", "WIN a £900 prize now, free!", "--message", "see you at lunch")
    first, second = printed.splitlines()
    assert first.startswith("spam ")
    assert second.startswith("ham ")


def test_one_has_to_say_what(version):
    with pytest.raises(CommandError, match="one of the arguments"):
        run("test_spam_detector")
