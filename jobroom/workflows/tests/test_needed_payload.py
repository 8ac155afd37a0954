"""A field that a payload needs is needed, also where an empty text comes for it."""

import pytest

from jobroom.workflows.definitions.payloads import WrongPayload, filled

SCHEMA = {
    "type": "object",
    "properties": {"version": {"type": "string"}, "note": {"type": "string"}},
    "required": ["version"],
}


@pytest.mark.parametrize("payload", [{}, {"version": ""}])
def test_an_empty_text_is_none(payload):
    with pytest.raises(WrongPayload) as caught:
        filled(SCHEMA, payload)
    assert list(caught.value.errors) == ["version"]
    assert caught.value.errors["version"][0] in {"This field is needed.", "“version” is missing."}


def test_what_is_not_needed_may_be_empty():
    assert filled(SCHEMA, {"version": "1", "note": ""}) == {"version": "1", "note": ""}
