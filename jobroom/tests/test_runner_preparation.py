"""Every problem before the start is one line that names the remedy."""

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from jobroom.runner import preparation, redis_server
from jobroom.runner.preparation import Unprepared
from jobroom.runner.redis_server import PrivateServer, free_port
from jobroom.testing import refusing_port


def test_the_data_folder_is_made(tmp_path):
    preparation.data_folder(tmp_path / "deep" / "var")
    assert (tmp_path / "deep" / "var" / "run").is_dir()
    assert list((tmp_path / "deep" / "var" / "run").iterdir()) == []


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unprepared, match=rf"{tmp_path}/file cannot be written .*IMAGE_VAR"):
        preparation.data_folder(tmp_path / "file")


def test_a_data_folder_serves_one_installation(tmp_path):
    preparation.data_folder(tmp_path)
    named = rf"already runs on {tmp_path} \(process {os.getpid()}\)"
    with preparation.only_one(tmp_path), pytest.raises(Unprepared, match=named):
        preparation.only_one(tmp_path)
    with preparation.only_one(tmp_path) as lock:
        assert not lock.closed


def test_a_start_waits_while_a_killed_one_is_cleaned_up_after(tmp_path):
    """The reaper holds the lock, but the process named in it is gone."""
    preparation.data_folder(tmp_path)
    with preparation.only_one(tmp_path) as lock:
        gone = subprocess.Popen(["true"])
        gone.wait()
        (tmp_path / "run" / "up.lock").write_text(str(gone.pid))
        reaper = subprocess.Popen(["sleep", "0.5"], pass_fds=[lock.fileno()])
    with preparation.only_one(tmp_path):
        assert reaper.wait() == 0
    assert (tmp_path / "run" / "up.lock").read_text() == str(os.getpid())


def test_a_busy_port_is_reported_with_a_free_one():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(Unprepared, match=rf"Port {port} on 127.0.0.1 cannot be used .*; try --port \d+"):
            preparation.free_address("127.0.0.1", port)
    preparation.free_address("127.0.0.1", free_port())


def test_a_port_that_is_chosen_is_none_that_an_outgoing_connection_may_have_after_a_restart():
    with socket.create_server(("127.0.0.1", free_port())) as busy:
        taken = busy.getsockname()[1]
        assert taken in redis_server.QUIET_PORTS
        assert free_port(taken) != taken
        assert free_port(taken) in redis_server.QUIET_PORTS


def test_no_port_is_given_twice_while_there_are_others(monkeypatch):
    ports = range(redis_server.QUIET_PORTS[-20], redis_server.QUIET_PORTS[-1] + 1)
    monkeypatch.setattr(redis_server, "QUIET_PORTS", ports)
    monkeypatch.setattr(redis_server, "_given", set(ports[:-2]))
    assert {free_port(), free_port()} == set(ports[-2:])
    assert free_port() in ports, "then again"


@pytest.mark.parametrize(
    ("host", "port", "named"), [("no.such.host.invalid", 8000, "--host"), ("127.0.0.1", 70000, "--port")]
)
def test_an_impossible_address_is_named(host, port, named):
    with pytest.raises(Unprepared, match=named):
        preparation.free_address(host, port)


def test_a_configured_redis_must_answer():
    with refusing_port() as port, pytest.raises(Unprepared, match=r"does not answer .*unset REDIS_URL"):
        preparation.configured_redis(f"redis://127.0.0.1:{port}/0")


def test_a_configured_redis_must_be_an_address():
    with pytest.raises(Unprepared, match="not an address such as redis://"):
        preparation.configured_redis("http://example.org")


def test_a_server_that_no_one_supervises_is_stopped(tmp_path):
    server = PrivateServer(tmp_path / "redis")
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL)
    server.wait(process)
    (tmp_path / "redis-url").write_text(server.url)
    preparation.leftover_redis(tmp_path / "redis-url")
    assert process.wait(20) == 0
    preparation.leftover_redis(tmp_path / "redis-url")


def test_the_configuration_of_an_embedded_server_is_private(tmp_path):
    server = PrivateServer(tmp_path / 'a "folder')
    argv = server.command()
    assert server.password not in " ".join(argv)
    assert stat.S_IMODE(Path(argv[1]).stat().st_mode) == 0o600
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    server.wait(process)
    process.terminate()
    process.wait()
    assert (tmp_path / 'a "folder' / "appendonlydir").is_dir()


@pytest.mark.django_db
def test_the_first_user_gets_a_password_that_is_kept_for_its_owner_alone(tmp_path):
    password = preparation.first_user(tmp_path)
    kept = tmp_path / "admin-password"
    assert kept.read_text() == f"{password}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    admin = get_user_model().objects.get(username="admin")
    assert admin.is_superuser
    assert admin.check_password(password)


@pytest.mark.django_db
def test_there_is_one_first_user(tmp_path):
    get_user_model().objects.create_superuser("ada", "ada@example.org", "x")
    assert preparation.first_user(tmp_path) is None
    assert not (tmp_path / "admin-password").exists()


@pytest.mark.django_db
def test_a_user_who_happens_to_be_called_admin_is_not_made_an_administrator(tmp_path):
    get_user_model().objects.create_user("admin")
    with pytest.raises(Unprepared, match="createsuperuser"):
        preparation.first_user(tmp_path)


@pytest.mark.django_db
def test_a_database_in_order_is_left_alone(django_assert_max_num_queries):
    with django_assert_max_num_queries(3):
        preparation.tables()
