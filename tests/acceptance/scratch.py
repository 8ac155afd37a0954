"""A scratch app: writes a package of tasks, as a reader of the documentation would, and runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from django.conf import settings

from jobroom.testing.processes import completed, environment


class ScratchApp:
    """A Django app called `scratch` in a folder of its own, switched on by `IMAGE_EXTRA_APPS`.

    Its commands are forked from a warm server; `warm=False` executes them, where one command is all there is.
    """

    warm = False  # of one that is made without its files

    def __init__(self, folder: Path, tasks: str, *, warm: bool = True) -> None:
        package = folder / "scratch"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "tasks.py").write_text(dedent(tasks))
        path = os.pathsep.join([str(folder), environment()["PYTHONPATH"]])
        self.env: Mapping[str, str] = {"IMAGE_EXTRA_APPS": "scratch", "PYTHONPATH": path}
        self.warm = warm

    def manage(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a Django command with the app; return its status, output and errors."""
        words = ["-m", "django", *arguments]
        if self.warm:
            return completed(*words, env=self.env, typed=stdin)
        given: dict[str, Any] = {"env": environment(self.env), "cwd": settings.BASE_DIR, "timeout": 90}
        return subprocess.run([sys.executable, *words], input=stdin, capture_output=True, text=True, **given)

    def shell(self, code: str) -> str:
        """Type lines into `manage.py shell`; return what they printed, or fail with the traceback."""
        done = self.manage("shell", "-v", "0", "-c", dedent(code))
        assert done.returncode == 0, done.stderr
        return done.stdout
