"""The data folder is for its owner alone."""

import os
import stat
import subprocess
import sys

import pytest

from jobroom import checks, file_permissions
from jobroom.runner import preparation


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def var(tmp_path):
    """Return a data folder as an older release left it: open to all, with a database, a mail and a link to elsewhere."""
    folder = tmp_path / "var"
    (folder / "mail").mkdir(parents=True)
    for name in ("db.sqlite3", "mail/one.log"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    outside = tmp_path / "elsewhere"
    outside.touch()
    outside.chmod(0o644)
    (folder / "link").symlink_to(outside)
    for path in (folder / "mail", folder):
        path.chmod(0o755)
    return folder


def test_what_is_open_is_closed_and_reported(var):
    [said] = preparation.keep_private(var)
    assert "could reach 4 files and folders" in said
    assert [mode(var / name) for name in ("", "mail", "db.sqlite3", "mail/one.log")] == [0o700, 0o700, 0o600, 0o600]
    assert mode(var.parent / "elsewhere") == 0o644  # what a link leads to is not ours
    assert preparation.keep_private(var) == []


def test_a_folder_for_two_users_of_a_group_stays_open_to_the_group(var, settings):
    settings.VAR_GROUP = True
    (var / "mail").chmod(0o2775)
    assert file_permissions.mend(var) == []
    assert [mode(var / name) for name in ("", "mail", "db.sqlite3")] == [0o750, 0o2770, 0o640]


def test_what_cannot_be_closed_is_named_by_the_check(var, settings, monkeypatch):
    settings.VAR = str(var)
    monkeypatch.setattr(file_permissions, "_close", lambda path: path.name != "db.sqlite3")
    [warning] = checks.data_folder()
    assert warning.id == "jobroom.W004"
    assert str(var / "db.sqlite3") in warning.msg
    assert "IMAGE_VAR" in warning.hint
    [_, said] = preparation.keep_private(var)
    assert "db.sqlite3" in said


def test_a_folder_that_is_not_there_is_no_problem(tmp_path):
    assert file_permissions.mend(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("before", "group", "after"), [(0o022, False, 0o077), (0o000, True, 0o007), (0o027, True, 0o027)]
)
def test_the_umask_is_never_laxer_than_it_was(before, group, after, settings, monkeypatch):
    settings.VAR_GROUP = group
    found = []
    monkeypatch.setattr(os, "umask", lambda wanted: found.append(wanted) or before)
    file_permissions.set_umask()
    assert found[-1] == after


@pytest.mark.acceptance
def test_workers_web_and_recorder_set_it():
    """Each is asked in a process of its own, as a container or systemd starts it."""
    program = (
        "import os; os.umask(0o022); import image.asgi; web = os.umask(0o022);"
        "from celery.signals import celeryd_init, beat_init; celeryd_init.send(sender='x'); worker = os.umask(0o022);"
        "beat_init.send(sender='x'); print(oct(web), oct(worker), oct(os.umask(0)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["0o77"] * 3
