"""`manage.py test` and `manage.py lint`, and the container files."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import pytest_timeout
from django.conf import settings

from common.management.commands import lint
from common.management.commands import test as test_command
from jobroom import testing
from jobroom.runner import settings_reference
from jobroom.testing import postgresql, rabbitmq, tiers

PROJECT = Path(settings.BASE_DIR)

# Tiers ---------------------------------------------------------------------------------------------------------------


# The tiers that this machine may or may not have; none of them is started here.
SERVERS = {"TEST_POSTGRES_URL": "postgres://nowhere/x", "TEST_RABBITMQ_URL": "amqp://nowhere"}


def run_pytest(folder, **environment):
    """Run one browser test and one plain one with our plugin."""
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  browser: x\n  acceptance: x\n  postgresql: x\n  rabbitmq: x\n  serial: x\n"
    )
    (folder / "test_it.py").write_text(
        "import pytest\n@pytest.mark.browser\ndef test_page():\n    pass\ndef test_plain():\n    pass\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "jobroom.testing.tiers", str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={
            "PATH": "/nowhere",
            "HOME": str(folder),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **SERVERS,
            **environment,
        },
    )


@pytest.mark.acceptance
def test_a_tier_that_cannot_run_is_skipped_with_the_remedy(tmp_path):
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    *_, tier, closing = done.stdout.splitlines()
    assert tier.startswith("Tier skipped: browser (no Chromium: apt-get install chromium")
    assert "1 passed, 1 skipped" in closing


@pytest.mark.acceptance
def test_in_ci_a_skipped_tier_fails_the_run_but_the_closing_line_stays_the_last(tmp_path):
    done = run_pytest(tmp_path, CI="true")
    assert done.returncode == 1, done.stdout
    *_, tier, closing = done.stdout.splitlines()
    assert tier.endswith("in CI that is a failure")
    assert "1 passed, 1 skipped" in closing


@pytest.mark.acceptance
def test_a_named_browser_makes_the_tier_run(tmp_path):
    done = run_pytest(tmp_path, CI="true", IMAGE_CHROMIUM=sys.executable)
    assert done.returncode == 0, done.stdout
    *_, tier, closing = done.stdout.splitlines()
    assert tier.startswith("Tier ran: browser (1 tests, ")
    assert any(line.startswith("Tier ran: plain (1 tests, ") for line in done.stdout.splitlines())
    assert "2 passed" in closing


def test_a_named_browser_that_is_not_there_is_not_replaced(monkeypatch):
    monkeypatch.setenv("IMAGE_CHROMIUM", "/nowhere/chromium")
    assert tiers.chromium() is None
    assert "browser" in tiers.skipped_tiers()


@pytest.mark.parametrize(("server", "variable"), [(postgresql, "TEST_POSTGRES_URL"), (rabbitmq, "TEST_RABBITMQ_URL")])
def test_a_server_that_is_named_replaces_programs_that_are_not_there(monkeypatch, tmp_path, server, variable):
    monkeypatch.setattr(server, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    assert "apt-get install" in server.lacks()
    assert variable in server.lacks()
    monkeypatch.setenv(variable, "somewhere")
    assert server.lacks() == ""
    with server.server() as url:
        assert url == "somewhere"


# manage.py test ------------------------------------------------------------------------------------------------------


def options(*arguments):
    """Return what is handed to pytest."""
    python, *rest = test_command.command(list(arguments))
    assert (python, rest[:2]) == (sys.executable, ["-m", "pytest"])
    return rest[2:]


@pytest.mark.parametrize(
    "arguments", [[], ["--durations=5"], ["-k", "lock"], ["-x", "--lf"], ["common", "tests"], ["-v"]]
)
def test_options_of_pytest_leave_the_width_alone(arguments):
    given = options(*arguments)
    assert given[:2] == ["-n", str(test_command.processes())]
    assert given[len(given) - len(arguments) :] == arguments
    assert sum(word.startswith("--durations=") for word in given) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "3"],
        ["-n3"],
        ["--numprocesses=1"],
        ["-p", "no:xdist"],
        ["--pdb"],
        ["-k", "x", "--trace"],
        ["-s"],
        ["--co"],
    ],
)
def test_arguments_that_say_how_wide_it_runs_are_obeyed(arguments):
    assert options(*arguments)[-len(arguments) :] == arguments
    assert "--dist" not in options(*arguments)


def test_tests_without_processes_are_as_wide_as_the_machine(monkeypatch):
    monkeypatch.setattr(test_command, "processors", lambda: 4)
    assert options("--fast")[:2] == ["-n", "6"]
    assert options()[:2] == ["-n", "12"]


def test_what_is_named_decides_how_many_processes_are_worth_their_start(monkeypatch):
    monkeypatch.setattr(test_command, "processes", lambda: 5)
    one, file = "jobroom/tests/test_locks.py::test_x", "jobroom/tests/test_locks.py"
    assert "-n" not in options(one)
    assert options(one, one)[1] == "2"
    assert "-n" not in options(file)
    assert options("tests/acceptance/test_rescue.py")[1] == "2"
    assert options(*[file] * 9)[1] == "5"
    assert options("common")[1] == "5"


def test_a_file_that_is_not_there_is_named(monkeypatch):
    monkeypatch.chdir(PROJECT)
    arguments = ["-k", "x", "jobroom/tests/test_runner_tools.py::test_x", "tests/test_nothing.py", "image"]
    assert test_command.missing_files(arguments) == ["tests/test_nothing.py"]


def test_compiled_modules_are_kept_where_an_image_forbids_it(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("CI", "true")
    given = test_command.environment()
    assert "PYTHONDONTWRITEBYTECODE" not in given
    assert given["CI"] == "true"


def test_fast_leaves_out_what_starts_processes_whatever_else_is_chosen():
    left_out = [f"--ignore={folder}" for folder in test_command.SLOW]
    assert options("--fast")[-6:] == ["-m", test_command.FAST, *left_out, "--share"]
    marks = f"(not sql) and {test_command.FAST}"
    assert options("-m", "not sql", "--fast", "common")[-6:] == ["-m", marks, *left_out, "common"]
    for tier in ("acceptance", *(tier.marker for tier in tiers.TIERS)):
        assert f"not {tier}" in test_command.FAST


@pytest.mark.parametrize("folder", test_command.SLOW)
def test_every_test_of_a_folder_that_fast_leaves_out_starts_processes(folder):
    files = sorted((PROJECT / folder).rglob("test_*.py"))
    assert files
    marked = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.(acceptance|browser|postgresql|rabbitmq)\b", re.MULTILINE)
    assert [file.name for file in files if not marked.search(file.read_text())] == []


@pytest.mark.acceptance
@pytest.mark.timeout(240)  # a whole pytest with Django in it, maybe beside busy neighbours
def test_the_command_ends_with_pytests_status(tmp_path):
    """Called from another folder, with a path in the project and an option of pytest's."""
    named = "jobroom/tests/test_runner_tools.py::test_no_secret_has_a_default"
    done = subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), "test", "-k", "no_such_test", named],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "IMAGE_NO_VENV": "1", "IMAGE_VAR": str(tmp_path)},
    )
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stderr
    assert "deselected" in done.stdout


