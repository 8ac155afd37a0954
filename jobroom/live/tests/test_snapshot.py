"""One look for all who ask at once, and never one that began before they asked."""

import asyncio
import threading

import pytest

from jobroom.live.snapshot import Look, Looks, Missed

# Anyone who looks gives connections back to the database.
pytestmark = pytest.mark.django_db(transaction=True)


class Source:
    """Answers looks one at a time, when the test lets it."""

    def __init__(self):
        self.asked = []
        self.gate = threading.Semaphore(0)
        self.fails = False

    def read(self, topic, after):
        self.asked.append((topic, after))
        assert self.gate.acquire(timeout=60)
        if self.fails:
            raise ValueError("away")
        return Look(f"state {len(self.asked)}", len(self.asked), [])


@pytest.fixture
def source():
    return Source()


async def under_way(source, count):
    async with asyncio.timeout(60):
        while len(source.asked) < count:
            await asyncio.sleep(0.005)


async def test_who_asks_during_a_look_shares_the_next_one(source):
    looks = Looks(source.read)
    first = asyncio.create_task(looks.at("t", 7))
    await under_way(source, 1)
    others = [asyncio.create_task(looks.at("t", after)) for after in (9, 4, 8)]
    await asyncio.sleep(0)
    source.gate.release(2)
    assert (await first).snapshot == "state 1"
    assert {(await one).snapshot for one in others} == {"state 2"}
    assert source.asked == [("t", 7), ("t", 4)]
    assert (looks._next, looks._locks) == ({}, {})


async def test_other_topics_do_not_wait(source):
    looks = Looks(source.read)
    both = [asyncio.create_task(looks.at(topic, 0)) for topic in ("a", "b")]
    source.gate.release(2)
    await asyncio.gather(*both)
    assert sorted(source.asked) == [("a", 0), ("b", 0)]


async def test_who_leaves_takes_the_look_from_no_one(source):
    looks = Looks(source.read)
    leaves, stays = [asyncio.create_task(looks.at("t", 0)) for _ in range(2)]
    await under_way(source, 1)
    leaves.cancel()
    source.gate.release()
    assert (await stays).snapshot == "state 1"


async def test_a_failed_look_fails_for_its_askers_alone(source):
    looks = Looks(source.read)
    source.fails = True
    source.gate.release(2)
    with pytest.raises(ValueError, match="away"):
        await looks.at("t", 0)
    source.fails = False
    assert (await looks.at("t", 0)).snapshot == "state 2"


def test_each_gets_what_it_missed_and_may_read():
    missed = [
        Missed(1, "log", '"l1"'),
        Missed(2, "progress", '"p2"'),
        Missed(3, "log", '"l3"'),
        Missed(4, "progress", '"p4"'),
        Missed(5, "state", '"s5"'),
    ]
    look = Look('"now"', 4, missed)
    assert look.texts(0, frozenset()) == (['"now"', '"l1"', '"l3"', '"s5"', '"p4"'], 5)
    assert look.texts(2, frozenset({"log"})) == (['"now"', '"s5"', '"p4"'], 5)
    assert look.texts(5, frozenset()) == (['"now"'], 4)
