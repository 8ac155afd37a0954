"""Who watches what, asked for few topics and for many."""

import pytest

from jobroom import redis
from jobroom.live import topics
from jobroom.live.publish import watched


@pytest.mark.parametrize("count", [3, 50])
@pytest.mark.parametrize("prefix", ["image:", "odd[*]?\\:"])
def test_only_watched_topics_are_named(count, prefix, settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_PREFIX": prefix}
    listener = redis.client().pubsub()
    listener.subscribe(topics.channel("job:1"), topics.channel("job:elsewhere"))
    try:
        assert listener.get_message(timeout=60)
        assert listener.get_message(timeout=60)
        assert watched(f"job:{number}" for number in range(count)) == ["job:1"]
    finally:
        listener.close()
    assert watched([]) == []
