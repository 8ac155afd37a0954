"""Fixtures for the tests of Django's own tasks: those of jobs."""

from jobroom.jobs.tests.conftest import ada, empty_redis, staff

__all__ = ["ada", "empty_redis", "staff"]
