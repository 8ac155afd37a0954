"""What tests leave to each other: nothing."""

import pytest
from django.core.cache import cache


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_begins_with_an_empty_cache(turn):
    assert cache.get("left-behind") is None
    cache.set("left-behind", turn)
