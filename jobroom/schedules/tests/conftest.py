"""What tests of the scheduler share."""

import pytest
from celery.app import app_or_default
from celery.signals import before_task_publish

from jobroom.jobs.tests.conftest import one_moment

__all__ = ["one_moment"]


@pytest.fixture
def app(monkeypatch):
    """Celery's application with no schedule in its settings."""
    app = app_or_default()
    monkeypatch.setitem(app.conf, "beat_schedule", {})
    yield app
    app.control.purge()


@pytest.fixture
def sent(app):
    """What was published, as pairs of schedule and headers."""
    found = []

    def collect(sender, headers, body, **kwargs):
        found.append((headers["periodic_task_name"], {**headers, "body": body}))

    before_task_publish.connect(collect)
    yield found
    before_task_publish.disconnect(collect)
