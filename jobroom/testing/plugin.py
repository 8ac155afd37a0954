"""A pytest plugin: every test process gets a Redis of its own, and none of the developer's environment."""

import atexit
import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobroom.runner import redis_server
from jobroom.runner.redis_server import PrivateServer, RedisProblem
from jobroom.testing import compilation, dying_with_us

# Before anything large is imported.
_turn = compilation.turn()

# Settings are read when pytest-django loads, which is before any fixture: therefore at import.
for _name in (
    "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "ADMINS", "EMAIL_URL", "EMAIL_QUEUED", "ALLOWED_HOSTS", "DEBUG",
    "USI_URL", "USI_AUTH_URL", "USI_USER", "USI_PASSWORD",
    "IMAGE_PORT", "IMAGE_QUEUES", "IMAGE_DEMO", "IMAGE_EXTRA_APPS", "SITE_URL", "LOG_LEVEL",
    "IMAGE_VAR_GROUP", "IMAGE_SSL_REDIRECT", "IMAGE_HSTS_SECONDS", "IMAGE_PROXY_HEADER", "CSRF_TRUSTED_ORIGINS",
):  # fmt: skip
    os.environ.pop(_name, None)
# Processes enough share the processors: threads of a library of numbers would only wait for each other, and spin meanwhile.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]

# A test chooses a port long before its server listens there: each process of a run has ports of its own, and what it starts others.
_PORTS = 600
_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw15").removeprefix("gw")) % 16
_others = redis_server.QUIET_PORTS
redis_server.QUIET_PORTS = range(10_000 + _PORTS * _number, 10_000 + _PORTS * (_number + 1))


def _leave_ports() -> None:
    redis_server.QUIET_PORTS = _others


os.register_at_fork(after_in_child=_leave_ports)

_folder = Path(tempfile.mkdtemp(prefix="image-test-"))
os.environ["IMAGE_VAR"] = str(_folder)


def _started(tries: int = 5) -> "tuple[PrivateServer, subprocess.Popen[bytes]]":
    """Start the server; at another port where someone else got the one that was free a moment ago."""
    server = PrivateServer(_folder / "redis", persist=False)
    process = subprocess.Popen(
        dying_with_us(server.command(), "KILL"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        server.wait(process)
    except RedisProblem:
        if process.poll() is None or tries == 1:
            raise
        return _started(tries - 1)
    return server, process


_server, _process = _started()
os.environ["REDIS_URL"] = _server.url
_owner = os.getpid()


@atexit.register
def _stop() -> None:
    if os.getpid() != _owner:
        return  # a forked child of a test must not stop its parent's server
    _process.terminate()
    _process.wait()
    shutil.rmtree(_folder, ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Let passwords cost nothing: a million rounds each took more time than most tests. Other processes accept them."""
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    PBKDF2PasswordHasher.iterations = 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Have one process compile what all would compile, where a whole run begins in a fresh clone."""
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        files = [file for name in config.getini("testpaths") for file in (config.rootpath / name).rglob("test_*.py")]
        if compilation.needed(files):
            folder = compilation.begin()
            config.add_cleanup(lambda: compilation.end(folder))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Have tests that start nothing give a Redis that refuses no time to come back: no one starts it again."""
    from jobroom import redis
    from jobroom.testing.distribution import takes_processes

    with pytest.MonkeyPatch.context() as patch:
        if not takes_processes(item):
            patch.setattr(redis, "LONGEST_PAUSE", 0.01)
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Have the garbage collector never again look at what lives as long as the process: modules and thousands of tests.

    Looking at all of it takes half a second, again and again; and what tests leave is small, so it is looked for less often:
    a twentieth of all tests went into looking at what twenty thousand new objects were.
    """
    if _turn is not None:
        _turn.end()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Leave no task and nothing in Django's cache to the next test; no files and no Redis of a module's tests to the next one.

    What processes kept, events, messages, locks: tests of one module may share them.
    """
    yield
    from django.core.cache import cache

    from jobroom.testing.tasks import forget_local_tasks, unregister_local_tasks

    forget_local_tasks()
    cache.clear()  # rows that went with their test: pages would show them for the seconds for which they are kept
    if nextitem is None or nextitem.path != item.path:
        from django.conf import settings
        from redis import Redis

        shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)
        unregister_local_tasks()
        with Redis.from_url(_server.url) as client:
            client.flushall()
