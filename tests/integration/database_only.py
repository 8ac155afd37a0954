"""A pytest plugin for PostgreSQL, `-p tests.integration.database_only`: leaves the tests that speak to the database."""

from collections.abc import Iterator

import pytest
from django.db import connection

FIXTURES = {"db", "transactional_db", "django_db_serialized_rollback", "live_server"}


def speaks_to_the_database(item: pytest.Item) -> bool:
    """Return whether the test is marked so, or one of its fixtures needs the database."""
    return item.get_closest_marker("django_db") is not None or bool(FIXTURES & set(getattr(item, "fixturenames", ())))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the others out."""
    others = [item for item in items if not speaks_to_the_database(item)]
    items[:] = [item for item in items if speaks_to_the_database(item)]
    config.hook.pytest_deselected(items=others)


@pytest.fixture(scope="session", autouse=True)
def _alone_at_the_end(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Close what threads that idle have left open: PostgreSQL drops no database that someone is connected to."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
