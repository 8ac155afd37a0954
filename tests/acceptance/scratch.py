"""A scratch app: writes a package of tasks, as a reader of the documentation would, and runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from jobroom.testing.processes import environment


class ScratchApp:
    """A Django app called `scratch` in a folder of its own, switched on by `IMAGE_EXTRA_APPS`."""

    def __init__(self, folder: Path, tasks: str) -> None:
        package = folder / "scratch"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "tasks.py").write_text(dedent(tasks))
        path = os.pathsep.join([str(folder), environment()["PYTHONPATH"]])
        self.env: Mapping[str, str] = {"IMAGE_EXTRA_APPS": "scratch", "PYTHONPATH": path}

    def manage(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a Django command with the app; return its status, output and errors."""
        return subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(self.env),
            cwd=environment()["PYTHONPATH"].split(os.pathsep)[0],
        )

    def shell(self, code: str) -> str:
        """Type lines into `manage.py shell`; return what they printed, or fail with the traceback."""
        done = self.manage("shell", "-v", "0", "-c", dedent(code))
        assert done.returncode == 0, done.stderr
        return done.stdout