# manage.py lint ------------------------------------------------------------------------------------------------------


def test_all_variables_that_settings_read_are_found():
    source = (
        'A = env.text("SITE_URL", f"x")\nB = _read("DATABASE_URL", "db_url", {}, "x")\n'
        'C = os.environ["ADMINS"]\nD = os.environ.get("EMAIL_URL")\nE = kept.get("lower")\nF = env.text(name)\n'
    )
    assert settings_reference.variables_read(source) == {"SITE_URL", "DATABASE_URL", "ADMINS", "EMAIL_URL"}


def test_every_app_declares_its_options_by_being_installed():
    assert {"LOCK_TTL", "REDIS_PREFIX"} <= settings_reference.options()


def test_a_page_names_a_setting_as_code():
    assert settings_reference.missing("`DEBUG` and SECRET_KEY", {"DEBUG", "SECRET_KEY"}) == ["SECRET_KEY"]


def test_a_missing_page_is_a_problem_and_an_incomplete_one_names_what_it_lacks(tmp_path):
    assert settings_reference.problems(tmp_path) == ["docs/reference/settings.md is missing"]
    for folder in ("docs/reference", "image"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "image" / "env.py").write_text('X = os.environ.get("IMAGE_VAR")')
    (tmp_path / "image" / "settings.py").write_text('DEBUG = env.boolean("DEBUG", default=False)')
    named = " ".join(f"`{name}`" for name in [*settings_reference.options(), "DEBUG"])
    (tmp_path / "docs/reference/settings.md").write_text(named)
    assert settings_reference.problems(tmp_path) == ["docs/reference/settings.md does not name `IMAGE_VAR`"]


def test_every_check_is_a_program_that_is_installed():
    for argv in lint.programs().values():
        assert Path(argv[0]).exists(), argv


def test_folders_without_templates_are_not_checked(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "jobs" / "templates" / "jobs").mkdir(parents=True)
    (tmp_path / "jobs" / "templates" / "jobs" / "job.html").touch()
    assert lint.template_folders(tmp_path) == [tmp_path / "jobs" / "templates"]


# Containers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services():
    from ruamel.yaml import YAML

    return YAML(typ="safe").load((PROJECT / "docker-compose.yml").read_text())["services"]


def test_the_compose_file_follows_the_specification():
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_queue_has_a_worker_in_the_compose_file(services):
    commands = [service["command"] for service in services.values() if "worker" in service.get("command", [])]
    assert sorted(command[command.index("-Q") + 1] for command in commands) == sorted(settings.JOBROOM["QUEUES"])


def test_whatever_works_waits_for_the_migrations_and_has_a_health_check(services):
    for name, service in services.items():
        if name in {"db", "redis", "migrate"}:
            continue
        assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name
        assert "healthcheck" in service, name
        if service["command" if "command" in service else "image"][-1] != "record":
            assert service["healthcheck"]["test"], name


def test_only_the_web_is_published_and_only_to_this_machine(services):
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
        "web": ["127.0.0.1:${IMAGE_PORT:-8000}:8000"]
    }


def test_no_secret_has_a_default(services):
    text = json.dumps(services)
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_the_image_does_not_run_as_root():
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    [user] = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert user.isdigit()
    assert int(user) > 0


def test_a_busy_machine_gets_more_time(monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (3.0 * (os.cpu_count() or 1), 0.0, 0.0))
    end = time.monotonic() + 0.2
    assert testing.wait_until(lambda: time.monotonic() > end, 0.1)
    with pytest.raises(AssertionError, match=r"not within \d+ s: the moon"):
        testing.wait_until(lambda: False, 0.01, "the moon")
    given = []
    monkeypatch.setattr("pytest_timeout.pytest_timeout_set_timer", lambda item, settings: given.append(settings))
    assert tiers.pytest_timeout_set_timer(None, pytest_timeout.Settings(60, "signal", False, False))
    assert given[0].timeout == 180
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.0, 0.0))
    assert testing.patience() == 1
