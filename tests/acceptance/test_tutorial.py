"""Follows the lesson “Adding your own” to the letter: its files, its commands, and what it says that one sees."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from jobroom.runner.redis_server import free_port
from jobroom.testing import dying_with_us, wait_until
from tests.acceptance import lesson
from tests.acceptance.test_up import with_tables

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

LESSON = settings.BASE_DIR / "docs/tutorial/adding-your-own.md"
# What is no part of a checkout, and pictures, which no one looks at here. Compiled modules of ours come along: else each
# of the first processes would compile all of them.
LEFT_OUT = shutil.ignore_patterns(".venv*", ".git", "var", "images", ".*_cache", "node_modules")


class Reader:
    """Someone with a checkout, two terminals and a browser."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        # The environment has everything already, port 8000 may be taken, and the lesson needs one worker alone.
        self.env = {**kept, "PATH": path, "IMAGE_NO_VENV": "1", "IMAGE_PORT": str(self.port), "IMAGE_QUEUES": "default"}
        self.first: subprocess.Popen[bytes] | None = None
        self.exported = ""
        self.log = folder.with_name("first-terminal.log")
        self.started = 0  # how much of the log was there when the first terminal was started last
        self.heard = 0  # and when the second was used last
        self.looked_for = ""  # in the first terminal, last
        self.second_exported = ""

    def start(self, commands: str) -> None:
        """Type commands in the first terminal; what one terminal exported stays."""
        self.exported += "".join(line + "\n" for line in commands.splitlines() if line.startswith("export "))
        *before, last = (self.exported + commands).strip().splitlines()
        script = "\n".join([*before, f"exec {last}"])
        self.started = self.heard = len(self.said())
        with self.log.open("a") as out:
            self.first = subprocess.Popen(
                dying_with_us(["sh", "-c", script], "TERM"), cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: f"at http://127.0.0.1:{self.port}/" in self.said()[self.heard :], 180, "it is up")

    def stop(self) -> None:
        """Press Ctrl-C in the first terminal."""
        if self.first is not None and self.first.poll() is None:
            os.killpg(self.first.pid, signal.SIGINT)
            assert self.first.wait(60) == 0, self.said()[-3000:]

    def said(self) -> str:
        """Return what the first terminal has said."""
        return self.log.read_text() if self.log.exists() else ""

    def type(self, commands: str) -> str:
        """Type commands in the second terminal; return what they print."""
        self.second_exported += "".join(line + "\n" for line in commands.splitlines() if line.startswith("export "))
        self.heard = len(self.said())
        done = subprocess.run(
            ["sh", "-c", self.second_exported + commands], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240,
        )  # fmt: skip
        return done.stdout

    def page(self, address: str) -> str:
        """Return a page as the browser of the signed-in admin shows it, without markup."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", follow_redirects=True, timeout=60) as browser:
            browser.get("/login/")
            password = (self.folder / "var" / "admin-password").read_text().strip()
            form = {"username": "admin", "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            browser.post("/login/", data=form, headers={"Referer": str(browser.base_url)})
            answer = browser.get(urllib.parse.quote(address, safe="/?=&"))
            assert answer.status_code == 200, (address, answer.status_code)
            return re.sub(r"<[^>]*>", "", answer.text)

    def sees(self, step: lesson.See) -> None:
        """Look until the page, or the first terminal, shows the text."""
        if step.page:
            wait_until(lambda: step.text in self.page(step.page), 60, f"{step.page} shows “{step.text}”")
        else:
            count = self.said()[self.started : self.heard].count(self.looked_for) if step.each else 1
            text = f"the first terminal says “{step.text}”, times {count}"
            wait_until(lambda: self.said()[self.heard :].count(step.text) >= count, 60, text)
            self.looked_for = step.text


@pytest.fixture
def reader(tmp_path, django_db_setup):
    shutil.copytree(settings.BASE_DIR, tmp_path / "checkout", ignore=LEFT_OUT, symlinks=True)
    with_tables(tmp_path / "checkout" / "var")  # as the first lesson has left it
    found = Reader(tmp_path / "checkout")
    yield found
    found.stop()


def test_the_lesson_does_what_it_says(reader):
    done = []
    for step in lesson.steps(LESSON):
        match step:
            case lesson.Write(path, text):
                (reader.folder / path).write_text(text)
            case lesson.Append() | lesson.Begin() | lesson.Replace():
                file = reader.folder / step.path
                file.write_text(lesson.edited(file.read_text(), step))
            case lesson.Start(commands):
                reader.start(commands)
            case lesson.Stop():
                reader.stop()
            case lesson.Type(commands, printed):
                output = reader.type(commands)
                assert lesson.printed(printed, output), f"{commands}\nprinted\n{output}\nand not\n{printed}"
            case lesson.See():
                reader.sees(step)
        done.append(type(step).__name__)
    # A lesson whose words this test no longer understands would have nothing left to fail at.
    assert {name: done.count(name) for name in ("Write", "Replace", "Begin", "Append", "Start", "Stop", "Type", "See")} == {
        "Write": 4, "Replace": 3, "Begin": 2, "Append": 1, "Start": 3, "Stop": 2, "Type": 8, "See": 7,
    }  # fmt: skip


def test_a_block_that_no_one_is_asked_to_run_is_an_error(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Some words.\n\n```python\nimport os\n```\n")
    with pytest.raises(AssertionError, match="does not say what to do"):
        lesson.steps(page)


def test_what_is_printed_is_compared_line_by_line():
    assert lesson.printed("a\nb … d\n", "x\na\ny\nb c d\n")
    assert not lesson.printed("a\nb … d\n", "b c d\na\n")
    assert not lesson.printed("2 passed\n", "12 passed, 1 failed\n")
