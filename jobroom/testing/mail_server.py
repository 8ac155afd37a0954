"""A mail server for tests: it gives scripted answers, and keeps the mails."""

import dataclasses
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@dataclasses.dataclass
class Received:
    """A mail that the server took, or was about to take."""

    sender: str
    recipients: list[str]
    content: bytes


class MailServer(socketserver.ThreadingTCPServer):
    """Answers yes, or the next of the `answers` for a word: `connect`, `MAIL`, `RCPT`, `RCPT <address>`, `DATA`, `content`.

    An answer is a text such as `451 later`, `hang up`, or `silence`. `silence` also sets `silent`, so that a test knows
    when the server has the mail; it goes on when `speak` is set.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int = 0, answers: dict[str, list[str]] | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Conversation)
        self.answers = answers or {}
        self.mails: list[Received] = []  # taken: the answer to the content was yes
        self.seen: list[Received] = []  # all whose content came to its end
        self.connections = 0
        self.silent, self.speak = threading.Event(), threading.Event()
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """What EMAIL_URL has to be."""
        return f"smtp://127.0.0.1:{self.port}"

    def next_answer(self, *words: str, default: str) -> str:
        """Return the next answer that was given for one of the words."""
        with self.lock:
            for word in words:
                given = self.answers.get(word)
                if given:
                    return given.pop(0)
        return default


class _HungUp(Exception):
    """The server ends the conversation without a word."""


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        with self.server.lock:
            self.server.connections += 1
        try:
            self._say(self.server.next_answer("connect", default="220 ready"))
            while line := self.rfile.readline():
                if not self._answer(line.decode().strip()):
                    return
        except (_HungUp, OSError):
            return

    def _answer(self, line: str) -> bool:
        word, _, rest = line.partition(" ")
        word = word.upper()
        if word in {"MAIL", "RCPT"}:
            address = rest.partition("<")[2].partition(">")[0]
            answer = self.server.next_answer(f"{word} {address}", word, default="250 yes")
            if word == "MAIL":
                self.mail = Received(address, [], b"")
            elif answer.startswith("2"):
                self.mail.recipients.append(address)
            self._say(answer)
        elif word == "DATA":
            self._content()
        else:
            self._say("221 bye" if word == "QUIT" else "250 yes")
        return word != "QUIT"

    def _content(self) -> None:
        answer = self.server.next_answer("DATA", default="354 go on")
        self._say(answer)
        if not answer.startswith("354"):
            return
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise _HungUp
            lines.append(line[1:] if line.startswith(b".") else line)
        self.mail.content = b"".join(lines)
        self.server.seen.append(self.mail)
        answer = self.server.next_answer("content", default="250 taken")
        if answer.startswith("2"):
            self.server.mails.append(self.mail)
        self._say(answer)

    def _say(self, answer: str) -> None:
        if answer == "hang up":
            raise _HungUp
        if answer == "silence":
            self.server.silent.set()
            self.server.speak.wait()
            answer = "250 taken after all"
        self.wfile.write(f"{answer}\r\n".encode())


@contextmanager
def mail_server(port: int = 0, answers: dict[str, Any] | None = None) -> Iterator[MailServer]:
    """Run a mail server inside the block."""
    with MailServer(port, answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.speak.set()
            server.shutdown()
            thread.join()
