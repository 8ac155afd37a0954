"""Messages of a busy Redis queue are taken, noted and acknowledged in one step; kombu's keys stay as they are."""

import socket
from contextlib import closing

import pytest
from kombu import Connection, Consumer, Producer, Queue
from kombu.asynchronous import Hub

from jobroom import redis
from jobroom.celery import message_fetch, transport
from jobroom.conf import settings as common
from jobroom.testing import wait_until

QUEUE = Queue("taking", routing_key="taking")


@pytest.fixture(autouse=True)
def _empty(monkeypatch):
    redis.client().flushdb()
    # A queue that had a message is busy, however long a busy machine took to say so.
    monkeypatch.setattr(message_fetch, "AT_ONCE", 60.0)


@pytest.fixture
def connection():
    with closing(Connection(common.REDIS_URL, transport=transport.Transport)) as found:
        yield found


@pytest.fixture
def commands():
    """Return what counts the calls of a command by the server."""
    redis.client().config_resetstat()

    def count(name):
        return int(redis.client().info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0))

    return count


def send(connection, *bodies, **options):
    channel = connection.default_channel
    producer = Producer(channel, routing_key="taking", serializer="json")
    QUEUE(channel).declare()
    for body in bodies:
        producer.publish(body, **options)


def receive(connection, count, *, ack=True, prefetch=1):
    """Return so many bodies, each acknowledged before the next is taken."""
    found, kept = [], []

    def take(body, message):
        found.append(body)
        kept.append(message)
        if ack:
            message.ack()

    channel = connection.channel()
    with Consumer(channel, QUEUE, on_message=None, callbacks=[take], prefetch_count=prefetch if ack else count + 1):
        while len(found) < count:
            connection.drain_events(timeout=10)
    return found, kept, channel


def unacked():
    client = redis.client()
    return client.hlen("unacked"), client.zcard("unacked_index")


def test_all_messages_come_in_order_and_leave_nothing(connection, commands):
    send(connection, *range(20))
    found, _, channel = receive(connection, 20)
    channel.close()
    assert found == list(range(20))
    assert unacked() == (0, 0)
    assert commands("evalsha") == 19, "all but the first, which says that the queue is busy"
    assert commands("multi") <= 4


def test_switched_off_it_is_kombus_way(connection, commands, settings):
    settings.JOBROOM = settings.JOBROOM | {"TAKE_IN_ONE_STEP": False}
    send(connection, *range(5))
    found, _, _ = receive(connection, 5)
    assert (found, commands("evalsha")) == ([0, 1, 2, 3, 4], 0)


def test_what_is_not_acknowledged_is_noted_as_kombu_does_and_comes_again(connection):
    send(connection, *range(6))
    _, kept, channel = receive(connection, 6, ack=False)
    assert channel.take.busy
    assert unacked() == (6, 6)
    tags = [message.delivery_tag for message in kept]
    assert sorted(redis.client().hkeys("unacked")) == sorted(tags)
    for tag in tags:
        channel.qos.restore_by_tag(tag)
    assert unacked() == (0, 0)
    channel.qos._delivered.clear()
    again, _, _ = receive(connection, 6)
    assert sorted(again) == list(range(6))


def test_a_late_acknowledgement_of_who_had_a_message_before_leaves_it_to_who_has_it_now(connection):
    send(connection, "job")
    _, (first,), _ = receive(connection, 1, ack=False)
    with closing(Connection(common.REDIS_URL, transport=transport.Transport)) as other:
        other.default_channel.qos.restore_by_tag(first.delivery_tag)
        found, (second,), channel = receive(other, 1, ack=False)
        assert (found, second.headers["redelivered"]) == (["job"], True)
        first.ack()
        first.channel.take.flush()
        assert redis.client().hkeys("unacked") == [second.delivery_tag]
        second.ack()
        channel.take.flush()
        assert unacked() == (0, 0)


def test_numbers_and_empty_lists_survive_the_note(connection):
    body = {"empty": [], "none": None, "large": 12345678901234567890, "float": 0.1, "text": 'ä\u2028\\"'}
    send(connection, 0, 1, body)
    _, _, channel = receive(connection, 3, ack=False)
    for tag in list(channel.qos._delivered):
        channel.qos.restore_by_tag(tag)
    channel.qos._delivered.clear()
    assert body in receive(connection, 3)[0]


def test_priorities_come_first(connection):
    send(connection, "a", "b", "c", priority=6)
    send(connection, "urgent", priority=0)
    assert receive(connection, 4)[0][0] == "urgent"


