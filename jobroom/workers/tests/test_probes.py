"""The probes and the page of workers."""

import json
import os
import re
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, connection

from jobroom import housekeeping_loops, redis
from jobroom.celery import beat
from jobroom.events import consumer
from jobroom.runner import status_file
from jobroom.workers import probes
from jobroom.workers.tests.engine import worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clean(settings):
    settings.JOBROOM = settings.JOBROOM | {"QUEUES": ["default", "ml"]}
    redis.client().flushdb()


def all_there() -> None:
    """Let every part show a sign of life."""
    worker("default@a/1")
    worker("ml@a/2", queues=["ml"])
    client = redis.client()
    client.set(beat.key(), redis.now(client))
    consumer.Reader("r").read(1, 0.001)


def parts(client) -> Any:
    response = client.get("/readyz")
    body = json.loads(response.content)
    assert response.status_code == (200 if body["ready"] else 503)
    assert body["ready"] == all(part["ok"] for part in body["parts"].values())
    return body["parts"]


def broken(client) -> list[str]:
    return [name for name, part in parts(client).items() if not part["ok"]]


def test_healthz_asks_no_one(client, settings, django_assert_num_queries):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with django_assert_num_queries(0):
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"ok": True})


def test_ready_when_every_part_is_there(client):
    all_there()
    found = parts(client)
    assert [name for name, part in found.items() if not part["ok"]] == []
    assert set(found) == {"database", "migrations", "redis", "workers", "beat", "recorder", "rounds", "disk", "mails"}


def test_a_row_that_a_round_left_alone_is_shown(client):
    all_there()
    with housekeeping_loops.isolated("rescue", "job j1"):
        raise RuntimeError("odd")
    found = parts(client)["rounds"]
    assert found["ok"], "nothing waits for that row"
    assert found["detail"] == "rescue could not process 1. The log says more."
    assert found["rows"] == ""  # strangers read probes
    assert probes.ready()["rounds"].rows == "rescue: last job j1 (RuntimeError: odd)"


def test_a_part_that_does_not_stay_up_is_named(client, settings):
    all_there()
    path = status_file.path_in(settings.VAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"runs": False, "failing": True, "deaths": 5, "last": "was killed by signal 9", "again_at": 0}
    path.write_text(json.dumps({"supervisor": os.getpid(), "parts": {"beat": row}}))
    try:
        found = parts(client)["parts"]
    finally:
        path.unlink()
    assert (found["ok"], "beat does not stay up" in found["detail"]) == (False, True)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
        ("MISCONF Errors writing", "Free space"),
    ],
)
def test_a_redis_without_room_is_named_with_the_remedy(client, error, word):
    all_there()
    with mock.patch("redis.Redis.set", side_effect=redis.ResponseError(error)):
        found = parts(client)["redis"]
    assert (found["ok"], word in found["detail"]) == (False, True)


def test_a_queue_without_a_worker_is_named(client):
    all_there()
    worker("ml@a/2", queues=["ml"], silent=60)
    found = parts(client)
    assert (found["workers"]["ok"], found["workers"]["detail"]) == (False, "No worker serves ml.")


def test_a_silent_beat_and_an_absent_one_are_reported(client):
    all_there()
    redis.client().set(beat.key(), redis.now() - 100)
    assert re.search(r"Ticked 1[0-2]\d s ago", str(parts(client)["beat"]["detail"]))
    redis.client().delete(beat.key())
    assert broken(client) == ["beat"]


def test_an_absent_recorder_is_reported(client):
    all_there()
    redis.client().xgroup_destroy(redis.key("events"), consumer.GROUP)
    assert broken(client) == ["recorder"]


def test_redis_away_is_reported_without_its_password(client, settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://:hidden-word@127.0.0.1:1/0"}
    response = client.get("/readyz")
    assert response.status_code == 503
    assert b"hidden-word" not in response.content
    assert broken(client) == ["redis", "workers", "beat", "recorder"]


def test_a_broken_database_is_reported_without_its_text(client, monkeypatch):
    def fail() -> probes.Part:
        raise DatabaseError("password=hidden-word")

    all_there()
    monkeypatch.setattr(probes, "_database", fail)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert b"hidden-word" not in response.content
    assert broken(client) == ["database"]


@pytest.mark.django_db(transaction=True)
def test_missing_migrations_are_reported_until_they_are_applied(client, monkeypatch):
    all_there()
    monkeypatch.setattr(probes, "_migrated", set())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'jobroom_notifications'")
    try:
        assert broken(client) == ["migrations"]
    finally:
        from django.core.management import call_command

        call_command("migrate", "jobroom_notifications", fake=True, verbosity=0)
    assert broken(client) == []


def test_no_other_method_than_a_read_is_answered(client):
    assert client.post("/readyz").status_code == 405


def test_the_page_of_workers_is_for_staff(client, django_user_model):
    stranger = client.get("/workers/")
    assert (stranger.status_code, stranger.headers["Location"]) == (302, "/login/?next=/workers/")
    client.force_login(django_user_model.objects.create_user("ada"))
    answer = client.get("/workers/")
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "This page is for the staff of this site." in page
    assert "Ask for access" in page


@pytest.fixture
def staff(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("grace", is_staff=True))
    return client


def test_the_page_shows_living_and_silent_workers(staff):
    worker("default@a/1", held=["job-1"])
    worker("ml@a/2", queues=["ml"], silent=60)
    page = staff.get("/workers/").content.decode()
    page = page[page.index('class="workers"') :]
    assert page.index("default@a") < page.index("Alive") < page.index("ml@a") < page.index("Silent")
    assert "job-1" in page


def test_the_page_teaches_when_no_worker_was_seen_and_when_redis_is_away(staff, settings):
    assert "manage.py jobroom up" in staff.get("/workers/").content.decode()
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    response = staff.get("/workers/")
    assert (response.status_code, b"Redis does not answer" in response.content) == (503, True)


def test_a_queue_that_waits_for_a_resource_says_so_and_counts_as_served(client):
    all_there()
    worker("ml@a/2", queues=["ml"], waiting={"ml": ["spam_model"]})
    part = parts(client)["workers"]
    assert part["ok"]
    assert "Waiting for resources: ml for spam_model." in part["detail"]
