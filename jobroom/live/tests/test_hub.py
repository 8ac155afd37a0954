"""What the hub does with a burst: every viewer is offered the newest progress, and never out of order."""

import asyncio
import json

import pytest

from jobroom.live import topics
from jobroom.live.hub import Hub


class Viewer:
    """Keeps what it is offered."""

    def __init__(self):
        self.got = []

    def offer(self, topic, kind, seq, text):
        self.got.append((kind, seq))


@pytest.fixture
def hub(monkeypatch):
    kind = topics.Kind(
        may_watch=lambda user, name: True,
        snapshot=lambda name: {"seq": 0},
        render=lambda event: {"type": event["type"]},
    )
    monkeypatch.setitem(topics._kinds, "thing", kind)
    hub, viewer = Hub(), Viewer()
    hub.watchers["thing:x"] = {viewer}

    def event(kind, seq):
        data = json.dumps({"type": kind, "seq": seq})
        hub._take({"type": "message", "channel": topics.channel("thing:x"), "data": data})

    return event, viewer


async def test_of_a_burst_of_progress_the_newest_is_offered(hub):
    event, viewer = hub
    for seq in (1, 2, 4, 3):
        event("progress", seq)
    assert viewer.got == []
    await asyncio.sleep(0)
    assert viewer.got == [("progress", 4)]


async def test_a_progress_is_offered_before_what_was_published_after_it(hub):
    event, viewer = hub
    event("progress", 1)
    event("progress", 2)
    event("log", 3)
    event("progress", 4)
    await asyncio.sleep(0)
    assert viewer.got == [("progress", 2), ("log", 3), ("progress", 4)]
