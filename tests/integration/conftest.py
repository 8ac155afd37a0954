"""Servers of their own for the tests of a tier; started at first use, gone at the end of the run."""

from collections.abc import Iterator

import pytest

from jobroom.testing import postgresql, rabbitmq


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """Return the address of a PostgreSQL."""
    with postgresql.server() as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """Return the address of a RabbitMQ."""
    with rabbitmq.server() as url:
        yield url