def test_the_places_that_a_job_has_come_along_with_its_message(connection):
    redis.client().hset(redis.key("turns", "held"), "handed", "queue:taking")
    for number in range(6):
        send(connection, number, headers={"id": "handed" if number % 2 else f"job-{number}"})
    found = {}
    channel = connection.channel()

    def take(body, message):
        if channel.popped and message.headers["id"] in str(channel.popped[1]) and channel.take.busy:
            found[body] = channel.take.places
        message.ack()

    with Consumer(channel, QUEUE, callbacks=[take], prefetch_count=1):
        wait_until(lambda: connection.drain_events(timeout=10) or len(found) >= 3, 10, "they are taken")
    channel.close()
    assert found == {body: "queue:taking" if body % 2 else "" for body in found}
    assert "queue:taking" in found.values()


def test_what_is_no_message_is_refused_and_the_others_come(connection):
    send(connection, 1, 2)
    redis.client().lpush("taking", "no message", '{"body": 1}', "[]", '{"properties": {"delivery_info": 3}}')
    send(connection, 3, 4)
    assert receive(connection, 4)[0] == [1, 2, 3, 4]
    assert redis.client().llen("taking") == 0


def test_a_server_that_has_forgotten_the_script_is_given_it_again(connection):
    send(connection, *range(10))
    channel, found = connection.channel(), []

    def take(body, message):
        found.append(body)
        message.ack()
        if body == 5:
            redis.client().script_flush()

    with Consumer(channel, QUEUE, callbacks=[take], prefetch_count=1):
        while len(found) < 10:
            try:
                connection.drain_events(timeout=10)
            except socket.timeout:  # noqa: UP041 — kombu's own
                pytest.fail("nothing comes any more")
    channel.close()
    assert (found, unacked()) == (list(range(10)), (0, 0))


def test_acknowledgements_are_sent_before_the_process_waits(connection):
    send(connection, *range(4))
    channel, found = connection.channel(), []

    def take(body, message):
        found.append(body)
        message.ack()

    with Consumer(channel, QUEUE, callbacks=[take], prefetch_count=1):
        while len(found) < 4:
            connection.drain_events(timeout=10)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)
        assert (channel.take.acknowledged, unacked()) == ([], (0, 0))


class Loop:
    """A worker's event loop with one consumer, which acknowledges what it is given."""

    def __init__(self, connection):
        self.hub, self.found = Hub(), []
        connection.register_with_event_loop(self.hub)
        self.channel = connection.channel()
        self.consumer = Consumer(self.channel, QUEUE, callbacks=[self.take], prefetch_count=1)
        self.consumer.consume()

    def take(self, body, message):
        self.found.append(body)
        message.ack()

    def run(self, fact):
        """Go on until the fact is there; what a turn leaves is dealt with at the beginning of the next."""
        wait_until(lambda: (self.hub.run_once(), fact())[1], 30, "the loop does it")

    def close(self):
        """Close the channel, as a worker does that stops."""
        self.channel.close()
        self.hub.close()


@pytest.fixture
def loop(connection):
    with closing(Loop(connection)) as found:
        yield found


@pytest.mark.parametrize("header", ["tracked", "workflow"])
def test_where_a_second_delivery_is_refused_the_acknowledgement_waits_for_the_next_look(
    connection, loop, commands, monkeypatch, header
):
    monkeypatch.setattr(message_fetch, "AT_MOST", 3600)
    send(connection, *range(20), headers={header: "yes"})
    loop.run(lambda: len(loop.found) == 20)
    assert commands("exec") <= 2 + 20, "to send each, and to note those that BRPOP has taken"
    assert len(loop.channel.take.acknowledged) + len(loop.channel.take.sent or []) >= 1
    assert unacked()[0] >= 1
    loop.channel.close()
    assert unacked() == (0, 0)


def test_it_waits_a_moment_at_most(connection, loop, monkeypatch):
    monkeypatch.setattr(message_fetch, "AT_MOST", 0.01)
    send(connection, "only", headers={"tracked": True})
    loop.run(lambda: loop.found and unacked() == (0, 0))
    assert not loop.channel.take.timed
    send(connection, "another", headers={"tracked": True})
    loop.run(lambda: len(loop.found) == 2 and unacked() == (0, 0))


def test_of_other_jobs_it_is_sent_before_the_process_waits(connection, loop, monkeypatch):
    monkeypatch.setattr(message_fetch, "AT_MOST", 3600)
    send(connection, *range(4))
    loop.run(lambda: len(loop.found) == 4)
    loop.hub.run_once()
    assert (loop.channel.take.acknowledged, unacked()) == ([], (0, 0))


def test_what_keeps_running_jobs_when_a_connection_breaks_is_in_it():
    from jobroom.workers import broker

    broker.install()
    assert transport.Channel.QoS is broker.QoS
    assert issubclass(broker.QoS, message_fetch.QoS)
