"""The other Pythons and Djangos that the wheel is tried on, each in an environment of its own below `var/wheel/`.

    .venv/bin/python -m tests.acceptance.wheel_environments              # makes those whose Python is on this machine
    .venv/bin/python -m tests.acceptance.wheel_environments 3.14=/opt/python3.14/bin/python3

It builds the wheel and has pip install it, as anyone would, so it needs a package index. `test_wheel.py` then follows the guide in
each environment that is there, with the wheel of now; it downloads nothing, and skips the others.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("WHEEL_ENVIRONMENTS", ROOT / "var/wheel"))
MISSING = "not on this machine: python -m tests.acceptance.wheel_environments makes it where that Python is installed"


@dataclass(frozen=True)
class Environment:
    """A Python with a Django."""

    python_version: str
    django_version: str

    @property
    def name(self) -> str:
        """Return what its folder is called."""
        return f"python{self.python_version}-django{self.django_version}"

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return FOLDER / self.name / "bin/python"

    def versions(self) -> tuple[str, ...]:
        """Return which Python and Django really are in it."""
        code = "import django, sys; print(*(f'{v[0]}.{v[1]}' for v in (sys.version_info, django.VERSION)))"
        said = subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True, timeout=60)
        return tuple(said.stdout.split())


# This checkout's own, Python 3.11 with Django 5.2, is not among them: it is tried in every run.
MATRIX = [
    Environment("3.12", "5.2"),
    Environment("3.13", "5.2"),
    Environment("3.14", "5.2"),
    Environment("3.12", "6.0"),
    Environment("3.13", "6.0"),
    Environment("3.14", "6.0"),
]


def there() -> list[Environment]:
    """Return those that are on this machine."""
    return [environment for environment in MATRIX if environment.python.exists()]


def build(into: Path) -> Path:
    """Build the wheel from a copy of what it is built from; return its path."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "jobroom", Path(folder) / "jobroom", ignore=shutil.ignore_patterns("__pycache__"))
        code = f"from setuptools import build_meta; build_meta.build_wheel({str(into)!r})"
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, timeout=120)
    (wheel,) = into.glob("*.whl")
    return wheel


def make(environment: Environment, python: str, wheel: Path) -> None:
    """Make one, with what the guide installs, the extra for Django's tasks and PostgreSQL's driver."""
    folder = FOLDER / environment.name
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    wanted = [f"{wheel}[django-tasks]", f"django=={environment.django_version}.*", "psycopg[binary]"]
    pip = [sys.executable, "-m", "pip", "--python", str(environment.python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *wanted], check=True)


def main() -> None:
    """Make all whose Python is named, or found on the path."""
    named = dict(argument.split("=", 1) for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        for environment in MATRIX:
            version = environment.python_version
            python = named.get(version) or shutil.which(f"python{version}")
            if python is None:
                print(f"{environment.name}: no python{version} on the path; name one: {version}=/its/program")  # noqa: T201
                continue
            make(environment, python, wheel)
            print(environment.name, *environment.versions())  # noqa: T201


if __name__ == "__main__":
    main()
