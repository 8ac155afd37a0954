"""Talks to the mail server, and knows at each moment whether the mail may have been accepted.

Django's SMTP backend opens the connection (TLS, login); the rest of the conversation is held here, because its answers
decide what may be done next (RFC 5321, 4.2.1 and 4.5.3.2):

* an answer 4xx, a lost connection or a time-out before the content is handed over: nothing went out, try again;
* an answer 5xx about a recipient, the sender or the content: final for those whom it is about;
* an answer 5xx before that, to the greeting or the login: says nothing about this mail, try again;
* no answer after the content: no one knows.
"""

import dataclasses
import re
import smtplib
from collections.abc import Callable, Sequence
from typing import Any

from django.core.mail.backends import smtp
from django.core.mail.backends.base import BaseEmailBackend

from jobroom import safe_text, truncation
from jobroom.notifications.content import StoredMessage, plain
from jobroom.notifications.exceptions import ClaimLost
from jobroom.notifications.models import Mail
from jobroom.tasks.failure_mail import direct

SERVICE_NOT_AVAILABLE, GO_AHEAD = 421, 354
# Longest answer that is kept, in characters.
ANSWER = 500

Answer = tuple[int, bytes]


@dataclasses.dataclass
class Result:
    """What one attempt brought: whom the server took it for, whom it refused, and why the rest has to wait."""

    delivered: list[str] = dataclasses.field(default_factory=list)
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    later: str = ""
    unknown: str = ""  # handed over, and no answer: no one knows


class _NotNow(Exception):
    """The server wants to be asked later; the message is its answer."""


def send(mail: Mail, content: bytes, hand_over: Callable[[Sequence[str]], bool]) -> Result:
    """Send the mail to those who are pending; `hand_over(recipients)` is called at the point of no return.

    Raises ClaimLost, with nothing sent, when `hand_over` says no.
    """
    if not mail.pending:
        return Result()
    backend = direct()
    if isinstance(backend, smtp.EmailBackend):
        return _converse(backend, mail, content, hand_over)
    return _give(backend, mail, content, hand_over)


def _give(backend: BaseEmailBackend, mail: Mail, content: bytes, hand_over: Callable[[Sequence[str]], bool]) -> Result:
    """Give it to a backend that is no SMTP: files, the console, a provider's API."""
    recipients = mail.pending
    message = StoredMessage(mail, content, recipients)
    if not hand_over(recipients):
        raise ClaimLost
    try:
        count = backend.send_messages([message])
    except Exception as error:  # noqa: BLE001 — the boundary: mail backends raise what they like
        return Result(later=in_words(error))
    return Result(delivered=recipients) if count else Result(later="The mail backend says that it sent nothing.")


def _converse(
    backend: smtp.EmailBackend, mail: Mail, content: bytes, hand_over: Callable[[Sequence[str]], bool]
) -> Result:
    result = Result()
    try:
        backend.open()
        server: Any = backend.connection
        server.ehlo_or_helo_if_needed()
        if accepted := _envelope(server, mail, content, result):
            _content(server, accepted, content, hand_over, result)
    except _NotNow as answer:
        result.later = str(answer)
    except OSError as error:  # also smtplib's errors, and time-outs
        result.later = in_words(error)
    finally:
        _close(backend)
    return result


def _envelope(server: Any, mail: Mail, content: bytes, result: Result) -> list[str]:
    """Say from whom it is and to whom it goes; return the recipients that the server takes it for."""
    options = [f"size={len(content)}"] if server.has_extn("size") else []
    options += ["body=8bitmime"] if not content.isascii() and server.has_extn("8bitmime") else []
    answer = server.mail(mail.sender, options)
    if not _is_yes(answer):
        _refuse(answer, mail.pending, result)
        return []
    accepted = []
    for recipient in mail.pending:
        answer = server.rcpt(recipient)
        if _is_yes(answer):
            accepted.append(recipient)
        else:
            _refuse(answer, [recipient], result)
    return accepted


def _content(
    server: Any, accepted: list[str], content: bytes, hand_over: Callable[[Sequence[str]], bool], result: Result
) -> None:
    answer = server.docmd("DATA")
    if answer[0] != GO_AHEAD:
        _refuse(answer, accepted, result)
        return
    if not hand_over(accepted):
        server.close()  # in the middle of a mail: the server throws away what has no end
        raise ClaimLost
    server.send(_dotted(content))  # if this breaks off, the end of the mail was not sent, so it was not taken
    try:
        answer = server.getreply()
    except OSError as error:
        result.unknown = in_words(error)
        return
    if _is_yes(answer):
        result.delivered = accepted
    elif answer[0] >= 400:
        _refuse(answer, accepted, result)
    else:
        result.unknown = f"The mail server answered nonsense: {_words(answer)}"


def _is_yes(answer: Answer) -> bool:
    return 200 <= answer[0] < 300


def _refuse(answer: Answer, recipients: list[str], result: Result) -> None:
    """Take a no for what it is: final for these recipients, or for now."""
    if answer[0] == SERVICE_NOT_AVAILABLE:
        raise _NotNow(_words(answer))
    if answer[0] >= 500:
        result.refused |= dict.fromkeys(recipients, _words(answer))
    else:
        result.later = _words(answer)


def _dotted(content: bytes) -> bytes:
    """Return the content as SMTP transmits it: a dot before each line that begins with one, and one as the end."""
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", content) + end + b".\r\n"


def _words(answer: Answer) -> str:
    code, text = answer
    return plain(f"{code} {text.decode(errors='replace')}".strip())[:ANSWER]


def in_words(error: BaseException) -> str:
    """Return an error as the database keeps it; an answer of a mail server as the server gave it."""
    if isinstance(error, smtplib.SMTPResponseException) and isinstance(error.smtp_error, bytes):
        return _words((error.smtp_code, error.smtp_error))
    return truncation.shorten(plain(f"{safe_text.error_type(error)}: {safe_text.error_text(error)}"), ANSWER)


def _close(backend: smtp.EmailBackend) -> None:
    """Say good-bye; what goes wrong here changes nothing about the mail."""
    try:
        backend.close()
    except OSError:
        backend.connection = None
