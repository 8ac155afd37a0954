"""Launches of workflows count as those of jobs do."""

import pytest
from django.contrib.auth.models import User

from jobroom import redis
from jobroom.limits import TooMany
from jobroom.workflows import services
from jobroom.workflows.launches import launch_text

TEXT = "name: one\nnodes:\n  a: {task: demo.echo, kwargs: {text: x}}\n"


def test_a_launch_and_a_run_again_count(db, settings):
    redis.client().flushdb()
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "2/h"}
    grace = User.objects.create_superuser("grace")
    stored = launch_text(TEXT, payload={}, by=grace, source="api")
    services.run_again(stored, by=grace)
    with pytest.raises(TooMany):
        services.run_again(stored, by=grace)
    with pytest.raises(TooMany):
        launch_text(TEXT, payload={}, by=grace, source="api")
    launch_text(TEXT, payload={}, by=None, source="schedule")
