"""The stream of events hands each entry to one reader, and to another when that one vanishes."""

import json

import pytest

from jobroom import events, redis
from jobroom.events import consumer
from jobroom.testing import wait_until


@pytest.fixture(autouse=True)
def _empty_stream():
    redis.client().flushdb()


def read_all(reader: consumer.Reader) -> list[consumer.Entry]:
    return reader.read(count=100, wait=0.01)


def test_each_entry_goes_to_one_reader():
    for number in range(6):
        events.emit("log", f"job-{number}")
    first = consumer.Reader().read(count=3, wait=0.01)
    second = read_all(consumer.Reader())
    assert len(first) == 3
    assert len(second) == 3
    assert not {entry.id for entry in first} & {entry.id for entry in second}


def test_an_empty_stream_gives_nothing():
    assert read_all(consumer.Reader()) == []


def test_what_is_done_is_gone_and_never_given_again():
    events.emit("log", "a")
    reader = consumer.Reader()
    reader.done(read_all(reader))
    assert redis.client().xlen(events.stream()) == 0
    assert reader.take_over(count=10, idle=0) == []


def test_entries_of_a_vanished_reader_are_taken_over():
    events.emit("log", "a")
    lost = read_all(consumer.Reader())
    other = consumer.Reader()
    assert read_all(other) == []
    assert wait_until(lambda: other.take_over(count=10, idle=0.001)) == lost


def test_entries_not_old_enough_stay_with_their_reader():
    events.emit("log", "a")
    assert read_all(consumer.Reader())
    assert consumer.Reader().take_over(count=10, idle=60) == []


def test_an_emptied_redis_gets_its_group_back():
    reader = consumer.Reader()
    read_all(reader)
    redis.client().flushdb()
    events.emit("log", "a")
    assert len(read_all(reader)) == 1


def test_a_reader_that_is_given_nothing_is_not_taken_for_gone():
    reader = consumer.Reader("quiet")
    read_all(reader)

    def idle():
        (answer,) = redis.client().xinfo_consumers(events.stream(), consumer.GROUP)
        return answer["idle"]

    wait_until(lambda: idle() > 100)
    read_all(reader)
    assert idle() < 100


def test_lag_counts_what_is_not_done():
    assert consumer.lag() == consumer.Lag(0, 0.0)
    events.emit("log", "a")
    events.emit("log", "b")
    reader = consumer.Reader()
    entries = read_all(reader)
    assert consumer.lag().entries == 2
    wait_until(lambda: consumer.lag().seconds > 0.02)
    reader.done(entries)
    assert consumer.lag().entries == 0


def test_dead_entries_are_kept_with_the_reason():
    consumer.Reader().put_aside(consumer.Entry("1-0", "{"), "not JSON")
    kept = redis.client().lrange(consumer.dead_key(), 0, -1)
    assert len(kept) == 1
    assert "not JSON" in kept[0]


def test_one_reader_at_a_time_has_its_turn():
    one, two = consumer.Reader(), consumer.Reader()
    assert one.turn("chore", 60)
    assert not two.turn("chore", 60)
    one.end_turn("chore", 0.01)
    wait_until(lambda: two.turn("chore", 60))


def test_a_reader_that_leaves_is_forgotten_unless_it_holds_entries():
    reader, holder = consumer.Reader("leaver"), consumer.Reader("holder")
    events.emit("log", "a")
    read_all(holder)
    read_all(reader)
    reader.leave()
    holder.leave()
    names = {row["name"] for row in redis.client().xinfo_consumers(events.stream(), consumer.GROUP)}
    assert names == {"holder"}


def test_texts_come_as_they_were_written():
    texts = ['{"a": "é 🙂"}', "line\nline", "", '{"b": 1}']
    for text in texts:
        redis.client().xadd(events.stream(), {"e": text, "other": "x"})
    redis.client().xadd(events.stream(), {"other": "x"})
    reader = consumer.Reader()
    entries = reader.read(count=100, wait=0)
    assert [entry.text for entry in entries] == [*texts, ""]
    reader.done(entries)
    assert consumer.lag().entries == 0


def test_a_text_that_holds_the_separator_stays_one_and_is_no_json():
    for text in ('{"a": 1}', '{"a":\x1e 1}', '{"a": 2}'):
        redis.client().xadd(events.stream(), {"e": text})
    first, odd, last = consumer.Reader().read(count=100, wait=0)
    assert (first.text, last.text) == ('{"a": 1}', '{"a": 2}')
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(odd.text)


def test_many_entries_are_done_at_once():
    with redis.client().pipeline(transaction=False) as pipe:
        for number in range(2500):
            pipe.xadd(events.stream(), {"e": str(number)})
        pipe.execute()
    reader = consumer.Reader()
    entries = reader.read(count=2500, wait=0)
    assert [entry.text for entry in entries] == [str(number) for number in range(2500)]
    reader.done(entries[:-1])
    assert consumer.lag().entries == 1
    assert wait_until(lambda: reader.take_over(count=10, idle=0.001)) == entries[-1:]
