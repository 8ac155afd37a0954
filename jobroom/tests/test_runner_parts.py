"""What the supervisor knows of one process, and how it prints what many say."""

import io
import os
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from jobroom.runner import part as parts
from jobroom.runner import status_file
from jobroom.runner.console import Console
from jobroom.runner.installation import RECORDING, STORING, WORKING, Installation, redis_part
from jobroom.runner.part import Part, describe
from jobroom.runner.readiness import Probe, missing_parts
from jobroom.runner.shutdown import StopPlan
from jobroom.testing import refusing_port, wait_until


@pytest.fixture
def part(monkeypatch):
    # All its lives are short ones, unless the test says otherwise: also on a machine that stands still for a moment.
    monkeypatch.setattr(parts, "SHORT_LIFE", parts.LONG_LIFE - 1)
    return Part("x", ["true"], StopPlan(0, 1), Path("/"), started=time.monotonic())


# Part ----------------------------------------------------------------------------------------------------------------


def test_lines_are_cut_where_they_end_and_not_where_the_pipe_was_read(part):
    assert part.lines(b"one\ntw") == ["one"]
    assert part.lines(b"o\r\nthr\xff") == ["two"]
    assert part.lines(b"") == ["thr\N{REPLACEMENT CHARACTER}"]
    assert part.lines(b"") == []


def test_a_line_without_end_does_not_fill_the_memory(part):
    assert part.lines(b"." * (parts.LONGEST_LINE + 1)) == ["." * (parts.LONGEST_LINE + 1)]
    assert part.pending == b""


def test_the_pause_before_a_restart_grows_to_a_limit(part):
    part.started = time.monotonic()
    assert [part.died(-9) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_part_that_ends_by_itself_at_once_twice_does_not_stay_up(part):
    part.started = time.monotonic()
    part.died(1)
    assert not part.is_failing()
    part.died(1)
    assert part.is_failing()


def test_a_part_that_was_killed_deserves_more_patience(part):
    part.started = time.monotonic()
    for _ in range(parts.MANY_DEATHS - 1):
        part.died(-9)
        assert not part.is_failing()
    part.died(-9)
    assert part.is_failing()


def test_a_long_life_makes_short_ones_forgotten(part):
    part.started = time.monotonic()
    for _ in range(parts.MANY_DEATHS):
        part.died(1)
    part.started = time.monotonic() - parts.LONG_LIFE
    assert part.died(1) == 0.5
    assert not part.is_failing()


def test_the_board_names_the_parts_that_do_not_stay_up(part, tmp_path):
    path = tmp_path / "parts.json"
    assert status_file.failing(path) == {}
    part.started = time.monotonic()
    for _ in range(parts.MANY_DEATHS):
        part.died(-9)
    status_file.write(path, [part])
    [said] = status_file.failing(path).values()
    assert "it was killed by signal 9, 4 times in a row, and is started again in" in said
    gone = subprocess.Popen(["true"])
    gone.wait()
    path.write_text(path.read_text().replace(f'"supervisor": {os.getpid()}', f'"supervisor": {gone.pid}'))
    assert status_file.failing(path) == {}, "that supervisor has ended"


def test_a_status_is_given_in_words():
    assert describe(3) == "ended with status 3"
    assert describe(-9) == "was killed by signal 9"


# Console -------------------------------------------------------------------------------------------------------------


def test_every_line_says_whose_it_is():
    out = io.StringIO()
    Console(out, colour=False).say("one\ntwo", "web")
    assert out.getvalue() == "web      | one\nweb      | two\n"


def test_colours_distinguish_the_parts_on_a_terminal():
    out = io.StringIO()
    console = Console(out, colour=True)
    for name in ("web", "beat", "system"):
        console.say("hello", name)
    colours = {line.partition("m")[0] for line in out.getvalue().splitlines()}
    assert len(colours) == 3
    assert all(line.endswith("\033[0mhello") for line in out.getvalue().splitlines())


def test_a_terminal_that_went_away_is_no_reason_to_stop():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    Console(Gone(), colour=False).say("hello")


# The parts of an installation -----------------------------------------------------------------------------------------


def test_there_is_a_part_for_every_queue_and_the_database_is_closed_after_the_workers():
    room = Installation(
        Path("/"),
        "127.0.0.1",
        8000,
        ["default", "ml"],
        10,
        {"REDIS_URL": "redis://secret"},
        "image.asgi:application",
        "image",
    )
    stages = {part.name: part.plan.stage for part in [*room.parts(), redis_part(["redis"], Path("/"))]}
    assert stages == {
        **dict.fromkeys(["web", "default", "ml", "beat"], WORKING),
        "recorder": RECORDING,
        "redis": STORING,
    }
    assert WORKING < RECORDING < STORING
    for part in room.parts():
        assert part.environment["REDIS_URL"] == "redis://secret"
        assert "secret" not in " ".join(part.argv), "arguments show in `ps`"


def test_only_workers_hand_back_what_they_cannot_finish():
    room = Installation(Path("/"), "127.0.0.1", 8000, ["default", "ml"], 10, {}, "image.asgi:application", "image")
    assert [part.name for part in room.parts() if part.plan.hand_back] == ["default", "ml"]


# Readiness -----------------------------------------------------------------------------------------------------------


class Site(HTTPServer):
    """A site that is not ready the first time it is asked."""

    def __init__(self):
        self.hosts = []
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self):
        self.server.hosts.append(self.headers["Host"])
        ready = len(self.server.hosts) > 1
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(
            b'{"ready": false, "parts": {"redis": {"ok": true}, "beat": {"ok": false, "detail": "silent"}}}'
        )

    def log_message(self, *_):
        return


@pytest.fixture
def site():
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_probe_asks_until_the_answer_is_200(site):
    probe, missing = Probe(site.server_address, "example.org"), set()

    def ready():
        missing.update(probe.missing)
        return probe.turn()

    wait_until(ready, 60)
    assert missing == {"web", "beat (silent)"}
    assert site.hosts == ["example.org"] * 2
    assert probe.missing == []


def test_the_probe_never_waits_for_a_silent_site():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        probe = Probe(silent.getsockname(), "localhost")
        begun = time.monotonic()
        for _ in range(100):
            assert not probe.turn()
        assert time.monotonic() - begun < 40, "not for half a second, a hundred times"
        probe.close()


def test_a_site_that_is_not_up_yet_is_missing_its_web():
    with refusing_port() as port:
        probe = Probe(("127.0.0.1", port), "localhost")
        wait_until(lambda: probe.turn() or "refused" in probe.missing[0].lower(), 60)
    assert not probe.ready


def test_an_answer_that_is_no_json_names_no_part():
    assert missing_parts(b"<h1>Bad Request</h1>") == []
    assert missing_parts(b'{"ready": false, "web": true, "redis": false}') == ["ready", "redis"]
