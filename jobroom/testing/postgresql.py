"""A PostgreSQL for tests: the one of TEST_POSTGRES_URL, else a private one made with the programs of this machine."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobroom.runner.redis_server import free_port
from jobroom.testing import dying_with_us, wait_until

# Debian keeps each version in a folder of its own, which is not on the PATH.
DEBIAN = Path("/usr/lib/postgresql")
USER = "postgres"
REMEDY = (
    "no PostgreSQL: apt-get install postgresql (macOS: brew install postgresql), or set TEST_POSTGRES_URL to a server "
    "where databases may be created"
)
# What a test loses with a crash of the machine is not missed.
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def lacks() -> str:
    """Return why the tests on PostgreSQL cannot run here, with the remedy; empty if they can."""
    if os.environ.get("TEST_POSTGRES_URL"):
        return ""
    if programs() is None:
        return REMEDY
    if _is_root() and not _has_user():
        return f"PostgreSQL refuses to run as root and there is no user {USER}: run the tests as another user"
    return ""


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`: the newest of Debian's, else the one on the PATH."""
    found = [path.parent for path in DEBIAN.glob("*/bin/initdb") if path.parent.parent.name.isdigit()]
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _is_root() -> bool:
    return os.geteuid() == 0


def _has_user() -> bool:
    return any(entry.pw_name == USER for entry in pwd.getpwall())


def _as_user() -> dict[str, Any]:
    """Return the options that let a program run as someone whom PostgreSQL accepts."""
    return {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []} if _is_root() else {}


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a server; a private one is stopped and removed when the block ends."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="image-postgresql-"))
    try:
        if _is_root():
            shutil.chown(folder, USER)
        with _running(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    bin_folder, password, port = programs(), secrets.token_hex(16), free_port()
    assert bin_folder is not None, lacks()
    _make_cluster(bin_folder, folder, password)
    argv = [str(bin_folder / "postgres"), "-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port)]
    for option in (*CARELESS, "unix_socket_directories=", "max_connections=200"):
        argv += ["-c", option]
    with (folder / "log").open("wb") as log:
        options: dict[str, Any] = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "cwd": folder}
        process = subprocess.Popen(dying_with_us(argv, "INT"), start_new_session=True, **options, **_as_user())
    url = f"postgres://{USER}:{password}@127.0.0.1:{port}/installation"
    try:
        wait_until(lambda: _answers(process, port, password, folder / "log"), 60, "PostgreSQL is up")
        yield url
    finally:
        _stop(process)


def _make_cluster(bin_folder: Path, folder: Path, password: str) -> None:
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if _is_root():
        shutil.chown(secret, USER)
    locale = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
    subprocess.run(
        [
            *(str(bin_folder / "initdb"), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8", f"--locale={locale}"),
            *("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        timeout=120,
        **_as_user(),
    )


def _answers(process: "subprocess.Popen[bytes]", port: int, password: str, log: Path) -> bool:
    import psycopg

    assert process.poll() is None, f"PostgreSQL ended with {process.returncode}\n{log.read_text(errors='replace')}"
    try:
        psycopg.connect(host="127.0.0.1", port=port, user=USER, password=password, dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End it, no matter who is still connected."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
