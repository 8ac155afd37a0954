"""Checks that the documentation of settings names those that the code reads."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

# The functions of image/env.py whose first argument is a variable's name.
READERS = {"text", "boolean", "integer", "words", "people", "_read", "get"}
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")


def variables_read(source: str) -> set[str]:
    """Return the names of the environment variables that Python `source` reads."""
    return {name for node in ast.walk(ast.parse(source)) for name in _named_by(node) if VARIABLE.fullmatch(name)}


def _named_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id=reader) | ast.Attribute(attr=reader), args=[ast.Constant(value=str(name)), *_]):
            if reader in READERS:
                yield name
        case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name))):
            yield name


def options() -> set[str]:
    """Return the settings that the installed apps declare in their `conf` modules."""
    from django.apps import apps

    from jobroom.conf import registry

    for app in apps.get_app_configs():
        if (Path(app.path) / "conf.py").exists() and not app.name.startswith("django"):
            importlib.import_module(f"{app.name}.conf")
    return {name for declared in registry for name in declared.names()}


def missing(page: str, names: set[str]) -> list[str]:
    """Return those of `names` that the page does not mention as code."""
    mentioned = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", page))
    return sorted(names - mentioned)


def problems(folder: Path) -> list[str]:
    """Return what docs/reference/settings.md lacks, one line each."""
    path = folder / "docs" / "reference" / "settings.md"
    if not path.exists():
        return [f"{path.relative_to(folder)} is missing"]
    variables: set[str] = set()
    for module in ("env.py", "settings.py"):
        variables |= variables_read((folder / "image" / module).read_text())
    page = path.read_text()
    return [f"{path.relative_to(folder)} does not name `{name}`" for name in missing(page, variables | options())]
