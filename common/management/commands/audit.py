"""`manage.py audit`: compare the pinned versions with a stored list of advisories, without the net."""

import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from packaging.version import InvalidVersion, Version

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
Advisory = dict[str, Any]  # as https://ossf.github.io/osv-schema/ says


def pins(text: str) -> dict[str, Version]:
    """Return the pinned versions in a requirements file by normalized name."""
    return {_normalized(name): Version(version) for name, version in _PIN.findall(text)}


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def advisories(path: Path) -> Iterator[Advisory]:
    """Yield the advisories in a folder of JSON files, a ZIP of them, or one file with one or a list of them."""
    if path.is_dir():
        for one in sorted(path.rglob("*.json")):
            yield from _records(one.read_bytes(), str(one))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield from _records(archive.read(name), name)
    else:
        yield from _records(path.read_bytes(), str(path))


def _records(content: bytes, name: str) -> Iterator[Advisory]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise CommandError(f"{name} is no JSON: {error}.") from error
    for record in found if isinstance(found, list) else [found]:
        if not isinstance(record, dict) or "affected" not in record:
            raise CommandError(f"{name} is no advisory in the format of OSV: it has no “affected”.")
        yield record


def affects(advisory: Advisory, installed: dict[str, Version]) -> list[str]:
    """Return the packages among `installed` whose version is affected."""
    if advisory.get("withdrawn"):
        return []
    found = []
    for affected in advisory["affected"]:
        package = affected.get("package") or {}
        name = _normalized(str(package.get("name") or ""))
        version = installed.get(name)
        if package.get("ecosystem") == "PyPI" and version is not None and _is_affected(affected, version):
            found.append(name)
    return sorted(set(found))


def _is_affected(affected: dict[str, Any], version: Version) -> bool:
    if any(_version(text) == version for text in affected.get("versions") or ()):
        return True
    ranges = [one for one in affected.get("ranges") or () if one.get("type") == "ECOSYSTEM"]
    return any(_is_within(one.get("events") or (), version) for one in ranges)


def _is_within(events: Any, version: Version) -> bool:
    """Follow the events of a range up to the version: it is affected from `introduced` until `fixed`."""
    within = False
    for event in sorted(events, key=_order):
        for kind, text in event.items():
            at = _version(text)
            if at is None or at > version or (kind == "last_affected" and at == version):
                continue
            within = kind == "introduced"
    return within


def _order(event: dict[str, str]) -> Version:
    return max((_version(text) or Version("0") for text in event.values()), default=Version("0"))


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


class Command(BaseCommand):
    """Name every pinned package that an advisory affects; exit 1 if there is one."""

    help = "Compare the pinned versions with a stored list of advisories (OSV), without the net."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare where the list is."""
        parser.add_argument("list", type=Path, help="a folder, a ZIP or a JSON file of advisories in the format of OSV")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare both requirements files."""
        path: Path = options["list"]
        if not path.exists():
            raise CommandError(
                f"There is no {path}. https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip is one."
            )
        installed: dict[str, Version] = {}
        for name in ("requirements-dev.txt", "requirements.txt"):
            installed |= pins((Path(settings.BASE_DIR) / name).read_text())
        count = affected = 0
        for advisory in advisories(path):
            count += 1
            for name in affects(advisory, installed):
                affected += 1
                self.stdout.write(
                    f"{name} {installed[name]}: {advisory.get('id')} {advisory.get('summary') or ''}".rstrip()
                )
        self.stdout.write(f"{len(installed)} pinned packages, {count} advisories, {affected} that affect one of them.")
        if affected:
            sys.exit(1)
