"""What cannot be kept as it is."""

import pytest

from common.storable import DEEPEST, DEPTH, NUMBER, TEXT, unstorable


def nested(depth: int) -> list:
    """Return a list in a list, so many of them."""
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["", "ä😀", 10**400, 1.5, None, True, {"a": [{"b": "c"}]}, nested(DEEPEST), object()])
def test_what_can_be_kept_is_not_named(value):
    assert unstorable({"value": value}) == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\x00", TEXT),
        ({"\ud800": 1}, TEXT),
        ([{"a": "x\udfff"}], TEXT),
        (float("nan"), NUMBER),
        ([1, (float("-inf"),)], NUMBER),
        (nested(DEEPEST + 1), DEPTH),
        (nested(100_000), DEPTH),
    ],
)
def test_the_reason_is_said_at_the_argument(value, reason):
    assert unstorable({"fine": 1, "value": value}) == {"value": [reason]}
