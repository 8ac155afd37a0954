"""The probes and the page of workers."""

import json
from typing import Any

import pytest
from django.db import DatabaseError, connection

from common import beat, redis, stream
from workers import probes
from workers.tests.engine import worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clean(settings):
    settings.QUEUES = ["default", "ml"]
    redis.client().flushdb()


def all_there() -> None:
    """Let every part show a sign of life."""
    worker("default@a/1")
    worker("ml@a/2", queues=["ml"])
    client = redis.client()
    client.set(beat.key(), redis.now(client))
    stream.Reader("r").read(1, 0.001)


def parts(client) -> Any:
    response = client.get("/readyz")
    body = json.loads(response.content)
    assert response.status_code == (200 if body["ready"] else 503)
    assert body["ready"] == all(part["ok"] for part in body["parts"].values())
    return body["parts"]


def broken(client) -> list[str]:
    return [name for name, part in parts(client).items() if not part["ok"]]


def test_healthz_asks_nobody(client, settings, django_assert_num_queries):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with django_assert_num_queries(0):
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"ok": True})


def test_ready_when_every_part_is_there(client):
    all_there()
    found = parts(client)
    assert [name for name, part in found.items() if not part["ok"]] == []
    assert set(found) == {"database", "migrations", "redis", "workers", "beat", "recorder"}


def test_a_queue_without_a_worker_is_named(client):
    all_there()
    worker("ml@a/2", queues=["ml"], silent=60)
    found = parts(client)
    assert (found["workers"]["ok"], found["workers"]["detail"]) == (False, "No worker serves ml.")


def test_a_silent_beat_and_an_absent_one_are_told(client):
    all_there()
    redis.client().set(beat.key(), redis.now() - 100)
    assert "Ticked 100 s ago" in str(parts(client)["beat"]["detail"])
    redis.client().delete(beat.key())
    assert broken(client) == ["beat"]


def test_an_absent_recorder_is_told(client):
    all_there()
    redis.client().xgroup_destroy(redis.key("events"), stream.GROUP)
    assert broken(client) == ["recorder"]


def test_redis_away_is_told_without_its_password(client, settings):
    settings.REDIS_URL = "redis://:hidden-word@127.0.0.1:1/0"
    response = client.get("/readyz")
    assert response.status_code == 503
    assert b"hidden-word" not in response.content
    assert broken(client) == ["redis", "workers", "beat", "recorder"]


def test_a_broken_database_is_told_without_its_text(client, monkeypatch):
    def fail() -> probes.Part:
        raise DatabaseError("password=hidden-word")

    all_there()
    monkeypatch.setattr(probes, "_database", fail)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert b"hidden-word" not in response.content
    assert broken(client) == ["database"]


@pytest.mark.django_db(transaction=True)
def test_missing_migrations_are_told_until_they_are_applied(client, monkeypatch):
    all_there()
    monkeypatch.setattr(probes, "_migrated", set())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'notifications'")
    try:
        assert broken(client) == ["migrations"]
    finally:
        from django.core.management import call_command

        call_command("migrate", "notifications", fake=True, verbosity=0)
    assert broken(client) == []


def test_no_other_method_than_a_read_is_answered(client):
    assert client.post("/readyz").status_code == 405


def test_the_page_of_workers_is_for_staff(client, django_user_model):
    assert client.get("/workers/").status_code == 302
    client.force_login(django_user_model.objects.create_user("ada"))
    assert client.get("/workers/").status_code == 302


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
    assert "manage.py up" in staff.get("/workers/").content.decode()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = staff.get("/workers/")
    assert (response.status_code, b"Redis does not answer" in response.content) == (503, True)


def test_a_queue_that_waits_for_a_resource_is_told_and_counts_as_served(client):
    all_there()
    worker("ml@a/2", queues=["ml"], waiting={"ml": ["spam_model"]})
    part = parts(client)["workers"]
    assert part["ok"]
    assert "Waiting for resources: ml for spam_model." in part["detail"]
