"""A schedule that a person writes keeps no secret; one that the settings name still runs."""

from typing import Annotated

import pytest

from jobroom.arguments.redaction import Secret
from jobroom.schedules.services import argument_problems, secret_problems


class Task:
    """Stand for a task."""

    @staticmethod
    def run(title, password="", options=None, code: Annotated[str, Secret] = ""):
        """Do nothing."""


@pytest.mark.parametrize(
    ("args", "kwargs", "field", "name"),
    [
        ([], {"password": "x"}, "kwargs", "password"),
        (["t", "x"], {}, "args", "password"),
        ([], {"code": "x"}, "kwargs", "code"),
        ([], {"options": {"db": [{"api_key": "x"}]}}, "kwargs", "options"),
    ],
)
def test_a_secret_is_named(args, kwargs, field, name):
    [problem] = secret_problems(Task, args, kwargs)
    assert (problem.field, problem.argument) == (field, name)
    assert "leave it out" in problem.text


def test_without_one_there_is_nothing_to_say():
    assert secret_problems(Task, ["t"], {"password": "", "options": {"n": 1}, "code": None}) == []
    assert argument_problems(Task, ["t", "x"], {}) == []
