"""The audit finds what is affected, and nothing else."""

import json
import zipfile

import pytest
from django.core.management import CommandError, call_command
from packaging.version import Version

from common.management.commands.audit import affects, pins


def advisory(events=(), versions=(), name="Django", **more):
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges, "versions": list(versions)}
    return {"id": "X-1", "summary": "bad", "affected": [affected], **more}


FIXED = [{"introduced": "0"}, {"fixed": "4.2.1"}, {"introduced": "5.0"}, {"fixed": "5.2.3"}]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("4.2", True),
        ("4.2.1", False),
        ("4.9", False),
        ("5.0", True),
        ("5.2.2", True),
        ("5.2.3", False),
        ("5.10", False),
    ],
)
def test_a_version_is_affected_from_introduced_until_fixed(version, affected):
    assert bool(affects(advisory(FIXED), {"django": Version(version)})) is affected


@pytest.mark.parametrize(("version", "affected"), [("1.0", True), ("1.4", True), ("1.5", False)])
def test_the_last_affected_version_is_affected(version, affected):
    events = [{"introduced": "0"}, {"last_affected": "1.4"}]
    assert bool(affects(advisory(events), {"django": Version(version)})) is affected


def test_versions_may_be_listed_and_names_written_otherwise():
    assert affects(advisory(versions=["1.0"], name="Typing_Extensions"), {"typing-extensions": Version("1.0.0")})
    assert not affects(advisory(FIXED, withdrawn="2026-01-01"), {"django": Version("5.0")})
    assert not affects(advisory(FIXED, name="other"), {"django": Version("5.0")})


def test_pins_are_read_from_the_requirements():
    text = "a-b==1.2 \\\n    --hash=sha256:x\nC.d[x]==2 ; python_version < '4'\n# z==1\n"
    assert pins(text) == {"a-b": Version("1.2"), "c-d": Version("2")}


@pytest.mark.parametrize("shape", ["folder", "zip", "list"])
def test_the_command_says_what_is_affected(tmp_path, capsys, shape):
    bad, good = advisory([{"introduced": "0"}]), advisory([{"introduced": "0"}, {"fixed": "1"}])
    path = tmp_path / "list.json"
    if shape == "folder":
        path = tmp_path
        (tmp_path / "a.json").write_text(json.dumps(bad))
        (tmp_path / "b.json").write_text(json.dumps(good))
    elif shape == "zip":
        path = tmp_path / "all.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.json", json.dumps(bad))
            archive.writestr("b.json", json.dumps(good))
    else:
        path.write_text(json.dumps([bad, good]))
    with pytest.raises(SystemExit) as status:
        call_command("audit", path)
    assert status.value.code == 1
    out = capsys.readouterr().out
    assert "django 5." in out
    assert "2 advisories, 1 that affect" in out


def test_without_anything_affected_it_ends_well(tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps(advisory([{"introduced": "0"}, {"fixed": "1"}])))
    call_command("audit", tmp_path)
    assert "0 that affect" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["{", "[1]", "{}"])
def test_what_is_no_list_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CommandError, match=r"a\.json is no"):
        call_command("audit", tmp_path)
    with pytest.raises(CommandError, match="There is no"):
        call_command("audit", tmp_path / "none")
