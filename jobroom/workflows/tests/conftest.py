"""People for the tests of pages."""

import pytest

from jobroom.jobs.tests.conftest import ada, as_ada, as_staff, empty_redis, staff
from jobroom.workflows.models import Definition

__all__ = ["ada", "as_ada", "as_staff", "empty_redis", "staff"]


@pytest.fixture
def no_definitions(db, empty_redis):
    """Begin without definitions, also those that come with the project."""
    Definition.objects.all().delete()
