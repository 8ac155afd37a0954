"""One sentence for the page, the command and `/readyz`: what is wrong, since when, what to do."""

import json
import time

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from jobroom import redis
from jobroom.celery import beat
from jobroom.notifications.health import LATE
from jobroom.notifications.models import Mail, State
from jobroom.workers import health, probes
from jobroom.workers.tests.engine import worker
from jobroom.workers.tests.test_probes import all_there

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clean(settings):
    settings.JOBROOM = settings.JOBROOM | {"QUEUES": ["default", "ml"]}
    redis.client().flushdb()
    health._noticed.clear()
    health.forget()


def first() -> health.Trouble:
    return health.current().troubles[0]


def test_all_is_well_without_a_sentence(admin_client):
    all_there()
    assert health.current().troubles == []
    assert admin_client.get("/health/line/").content.strip() == b""
    assert b"All is well" in admin_client.get("/health/").content


def test_a_queue_without_a_worker(admin_client):
    all_there()
    redis.client().flushdb()
    worker("default@a/1")
    assert (first().part, first().what) == ("workers", "No worker serves ml.")
    assert "-Q ml" in first().action
    line = admin_client.get("/health/line/").content.decode()
    assert "No worker serves ml." in line
    assert "-Q ml" in line


def test_a_silent_worker_leaves_the_site_ready_and_is_said(client):
    all_there()
    worker("spare@a/3", silent=400)
    found = health.current()
    assert found.ready
    assert client.get("/readyz").status_code == 200
    assert found.troubles[0].what.startswith("Silent: spare@a.")
    assert 390 < time.time() - found.troubles[0].since.timestamp() < 420
    assert not found.troubles[0].at_least


def test_a_late_beat_says_since_when():
    all_there()
    client = redis.client()
    client.set(beat.key(), redis.now(client) - 90)
    assert first().part == "beat"
    assert 85 < time.time() - first().since.timestamp() < 100


def test_mails_that_do_not_get_out_are_said():
    all_there()
    Mail.objects.create(
        key="k", digest="d", sender="a@b.c", state=State.WAITING, attempts=2, created_at=timezone.now() - 2 * LATE
    )
    found = health.current()
    assert found.ready
    assert (first().part, first().what, first().url) == (
        "mails",
        "Mails do not get out.",
        "jobroom:notifications:mails",
    )


def test_a_disk_that_is_nearly_full_is_said(settings):
    all_there()
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_DISK_LOW": 1.0}
    assert first().part == "disk"
    assert "Free space" in first().action


def test_redis_away_is_one_trouble_and_not_five(settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert [trouble.part for trouble in health.current().troubles] == ["redis"]


def test_when_it_was_noticed_is_kept_by_all_processes():
    all_there()
    redis.client().flushdb()
    worker("default@a/1")
    noticed = first().since
    health._noticed.clear()  # another process looks
    assert abs((first().since - noticed).total_seconds()) < 0.01
    assert first().at_least
    all_there()
    health.current()
    assert redis.client().hgetall(redis.key("health")) == {}


def test_the_command_says_the_same_and_exits_with_one(capsys):
    with pytest.raises(SystemExit) as left:
        call_command("health", "--json")
    said = json.loads(capsys.readouterr().out)
    assert left.value.code == 1
    assert not said["ready"]
    assert {trouble["part"] for trouble in said["troubles"]} >= {"workers", "beat", "recorder"}
    all_there()
    call_command("health")
    assert "ok       workers" in capsys.readouterr().out


def test_strangers_get_no_line(client):
    assert client.get("/health/line/").status_code == 302
    assert client.head("/health/line/").status_code == 302


def test_a_sign_of_the_session_asks_no_part(admin_client, settings):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert admin_client.head("/health/line/").status_code == 204


def test_a_page_that_was_open_before_a_login_gets_the_token_of_now(admin_user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    for method in (browser.head, browser.get):
        token = method("/health/line/").headers["X-CSRFToken"]
        sent = {"csrfmiddlewaretoken": token}
        assert browser.post("/tasks/demo.echo/pin/", sent).status_code == 303


def test_open_pages_share_what_the_parts_have_said(admin_client, monkeypatch):
    all_there()
    asked = []
    monkeypatch.setattr(health, "SHARED", 3600)
    monkeypatch.setattr(probes, "ready", lambda ready=probes.ready: asked.append(1) or ready())
    for _ in range(5):
        admin_client.get("/health/line/")
    assert len(asked) == 1
    monkeypatch.setattr(health, "SHARED", 0)
    admin_client.get("/health/line/")
    assert len(asked) == 2
    admin_client.get("/health/")  # the page asks for itself
    assert len(asked) == 3
