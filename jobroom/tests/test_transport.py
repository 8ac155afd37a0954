"""The channel to a Redis broker keeps its client as long as its pool, and no longer."""

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
