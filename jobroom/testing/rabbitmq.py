"""A RabbitMQ for tests: the one of TEST_RABBITMQ_URL, else a private one made with the programs of this machine.

The private one shares nothing with the machine's own: neither node name, cookie, ports, folders nor the port mapper
of Erlang (epmd).
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jobroom.runner.redis_server import free_port
from jobroom.testing import dying_with_us, wait_until

# Debian's program on the PATH insists on the user rabbitmq and on the machine's own folders; this one does not.
DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
REMEDY = (
    "no RabbitMQ: apt-get install rabbitmq-server (macOS: brew install rabbitmq), or set TEST_RABBITMQ_URL to an empty "
    "virtual host"
)
# Nothing is measured here, so a nearly full machine must not hold up those who send.
CONFIGURATION = """
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.relative = 0.9
"""


# Process groups of the private brokers that run, by address.
groups: dict[str, int] = {}


def program() -> str | None:
    """Return the path of the server."""
    return str(DEBIAN) if DEBIAN.exists() else shutil.which("rabbitmq-server")


def lacks() -> str:
    """Return why the tests on RabbitMQ cannot run here, with the remedy; empty if they can."""
    if os.environ.get("TEST_RABBITMQ_URL") or (program() and _epmd()):
        return ""
    return REMEDY


def _epmd() -> str | None:
    return shutil.which("epmd")


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a broker; a private one is stopped and removed when the block ends."""
    given = os.environ.get("TEST_RABBITMQ_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="image-rabbitmq-"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        url = _start(folder, started)
        groups[url] = started[-1].pid
        yield url
    finally:
        for process in reversed(started):
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, started: list["subprocess.Popen[bytes]"]) -> str:
    """Start port mapper and broker, noting them in `started`; return the broker's address once it answers."""
    port, env, log = free_port(), _environment(folder), folder / "log"
    env["RABBITMQ_NODE_PORT"] = str(port)
    mapper, broker = _epmd(), program()
    assert mapper, lacks()
    assert broker, lacks()
    for argv in ([mapper, "-port", env["ERL_EPMD_PORT"], "-address", "127.0.0.1"], [broker]):
        with log.open("ab") as out:
            options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, "cwd": folder}
            started.append(subprocess.Popen(dying_with_us(argv, "TERM"), env=env, start_new_session=True, **options))
        if argv[0] == mapper:
            wait_until(lambda: _listens(int(env["ERL_EPMD_PORT"])), 30, "the port mapper of Erlang is up")
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    wait_until(lambda: _answers(started[-1], url, log), 120, "RabbitMQ is up")
    return url


def _environment(folder: Path) -> dict[str, str]:
    (folder / "rabbitmq.conf").write_text(CONFIGURATION)
    (folder / "enabled_plugins").write_text("[].\n")
    for name in ("data", "logs"):
        (folder / name).mkdir()
    mapper, distribution = free_port(), free_port()
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),  # holds the cookie
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"image-{os.getpid()}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "data"),
        # Few threads, which sleep when there is nothing to do: the machine is for the tests.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
    }


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _answers(process: "subprocess.Popen[bytes]", url: str, log: Path) -> bool:
    from kombu import Connection
    from kombu.exceptions import OperationalError

    if process.poll() is not None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise AssertionError(f"RabbitMQ ended with {process.returncode}\n{tail}")
    try:
        with Connection(url, connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
    except (OperationalError, OSError):
        time.sleep(0.2)  # each try costs the starting broker more than it costs us
        return False
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End it and all it started."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
