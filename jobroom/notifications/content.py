"""Converts a mail of Django's mail API to bytes for the outbox, and back, unchanged."""

import dataclasses
import email
import email.policy
import hashlib
import re
import uuid
from collections.abc import Iterator
from email.message import EmailMessage as Parsed
from email.message import Message
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.mail import EmailMessage, EmailMultiAlternatives

from jobroom.arguments.redaction import HIDDEN, hide_in_text
from jobroom.notifications import addresses
from jobroom.notifications.conf import settings
from jobroom.notifications.exceptions import MailError
from jobroom.notifications.models import Mail

# Headers by which the author of a mail says how it is to be sent; they never leave the site.
KEY, MAY_REPEAT = "X-Mail-Key", "X-Mail-May-Repeat"
# Longest text of a mail that a page shows, in characters.
SHOWN = 50_000
# A part of a link that looks made by chance, such as the token of a password reset. The ids of jobs are no secret.
_CHANCE = re.compile(
    r"(?<=[/=])(?![0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)(?=[\w.-]*\d)[A-Za-z0-9_-]{20,}(?:\.[\w-]+)*(?=[\s/&?#\"'<>)]|$)"
)


@dataclasses.dataclass(frozen=True)
class Packed:
    """A mail that is ready to be kept."""

    key: str
    may_repeat: bool
    sender: str
    recipients: list[str]
    refused: dict[str, str]  # what is no address, and why
    subject: str
    content: bytes
    digest: str


def pack(message: EmailMessage) -> Packed:
    """Return the mail as bytes with its envelope; blind copies are in the envelope alone.

    Raises MailError when it is larger than the setting allows, WrongAddress when its sender is no address, and what
    Django raises for headers that cannot be sent.
    """
    mime: Any = message.message()
    own = {name: str(mime[name] or "") for name in (KEY, MAY_REPEAT)}
    for name in own:
        del mime[name]
    content = bytes(mime.as_bytes(linesep="\r\n"))
    if len(content) > settings.MAIL_LARGEST:
        most = f"{settings.MAIL_LARGEST:,} bytes (NOTIFICATIONS_MAIL_LARGEST)"
        raise MailError(f"The mail has {len(content):,} bytes; at most {most} are sent. Send a link instead.")
    good, wrong = addresses.split(message.recipients())
    subject = plain(str(message.subject))
    repeat = own[MAY_REPEAT].strip().lower()
    return Packed(
        key=plain(own[KEY]).strip() or plain(str(mime["Message-ID"] or "")).strip() or uuid.uuid4().hex,
        may_repeat=repeat in {"1", "true", "yes", "on"} if repeat else bool(settings.MAIL_MAY_REPEAT),
        sender=addresses.bare(message.from_email),
        recipients=good,
        refused=wrong,
        subject=subject if len(subject) <= 500 else f"{subject[:499]}…",
        content=content,
        digest=_digest(message, [*good, *wrong]),
    )


def _digest(message: EmailMessage, recipients: list[str]) -> str:
    """Return a digest of what a reader sees; date, id and boundaries are new in each copy of the same mail."""
    parts = [str(message.subject), str(message.body), *sorted(recipients)]
    parts += [str(alternative) for alternative in getattr(message, "alternatives", [])]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def plain(text: str) -> str:
    """Return the text as every database takes it."""
    return text.replace("\x00", "").encode(errors="replace").decode()


# Large ones are files ---------------------------------------------------------------------------------------------------
def folder() -> Path:
    """Return where the mails lie that are too large for the database."""
    return Path(django_settings.MEDIA_ROOT) / "mails"


def path_of(mail: Mail) -> Path:
    """Return where the content of a large mail lies."""
    return folder() / f"{mail.pk.hex}.eml"


def keep(mail: Mail, content: bytes) -> None:
    """Put the content into the row, which is not saved yet, or into a file that appears when it is complete."""
    mail.size = len(content)
    if len(content) <= settings.MAIL_IN_DATABASE:
        mail.content = content
        return
    path = path_of(mail)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".part")
    try:
        draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read(mail: Mail) -> bytes:
    """Return the mail as the mail server gets it; raise MailError when its file is gone."""
    if mail.content is not None:
        return bytes(mail.content)
    try:
        return path_of(mail).read_bytes()
    except OSError as error:
        raise MailError(f"The file of the mail cannot be read ({error.strerror}).") from error


