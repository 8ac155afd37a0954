"""Old workflows leave the database in pieces."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobroom.workflows import services
from jobroom.workflows.models import State, StoredWorkflow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


def made(name, state=State.SUCCESS, days=10.0, **more):
    ended = timezone.now() - timedelta(days=days)
    return StoredWorkflow.objects.create(id=name, name=name, graph="{}", state=state, finished_at=ended, **more)


def test_those_that_ended_long_ago_are_deleted_so_many_at_a_time(monkeypatch):
    monkeypatch.setattr(services, "DELETED_AT_ONCE", 2)
    first = made("old-0")
    for number in range(1, 5):
        made(f"old-{number}", State.ERROR)
    made("young", days=1)
    again = made("again", days=1, rerun_of=first)
    made("running", State.RUNNING)
    with CaptureQueriesContext(connection) as asked:
        assert services.cleanup(days=5) == 5
    table = StoredWorkflow._meta.db_table
    assert len([query for query in asked if query["sql"].startswith(f'DELETE FROM "{table}"')]) == 3
    assert set(StoredWorkflow.objects.values_list("pk", flat=True)) == {"young", "again", "running"}
    again.refresh_from_db()
    assert again.rerun_of is None
    assert services.cleanup(days=5) == 0
    assert services.cleanup(days=0) == 0  # keeps all
