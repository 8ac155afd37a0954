"""Options with which nothing would work are named at start."""

import pytest

from text.checks import limits, training_file


def test_the_defaults_are_fine():
    assert limits() == training_file() == []


@pytest.mark.parametrize(("name", "value"), [("MAX_BYTES", 0), ("LEAST_EXAMPLES", 4), ("PROMOTE_MARGIN", -0.1)])
def test_a_limit_that_lets_nothing_through_is_named(settings, name, value):
    setattr(settings, f"TEXT_{name}", value)
    (problem,) = limits()
    assert f"TEXT_{name} is {value}" in problem.msg


def test_a_training_file_that_is_not_there_is_reported(settings, tmp_path):
    settings.TEXT_TRAINING_FILE = str(tmp_path / "gone.tsv")
    (problem,) = training_file()
    assert "is no file on this machine" in problem.msg
    (tmp_path / "gone.tsv").touch()
    assert training_file() == []
