"""A site that is reached by https is safe without a word in the settings, and says what it cannot know."""

import os
import re
import runpy
import secrets
import subprocess
import sys

import pytest
import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from image import env

HTTPS = {
    "SITE_URL": "https://jobs.example.org",
    "ALLOWED_HOSTS": "jobs.example.org",
    "ADMINS": "ada@example.org",
}
SHOWN = (
    "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT",
    "SECURE_HSTS_SECONDS", "CSRF_TRUSTED_ORIGINS", "SECURE_PROXY_SSL_HEADER",
)  # fmt: skip


def run(*argv, **environment):
    given = {**os.environ, "IMAGE_NO_VENV": "1", "SECRET_KEY": secrets.token_urlsafe(50), **environment}
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, env=given, cwd=settings.BASE_DIR, timeout=120
    )


@pytest.mark.acceptance
def test_the_checks_for_deployment_find_nothing():
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **HTTPS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, "False False False 0 [] None"),
        (HTTPS, "True True True 2592000 ['https://jobs.example.org'] None"),
        (
            {**HTTPS, "SITE_URL": "https://h:8443/jobs", "IMAGE_SSL_REDIRECT": "0", "IMAGE_HSTS_SECONDS": "60", "IMAGE_PROXY_HEADER": "X-Forwarded-Proto"},
            "True True False 60 ['https://h:8443'] ('HTTP_X_FORWARDED_PROTO', 'https')",
        ),
    ],
)  # fmt: skip
def test_it_all_follows_from_the_address_of_the_site(environment, shown, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", secrets.token_urlsafe(50))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = runpy.run_path(str(settings.BASE_DIR / "image" / "settings.py"))  # the file itself, read once more
    assert " ".join(str(found[name]) for name in SHOWN) == shown


def test_a_proxy_header_is_named_as_it_is_sent(monkeypatch):
    monkeypatch.setenv("H", "X-Forwarded-Scheme: secure")
    assert env.proxy_header("H") == ("HTTP_X_FORWARDED_SCHEME", "secure")
    monkeypatch.setenv("H", "not a header!")
    with pytest.raises(ImproperlyConfigured, match="X-Forwarded-Proto"):
        env.proxy_header("H")


@pytest.fixture
def https(settings):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def test_pages_lead_to_https_and_probes_do_not(https, db):
    assert Client().get("/login/")["Location"] == "https://testserver/login/"
    assert Client().get("/healthz").status_code == 200


def test_behind_the_proxy_cookies_are_for_https_alone(https, db):
    page = Client().get("/login/", headers={"x-forwarded-proto": "https"})
    assert page.status_code == 200
    assert page["Strict-Transport-Security"] == "max-age=60"
    assert page.cookies["csrftoken"]["secure"]


def test_what_compose_and_systemd_say_is_what_the_guide_says():
    """The units start the programs that the containers start, as users of their own, with files for themselves alone."""
    compose = (settings.BASE_DIR / "docker-compose.yml").read_text()
    units = list((settings.BASE_DIR / "deploy" / "systemd").glob("*.service"))
    assert {unit.name for unit in units} == {
        "jobroom-web.service", "jobroom-worker@.service", "jobroom-beat.service", "jobroom-recorder.service",
    }  # fmt: skip
    for unit in units:
        text = unit.read_text()
        assert re.search(r"^UMask=0007$", text, re.M), unit
        assert re.search(r"^NoNewPrivileges=yes$", text, re.M), unit
        assert re.search(r"^User=jobroom-(web|worker)$", text, re.M), unit
    assert 'user: "10002:10001"' in compose
    assert "aclfile" in compose


def acl(name):
    rules = (settings.BASE_DIR / "deploy" / "redis" / "users.acl").read_text()
    return next(line for line in rules.splitlines() if line.startswith(f"user {name} ")).split()[2:]


def refusal(client, *command):
    """Return what the server says against a command, or nothing."""
    try:
        client.execute_command(*command)
    except redis.ResponseError as error:
        return str(error)
    return ""


def test_a_worker_can_work_with_the_rights_that_the_acl_gives(tmp_path):
    """The rules are loaded into a server: what workers need passes, what would harm others does not."""
    from jobroom.runner.redis_server import PrivateServer

    server = PrivateServer(tmp_path / "redis", persist=False)
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server.wait(process)
        with redis.Redis.from_url(server.url) as admin:
            for name in ("web", "worker"):
                rules = [rule.replace(f">{name.upper()}_PASSWORD", ">pw") for rule in acl(name)]
                assert ">pw" in rules
                admin.execute_command("ACL", "SETUSER", name, *rules)
        with redis.Redis.from_url(
            server.url.replace("redis://:", "redis://worker:").replace(server.password, "pw")
        ) as worker:
            worker.set("image:x", 1)
            worker.lpush("default", "message")
            worker.eval("return redis.call('GET', KEYS[1])", 1, "image:x")
            worker.publish("image:live:jobs", "x")
            worker.xadd("image:events", {"e": "{}"})
            # Servers before Redis 7.2 do not know it; where it is known it is allowed.
            assert "permission" not in refusal(worker, "CLIENT", "SETINFO", "LIB-NAME", "x")
            for forbidden in (
                ["FLUSHALL"],
                ["FLUSHDB"],
                ["CONFIG", "GET", "*"],
                ["SHUTDOWN"],
                ["KEYS", "*"],
                ["ACL", "LIST"],
                ["REPLICAOF", "NO", "ONE"],
                ["SCRIPT", "FLUSH"],
                ["MONITOR"],
                ["CLIENT", "KILL", "TYPE", "normal"],
            ):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    worker.execute_command(*forbidden)
    finally:
        process.terminate()
        process.wait()
