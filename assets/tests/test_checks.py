"""Limits with which nothing would work are named at start."""

import pytest

from assets.checks import limits


def test_the_defaults_are_fine():
    assert limits() == []


@pytest.mark.parametrize(("name", "value"), [("MAX_BYTES", 0), ("MEMORY", 1000), ("SECONDS", 0.5), ("PIXELS", 1)])
def test_a_limit_that_lets_nothing_through_is_named(settings, name, value):
    setattr(settings, f"ASSETS_{name}", value)
    (problem,) = limits()
    assert f"ASSETS_{name} is {value}" in problem.msg
    assert "or more" in problem.hint
