"""Checks before the first process starts; every problem is one line that names the remedy."""

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from jobroom import file_permissions
from jobroom.runner.redis_server import free_port, private_file
from jobroom.runner.shutdown import exists

# A supervisor that was killed is cleaned up after by its reaper; so long in seconds may that take.
CLEANING_UP = 40.0
PRIVATE_PROBLEM = "Other users of this machine can reach {paths}, and with it sessions, mails and files."
PRIVATE_REMEDY = "Take that right from them as its owner (chmod go-rwx), or set IMAGE_VAR to a folder of yours."


class Unprepared(Exception):
    """Jobroom cannot start; the message says why and what to do."""


def data_folder(var: Path) -> None:
    """Make the data folder and try to write into it."""
    try:
        (var / "run").mkdir(parents=True, exist_ok=True)
        private_file(var / "run" / "writable", "")
        (var / "run" / "writable").unlink()
    except OSError as error:
        raise Unprepared(
            f"The data folder {var} cannot be written ({error.strerror}); set IMAGE_VAR to a folder of yours."
        ) from error


def keep_private(var: Path) -> list[str]:
    """Close the data folder to other users of the machine; return what there is to say of that."""
    opened = file_permissions.opened(var)
    failed = file_permissions.mend(var)
    said = []
    if mended := len(opened) - len(failed):
        said.append(
            f"other users of this machine could reach {mended} files and folders of {var}; they cannot any more"
        )
    if failed:
        said.append(f"{PRIVATE_PROBLEM.format(paths=file_permissions.describe(failed))} {PRIVATE_REMEDY}")
    return said


def only_one(var: Path) -> IO[str]:
    """Return the lock of the data folder; keep it open as long as Jobroom runs."""
    lock = (var / "run" / "up.lock").open("a+")
    end = time.monotonic() + CLEANING_UP
    while not _locked(lock):
        lock.seek(0)
        owner = lock.read().strip()
        if not owner or exists(int(owner)) or time.monotonic() > end:
            lock.close()
            raise Unprepared(
                f"An installation already runs on {var} (process {owner or 'unknown'}). Stop it, or give this one a "
                "folder and a port of its own: IMAGE_VAR=… manage.py up --port …"
            )
        time.sleep(0.1)
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def free_address(host: str, port: int) -> None:
    """Check that the web server will be able to listen."""
    if not 1 <= port <= 65535:
        raise Unprepared(f"--port {port} is not a port: choose one from 1 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise Unprepared(f"--host {host} is not an address of this machine ({error.strerror}).") from error
    except OSError as error:
        raise Unprepared(
            f"Port {port} on {host} cannot be used ({error.strerror}); try --port {free_port()}."
        ) from error


@contextmanager
def _database_problems() -> Iterator[None]:
    from django.db import DatabaseError

    try:
        yield
    except DatabaseError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Unprepared(f"The database of DATABASE_URL cannot be used: {lines[0]}") from error


def database() -> None:
    """Check that the database answers."""
    from django.db import connection

    with _database_problems():
        connection.ensure_connection()


def tables() -> None:
    """Bring the tables up to date; nothing is written when they are."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from jobroom import upgrade

    with _database_problems():
        upgrade.rename(connection)
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)


def first_user(var: Path) -> str | None:
    """Make the user `admin` if there is no administrator yet; return its password, which is also kept in a file."""
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return None
    if users.filter(username="admin").exists():
        raise Unprepared("There is no administrator, and the name admin is taken: run manage.py createsuperuser first.")
    password = secrets.token_urlsafe(12)
    private_file(var / "admin-password", f"{password}\n")
    users.create_superuser("admin", "admin@localhost.localdomain", password)
    return password


def configured_redis(url: str) -> None:
    """Check that the server of REDIS_URL answers."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as connection:
            connection.ping()
    except ValueError as error:
        raise Unprepared(f"REDIS_URL is not an address such as redis://:password@host:6379/0 ({error}).") from error
    except redis.RedisError as error:
        raise Unprepared(
            f"REDIS_URL is set, but its server does not answer ({error}). Start it, or unset REDIS_URL to run an "
            "embedded one."
        ) from error


def leftover_redis(kept: Path) -> None:
    """Stop an embedded server that survived both its supervisor and its reaper; two must not write the same data.

    The caller holds the lock of the data folder, so a server that answers at the kept address serves no one.
    """
    import redis

    with suppress(OSError, ValueError, redis.RedisError):
        url = kept.read_text().strip()
        redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=10).shutdown()
