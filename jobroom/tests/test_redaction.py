"""No secret gets through, and nothing else is hidden."""

import functools
from typing import Annotated, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobroom.arguments.redaction import HIDDEN, Secret, hide, hide_arguments, hide_in_text, is_secret_name, secrets_of


def submit(title, password, *tokens, code: Annotated[str, Secret] = "", pin: Annotated[str, Secret] | None = None, **o):
    """Stand for a task's `run`."""


def old_style(code: Optional[Annotated[str, Secret()]], other: int = 0):  # noqa: UP045 — what is tested
    """Stand for a task whose author marks with an instance, inside Optional."""


def unknown_type(user: "NotHere", code: "Annotated[str, Secret]", password: str):  # noqa: F821 — what is tested
    """Stand for a task with an annotation that cannot be evaluated."""


@pytest.mark.parametrize(
    "name", ["password", "passwd", "API_KEY", "apikey", "usi_token", "Authorization", "privateKey"]
)
def test_secret_names_are_known_in_any_case(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["title", "key", "author", "pass_count", "monkey"])
def test_ordinary_names_are_not_secret(name):
    assert not is_secret_name(name)


def test_arguments_are_hidden_by_name_at_any_position():
    assert hide_arguments(submit, ["t", "pw"], {"api_key": "k", "n": 1}) == (
        ["t", HIDDEN],
        {"api_key": HIDDEN, "n": 1},
    )


def test_the_name_of_star_arguments_counts():
    assert hide_arguments(submit, ["t", "pw", "a", "b"], {})[0] == ["t", HIDDEN, HIDDEN, HIDDEN]


def test_arguments_are_hidden_by_annotation_also_when_optional():
    assert hide_arguments(submit, [], {"code": "c", "pin": "p"})[1] == {"code": HIDDEN, "pin": HIDDEN}
    assert hide_arguments(old_style, ["c", 3], {}) == ([HIDDEN, 3], {})


def test_an_annotation_that_cannot_be_evaluated_hides_nothing_less():
    assert hide_arguments(unknown_type, ["ada", "c", "p"], {}) == (["ada", HIDDEN, HIDDEN], {})


def test_a_decorated_method_is_seen_through():
    class Task:
        @functools.wraps(submit)
        def wrapped(*args, **kwargs):
            """Not called."""

        def run(self, title, code: Annotated[str, Secret]):
            """Not called."""

    assert hide_arguments(Task().run, ["t", "c"], {}) == (["t", HIDDEN], {})
    assert hide_arguments(Task.wrapped, ["t", "pw"], {})[0] == ["t", HIDDEN]


def test_nested_secrets_and_passwords_in_addresses_are_hidden():
    value = {"login": {"user": "ada", "password": "pw"}, "urls": ("postgres://ada:pw@host/db", "http://host:80/x@y")}
    assert hide(value) == {
        "login": {"user": "ada", "password": HIDDEN},
        "urls": [f"postgres://ada:{HIDDEN}@host/db", "http://host:80/x@y"],
    }


def test_what_contains_itself_has_an_end():
    loop: list = []
    loop.append(loop)
    assert "…" in repr(hide(loop))
    assert secrets_of(None, [], {"password": loop}) == set()


def test_arguments_that_are_missing_or_only_text_do_no_harm():
    assert hide_arguments(None, None, None) == ([], {})
    assert hide_arguments(submit, "('t', 'pw')", "{}")[1] == {}


def test_secrets_are_taken_out_of_a_traceback_however_they_are_written():
    secrets = secrets_of(submit, ["t", "pa'ss wörd/1"], {"o": {"token": ["tok-123456"]}, "api_key": 991199})
    assert secrets == {"pa'ss wörd/1", "tok-123456", "991199"}
    text = (
        f"ValueError: {'pa' + chr(39) + 'ss wörd/1'!r} at https://h/?p=pa%27ss+w%C3%B6rd%2F1 "
        "and https://h/pa%27ss%20w%C3%B6rd%2F1 with tok-123456, 991199"
    )
    hidden = hide_in_text(text, secrets)
    assert "rd/1" not in hidden
    assert "rd%2F1" not in hidden
    assert "tok-1" not in hidden
    assert "991199" not in hidden


def test_short_secrets_do_not_tear_the_text_to_pieces():
    assert secrets_of(submit, ["t", "a"], {}) == set()


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("login(password='abc def')", f"login(password={HIDDEN})"),
        ('{"token": "abc", "n": 1}', f'{{"token": {HIDDEN}, "n": 1}}'),
        ("GET /?api_key=abc&n=1", f"GET /?api_key={HIDDEN}&n=1"),
        ("Authorization: Bearer abcdefgh.ijk", f"Authorization: Bearer {HIDDEN}"),
        ("redis://:pw@host:6379/0 refused", f"redis://:{HIDDEN}@host:6379/0 refused"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_text(text, hidden):
    assert hide_in_text(text) == hidden


@pytest.mark.parametrize(
    "code",
    [
        "self.token = get_token(x)",
        "def login(password: str)",
        "if password == other:",
        "raise TokenError",
        "f(token=t())",
    ],
)
def test_code_in_a_traceback_stays_readable(code):
    assert hide_in_text(code) == code


@pytest.mark.parametrize("part", ["A", "a.", "a://b:", "password", "password=", "bearer ", "token='", "x_token_"])
def test_a_huge_text_takes_no_longer_than_its_length(part):
    hide_in_text(part * 200_000)  # quadratic would be minutes; the time limit of the test run would end it


@given(st.text(min_size=4), st.text())
def test_a_secret_is_gone_wherever_it_stood(secret, around):
    assert secret not in hide_in_text(f"{around}{secret}{around}", {secret}) or HIDDEN[0] in secret
