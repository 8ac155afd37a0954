"""Someone's project into which the wheel is put, and who types commands in it."""

import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import TimeoutExpired
from textwrap import dedent
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from django.conf import settings

from jobroom.runner.redis_server import free_port
from jobroom.testing import forked
from tests.acceptance import wheel_guides as guides

GUIDE = Path(settings.BASE_DIR) / "docs/how-to/put-it-into-your-project.md"
BLOCK = re.compile(r"^( *)```python\n\1# (shop/\w+\.py), ([\w ]+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)

# https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
CELERY = """
import os

from celery import Celery

# Set the default Django settings module for the 'celery' program.
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')

app = Celery('shop')
{guide}
# Using a string here means the worker doesn't have to serialize
# the configuration object to child processes.
# - namespace='CELERY' means all celery-related configuration keys
#   should have a `CELERY_` prefix.
app.config_from_object('django.conf:settings', namespace='CELERY')

# Load task modules from all registered Django apps.
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    print(f'Request: {{self.request!r}}')
"""
PACKAGE = """
# This will make sure the app is always imported when
# Django starts so that shared_task will use this app.
from .celery import app as celery_app

__all__ = ('celery_app',)
"""
TASKS = """
from celery import shared_task


@shared_task
def add(x: int, y: int = 2) -> int:
    '''Add two numbers.'''
    return x + y


@shared_task(bind=True, max_retries=1)
def explode(self):
    raise ValueError("boom")
"""


class Shop:
    """Someone's project, and who works on it."""

    def __init__(self, folder: Path, site_packages: Path, servers: forked.ForkServers) -> None:
        self.folder, self.servers = folder, servers
        self.site_packages = site_packages
        path = os.pathsep.join([str(Path(servers.python).parent), os.environ["PATH"]])
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        self.env = {**kept, "PATH": path, "PYTHONPATH": str(site_packages), "PYTHONUNBUFFERED": "1"}
        self.port = free_port()
        self.started: list[forked.Forked] = []

    def write(self, name: str, text: str) -> None:
        """Save a file."""
        (self.folder / name).write_text(text if name.startswith("shop/settings") else dedent(text).lstrip())

    def spawn(self, argv: tuple[str, ...], output: Path, env: Mapping[str, str]) -> forked.Forked:
        """Type a command: it is forked from a process that has imported what the package needs, and nothing of ours."""
        files = {"stdin": os.devnull, "stdout": str(output), "stderr": str(output), "cwd": str(self.folder)}
        return self.servers.spawn_bare([*argv], {**self.env, **env}, **files)

    def run(self, *argv: str, env: Mapping[str, str] = MappingProxyType({})) -> str:
        """Type a command; return what it printed, or fail."""
        output = self.folder / f"said-{time.monotonic_ns()}"
        status = self.spawn(argv, output, env).wait(120)
        said = output.read_text()
        assert status == 0, said
        return said

    def start(self, *argv: str) -> None:
        """Type a command that stays."""
        self.started.append(self.spawn(argv, self.folder / f"{argv[-1]}.log", {}))

    def stop(self) -> None:
        """Stop what was started."""
        for process in self.started:
            process.terminate()
        for process in self.started:
            try:
                process.wait(20)
            except TimeoutExpired:
                process.kill()
                process.wait()

    def logs(self) -> str:
        """Return what the processes printed."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in self.folder.glob("*.log"))

    def as_it_was(self) -> None:
        """Make the project as it is before the guide."""
        self.run("-m", "django", "startproject", "shop", ".")
        for app in ("jobs", "members"):
            self.run("manage.py", "startapp", app)
        self.write("shop/__init__.py", PACKAGE)
        self.write("jobs/tasks.py", TASKS)
        (self.folder / "jobs/definitions").mkdir()
        self.write("jobs/definitions/sums.yaml", guides.FLOW)
        self.write("jobs/models.py", guides.OFFERS)
        self.write("members/models.py", guides.MEMBERS)
        text = (self.folder / "shop/settings.py").read_text()
        text += "\nINSTALLED_APPS += ['jobs', 'members']\nAUTH_USER_MODEL = 'members.Member'\n"
        self.write("shop/settings.py", text)

    def follow_the_guide(self, redis_url: str) -> None:
        """Do what it says; the address of Redis is the one of this test."""
        blocks = {name: dedent(code) for _, name, _, code in BLOCK.findall(GUIDE.read_text())}
        assert set(blocks) == {"shop/settings.py", "shop/celery.py", "shop/urls.py", "shop/asgi.py"}
        assert blocks["shop/settings.py"].count("redis://127.0.0.1:6379/0") == 1
        blocks["shop/settings.py"] = blocks["shop/settings.py"].replace("redis://127.0.0.1:6379/0", redis_url)
        self.write("shop/celery.py", CELERY.format(guide=blocks.pop("shop/celery.py")))
        for name, code in blocks.items():
            path = self.folder / name
            path.write_text(f"{path.read_text()}\n{code}")

    def of_another(self, folder: Path, database: str) -> "Shop":
        """Return a copy of the project for one more person, with a database of their own: empty for SQLite's file."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        it = Shop(folder, self.site_packages, self.servers)
        if database:
            text = (folder / "shop/settings.py").read_text()
            text += f"\nDATABASES = {{'default': {_connection(database)!r}}}\n"
            (folder / "shop/settings.py").write_text(text)
        return it


def _connection(address: str) -> dict[str, str | int | None]:
    """Return what Django calls the parts of a database's address."""
    parts = urlsplit(address)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
    }
