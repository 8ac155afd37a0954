"""A pytest plugin: every test process gets a Redis of its own, and none of the developer's environment."""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.runner.redis_server import PrivateServer

# Settings are read when pytest-django loads, which is before any fixture: hence at import.
for _name in (
    "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "ADMINS", "EMAIL_URL", "EMAIL_QUEUED", "ALLOWED_HOSTS", "DEBUG",
    "USI_URL", "USI_AUTH_URL", "USI_USER", "USI_PASSWORD",
    "IMAGE_PORT", "IMAGE_QUEUES", "IMAGE_DEMO", "IMAGE_EXTRA_APPS", "SITE_URL", "LOG_LEVEL",
):  # fmt: skip
    os.environ.pop(_name, None)
if os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]

_folder = Path(tempfile.mkdtemp(prefix="image-test-"))
os.environ["IMAGE_VAR"] = str(_folder)
_server = PrivateServer(_folder / "redis", persist=False)
_process = subprocess.Popen(
    _server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
)
_server.wait(_process)
os.environ["REDIS_URL"] = _server.url
_owner = os.getpid()


@atexit.register
def _stop() -> None:
    if os.getpid() != _owner:
        return  # a forked child of a test must not stop its parent's server
    _process.terminate()
    _process.wait()
    shutil.rmtree(_folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Leave no files of a module's tests to the next one: its own processes may have kept some that no test knows of."""
    yield
    if nextitem is None or nextitem.path != item.path:
        from django.conf import settings

        shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)
