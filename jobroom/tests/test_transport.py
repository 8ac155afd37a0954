"""The channel to a Redis broker keeps its client as long as its pool, and no longer."""

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from redis.exceptions import ReadOnlyError, ResponseError

from image.celery import app
from jobroom.celery.transport import Channel


def test_the_broker_is_reached_by_our_transport():
    with app.connection_for_write() as connection:
        assert isinstance(connection.default_channel, Channel)


def test_commands_of_a_channel_share_a_client_until_its_connections_are_cut():
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
            assert first.ping()
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()


def test_who_waits_for_messages_has_a_client_of_its_own():
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as one:
            assert channel.client is not one
            assert channel.client.connection_pool is not one.connection_pool


MESSAGE: Any = SimpleNamespace(delivery_info={"exchange": "", "routing_key": "default"}, _raw={})
FULL = ResponseError("MISCONF Errors writing to the AOF file: No space left on device")


@pytest.mark.parametrize("error", [FULL, ReadOnlyError("You can't write against a read only replica.")])
def test_a_server_that_takes_no_writes_is_as_good_as_away(error):
    """Celery connects again after a lost connection, and ends after any other error."""
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        lost = connection.connection_errors
        with mock.patch("redis.Redis.parse_response", side_effect=error), pytest.raises(lost):
            channel._brpop_read()
        with mock.patch("redis.client.Pipeline.execute", side_effect=error):
            with pytest.raises(lost):
                channel.qos.append(MESSAGE, "tag")
            channel.take.acknowledged = ["tag"]
            with pytest.raises(lost):
                channel.take.flush()
        assert channel.take.acknowledged == ["tag"], "it is said later"
        channel.take.acknowledged = []


def test_another_answer_of_the_broker_is_raised_as_it_is():
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        wrong = ResponseError("WRONGTYPE Operation against a key")
        with mock.patch("redis.Redis.parse_response", side_effect=wrong), pytest.raises(ResponseError, match="WRONG"):
            channel._brpop_read()
