"""A connection to the broker that is lost while it is used harms that use alone."""

import pytest
from amqp.exceptions import RecoverableConnectionError
from kombu.exceptions import OperationalError

from jobroom.celery.connections import pooled
from jobroom.queues import broker
from jobroom.testing.brokers import broker as another_broker


def fail(connection, error):
    """Use a connection, and raise."""
    connection.default_channel.queue_declare(queue="there")
    raise error


@pytest.mark.parametrize(
    "error", [ConnectionResetError("reset"), RecoverableConnectionError("closed"), ValueError("ours")]
)
def test_a_connection_that_was_closed_in_between_is_opened_again(error):
    """Kombu puts it back into its pool closed; here the broker is one that is asked for each queue, as RabbitMQ is."""
    with another_broker("memory://"):
        with pytest.raises((OperationalError, OSError, ValueError)), pooled() as connection:
            fail(connection, error)
        with pooled() as connection, connection.channel() as channel:
            channel.queue_declare(queue="there")
        assert broker.depths(["there", "nowhere"])["there"] == 0


def test_what_is_lost_while_it_is_used_is_among_the_errors_of_a_broker_that_is_away():
    with another_broker("memory://"), pytest.raises(broker.AWAY), pooled() as connection:
        fail(connection, RecoverableConnectionError("Socket closed"))
