"""People for the tests of pages."""

from jobs.tests.conftest import ada, as_ada, as_staff, empty_redis, staff

__all__ = ["ada", "as_ada", "as_staff", "empty_redis", "staff"]