def forget(mail: Mail) -> None:
    """Delete the file of a mail that is deleted, if it has one."""
    path_of(mail).unlink(missing_ok=True)


# Back to what Django's backends take ------------------------------------------------------------------------------------
class StoredMessage(EmailMultiAlternatives):
    """A kept mail for a mail backend: `message()` is what was kept, the attributes are read from it."""

    def __init__(self, mail: Mail, content: bytes, recipients: list[str]) -> None:
        self.content = content
        self.envelope = recipients
        parsed = _parsed(content)
        fields = {name: [part.strip() for part in str(parsed[name] or "").split(",") if part.strip()] for name in LISTS}
        shown = {addresses.bare(entry) for entries in fields.values() for entry in entries if _is_address(entry)}
        texts = dict(reversed(list(_texts(parsed))))  # the first of each kind wins
        super().__init__(
            subject=str(parsed["Subject"] or mail.subject),
            body=texts.get("plain", ""),
            from_email=str(parsed["From"] or mail.sender),
            to=fields["To"],
            cc=fields["Cc"],
            reply_to=fields["Reply-To"],
            bcc=[address for address in recipients if address not in shown],
            alternatives=[(texts["html"], "text/html")] if "html" in texts else None,
            attachments=[
                (part.get_filename() or "", part.get_payload(decode=True) or b"", part.get_content_type())
                for part in _attachments(parsed)
            ],
            headers={name: str(value) for name, value in parsed.items() if name.lower() not in KNOWN},
        )

    def message(self, **_: Any) -> Any:
        """Return the mail as it was kept."""
        return email.message_from_bytes(self.content)

    def recipients(self) -> list[str]:
        """Return those to whom it still has to go."""
        return self.envelope


LISTS = ("To", "Cc", "Reply-To")
KNOWN = {
    *("to", "cc", "reply-to", "from", "subject", "mime-version"),
    *("content-type", "content-transfer-encoding", "content-disposition"),
}


def _is_address(text: str) -> bool:
    return not addresses.split([text])[1]


def _parsed(content: bytes) -> Parsed:
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(found, Parsed)  # noqa: S101 — the policy makes it one
    return found


def _leaves(parsed: Message) -> Iterator[Message]:
    return (part for part in parsed.walk() if not part.is_multipart() or part.get_content_type() == "message/rfc822")


def _is_attachment(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or part.get_content_maintype() != "text"


def _attachments(parsed: Message) -> list[Message]:
    return [part for part in _leaves(parsed) if _is_attachment(part)]


def _texts(parsed: Message) -> Iterator[tuple[str, str]]:
    """Yield kind (`plain`, `html`) and text of each part that is meant to be read."""
    for part in _leaves(parsed):
        if not _is_attachment(part):
            raw = part.get_payload(decode=True)
            try:
                text = bytes(raw or b"").decode(part.get_content_charset() or "utf-8", "replace")
            except LookupError:
                text = bytes(raw or b"").decode("latin-1")
            yield part.get_content_subtype(), text.replace("\r\n", "\n")


# For people -------------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Shown:
    """What a page shows of a mail. Nothing of it is HTML to be trusted."""

    headers: list[tuple[str, str]]
    texts: list[tuple[str, str]]  # kind and text, what looks like a secret hidden
    attachments: list[tuple[str, str, int]]  # name, type, bytes
    cut: bool


def shown(content: bytes, *, texts: bool) -> Shown:
    """Return what is in a mail for a reader; without `texts` only headers and the names of attachments."""
    parsed = _parsed(content)
    readable = [(kind, hidden(text)) for kind, text in _texts(parsed)] if texts else []
    files = [
        (
            str(part.get_filename() or "without a name"),
            part.get_content_type(),
            len(part.get_payload(decode=True) or b""),
        )
        for part in _attachments(parsed)
    ]
    return Shown(
        headers=[(name, hidden(str(value))) for name, value in parsed.items()],
        texts=[(kind, text[:SHOWN]) for kind, text in readable],
        attachments=files,
        cut=any(len(text) > SHOWN for _, text in readable),
    )


def hidden(text: str) -> str:
    """Return the text without what would let its reader act as someone else: one-time links, passwords, tokens."""
    return _CHANCE.sub(HIDDEN, hide_in_text(text))
