"""What is sealed can be read with the key alone, comes back as it was, and is hidden wherever it is shown."""

import json
from typing import Annotated

import pytest

from jobroom.arguments import encryption, redaction
from jobroom.arguments.redaction import HIDDEN, Secret, hide, seal_arguments, seal_leaves, seal_signatures, secrets_of


def submit(title, password="", options=None, code: Annotated[str, Secret] = ""):
    """Stand for a task's `run`."""


@pytest.mark.parametrize("value", ["text", 7, 1.5, ["a", {"b": 1}], "é\"'\\\n"])
def test_a_sealed_value_comes_back(value):
    sealed = encryption.seal(value)
    assert encryption.opened({"x": [sealed]}) == {"x": [value]}
    assert encryption.seal(sealed) is sealed
    assert json.dumps(value)[1:-1] not in json.dumps(sealed) or value == 7
    assert hide({"x": sealed}) == {"x": HIDDEN}


def test_another_key_does_not_open_it_and_an_old_one_does(settings):
    sealed = encryption.seal("x")
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another key"
    with pytest.raises(encryption.CannotOpen, match=r"another SECRET_KEY.*SECRET_KEY_FALLBACKS"):
        encryption.opened([sealed])
    settings.SECRET_KEY_FALLBACKS = [old]
    assert encryption.opened([sealed]) == ["x"]


def test_arguments_are_sealed_by_name_annotation_and_at_any_depth():
    args, kwargs = seal_arguments(
        submit, ["t", "hunter2"], {"code": "abcd", "options": {"db": {"api_key": "k"}, "n": 1}}
    )
    assert args[0] == "t"
    assert all(map(encryption.is_sealed, [args[1], kwargs["code"], kwargs["options"]["db"]["api_key"]]))
    assert kwargs["options"]["n"] == 1
    assert encryption.opened(args) == ["t", "hunter2"]
    assert secrets_of(submit, args, kwargs) == {"hunter2", "abcd"}  # shorter ones cannot be distinguished from text


def test_what_has_no_secret_is_left_as_it_is():
    args, kwargs = ("t",), {"options": {"n": 1}, "password": None}
    assert seal_arguments(submit, args, kwargs) == (args, kwargs)
    assert seal_arguments(submit, args, kwargs)[0] is args
    value = {"a": [1, "x"]}
    assert encryption.opened(value) is value


def test_links_are_sealed_and_their_owner_keeps_what_he_has():
    link = [{"task": "t", "args": [], "kwargs": {"password": "hunter2"}, "options": {"link": [
        {"task": "t", "args": ["x", "hunter3"], "kwargs": {}, "options": {}}
    ]}}]  # fmt: skip
    sealed = seal_signatures(link, lambda name: submit)
    assert "hunter" not in json.dumps(sealed)
    assert link[0]["kwargs"] == {"password": "hunter2"}
    assert encryption.opened(sealed[0]["options"]["link"][0]["args"]) == ["x", "hunter3"]


def test_results_are_sealed_by_name_and_by_the_secrets_of_the_job():
    found = seal_leaves({"token": "abcd", "text": "it is hunter2", "n": 1, "list": ["x"]}, frozenset({"hunter2"}))
    assert hide(found) == {"token": HIDDEN, "text": HIDDEN, "n": 1, "list": ["x"]}
    assert encryption.opened(found)["text"] == "it is hunter2"


@pytest.mark.parametrize("way", ["plain", "repr", "json", "url", "base64", "inside base64", "nested"])
def test_every_form_of_a_secret_is_hidden(way):
    import base64
    from urllib.parse import quote

    secret = "pa\"ss'w\\ord é"
    text = {
        "plain": secret,
        "repr": repr(secret),
        "json": json.dumps(secret),
        "url": quote(secret),
        "base64": base64.b64encode(secret.encode()).decode(),
        "inside base64": base64.b64encode(f"user:{secret}".encode()).decode(),
        "nested": json.dumps({"a": repr(secret)}),
    }[way]
    shown = redaction.hide_in_text(f"<{text}>", {secret})
    assert HIDDEN in shown
    assert "ss'w" not in shown
