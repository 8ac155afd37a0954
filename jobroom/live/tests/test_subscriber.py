"""A slow browser costs bounded memory and still gets the last state."""

import asyncio
import json

import pytest

from jobroom.live.subscriber import Subscriber
from jobroom.live.tests.frames import messages


class Browser:
    """Takes what the subscriber sends, as fast as the test lets it."""

    def __init__(self):
        self.got, self.frames, self.offered = [], 0, 0
        self.resynced = []
        self.open = asyncio.Event()
        self.open.set()
        self.subscriber = Subscriber(self.send, self.resync)

    async def send(self, text):
        self.offered += 1
        await self.open.wait()
        self.frames += 1
        self.got += messages(text)

    async def resync(self, topic):
        self.resynced.append(topic)
        self.subscriber.hold(topic)
        self.subscriber.release(topic, ['{"type": "snapshot", "seq": 10000}'], 10_000)

    def offer(self, seq, kind="log", topic="t"):
        self.subscriber.offer(topic, kind, seq, json.dumps({"type": kind, "seq": seq}))

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0)


@pytest.fixture
async def browser():
    browser = Browser()
    task = asyncio.create_task(browser.subscriber.run())
    yield browser
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_messages_keep_their_order(browser):
    for seq in range(1, 6):
        browser.offer(seq)
    await browser.until(lambda: len(browser.got) == 5)
    assert [event["seq"] for event in browser.got] == [1, 2, 3, 4, 5]


async def test_what_comes_before_the_snapshot_waits_and_is_not_sent_twice(browser):
    browser.subscriber.hold("t")
    for seq in (4, 5, 6):
        browser.offer(seq)
    browser.subscriber.release("t", ['{"type": "snapshot", "seq": 5}'], 5)
    await browser.until(lambda: len(browser.got) == 2)
    assert [(event["type"], event["seq"]) for event in browser.got] == [("snapshot", 5), ("log", 6)]


async def test_what_waits_for_a_slow_browser_goes_in_one_frame(browser):
    browser.open.clear()
    browser.offer(1)
    await browser.until(lambda: browser.offered == 1)
    for seq in range(2, 101):
        browser.offer(seq)
    browser.open.set()
    await browser.until(lambda: len(browser.got) == 100)
    assert [event["seq"] for event in browser.got] == list(range(1, 101))
    assert browser.frames == 2


async def test_an_old_message_is_not_sent(browser):
    browser.offer(5)
    browser.offer(4)
    browser.offer(0, kind="changed")
    await browser.until(lambda: len(browser.got) == 2)
    assert [event["seq"] for event in browser.got] == [5, 0]


async def test_progress_is_conflated_and_never_overtakes(browser):
    browser.open.clear()
    browser.offer(1)
    await browser.until(lambda: browser.offered == 1)
    for seq in range(2, 1000):
        browser.offer(seq, kind="progress")
    browser.offer(1000, kind="state")
    browser.offer(1001, kind="progress")
    browser.open.set()
    await browser.until(lambda: len(browser.got) >= 3)
    assert [event["seq"] for event in browser.got] == [1, 1000, 1001]


async def test_a_browser_that_is_too_slow_gets_a_fresh_snapshot(browser, settings):
    settings.JOBROOM = settings.JOBROOM | {"LIVE_OUTBOX_LIMIT": 10}
    browser.open.clear()
    for seq in range(1, 5000):
        browser.offer(seq)
    assert len(browser.subscriber._outbox) <= 10
    browser.open.set()
    await browser.until(lambda: browser.got and browser.got[-1]["type"] == "snapshot")
    assert browser.resynced == ["t"]
    browser.offer(10_001)
    await browser.until(lambda: browser.got[-1]["seq"] == 10_001)
    assert browser.resynced == ["t"]


async def test_what_comes_in_a_flood_before_the_snapshot_is_sent_again_from_bounded_memory(browser, settings):
    settings.JOBROOM = settings.JOBROOM | {"LIVE_OUTBOX_LIMIT": 5}
    browser.subscriber.hold("t")
    for seq in range(1, 100):
        browser.offer(seq)
    assert len(browser.subscriber._held["t"]) == 5
    await asyncio.sleep(0.01)
    assert browser.resynced == []  # not beside the look that is under way
    browser.subscriber.release("t", ['{"type": "snapshot", "seq": 3}'], 3)
    await browser.until(lambda: browser.resynced == ["t"])
    await browser.until(lambda: [event["seq"] for event in browser.got] == [3, 10_000])
    browser.offer(10_001)
    await browser.until(lambda: browser.got[-1]["seq"] == 10_001)
