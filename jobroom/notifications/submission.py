"""Queues a mail: a row in the database first, a job when the transaction commits."""

import logging
import uuid
from datetime import timedelta
from typing import Any

from celery import current_app
from celery.exceptions import OperationalError
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import transaction
from django.utils import timezone

from jobroom import housekeeping_loops
from jobroom.notifications import content
from jobroom.notifications.conf import settings
from jobroom.notifications.exceptions import KeyTaken, NotNow
from jobroom.notifications.models import Mail, State
from jobroom.signals import acted
from jobroom.tasks.admin_mail import get_admin_emails

logger = logging.getLogger(__name__)

DELIVER = "jobroom.notifications.deliver_mail"


def post(message: EmailMessage, *, job: str = "") -> tuple[Mail, bool]:
    """Write a mail into the database and have it sent on commit; return it, and whether it is new.

    A mail whose key is known is not sent a second time, whatever became of the first. With `job`, that job sends it
    and no other is launched. Raises KeyTaken when the key belongs to another mail, and what `content.pack` raises.
    """
    kept, is_new = write(content.pack(message), job_id=job or str(uuid.uuid4()), next_try=timezone.now())
    if is_new and kept.state == State.WAITING and not job:
        transaction.on_commit(lambda: queue(kept))
    return kept, is_new


def write(packed: content.Packed, **fields: Any) -> tuple[Mail, bool]:
    """Return the row of this mail, and whether it was written now; `fields` are further values of a new one."""
    mail = Mail(
        key=packed.key[:255],
        digest=packed.digest,
        sender=packed.sender,
        recipients="\n".join([*packed.recipients, *packed.refused]),
        subject=packed.subject,
        refused=packed.refused,
        may_repeat=packed.may_repeat,
        **fields,
    )
    if packed.refused and not packed.recipients:
        mail.state, mail.next_try, mail.ended_at = State.FAILED, None, timezone.now()
        mail.error = " ".join(packed.refused.values())
    return _write(mail, packed)


def _write(mail: Mail, packed: content.Packed) -> tuple[Mail, bool]:
    """Return the row of this key, the given one if there was none."""
    known = Mail.objects.without_content().filter(key=mail.key).first()
    if known is None:
        content.keep(mail, packed.content)
        fields = {field.attname: getattr(mail, field.attname) for field in Mail._meta.concrete_fields}
        known, is_new = Mail.objects.get_or_create(key=fields.pop("key"), defaults=fields)
        if is_new:
            return known, True
        content.forget(mail)  # someone else was faster
    if known.digest != mail.digest and not mail.fingerprint:  # the admins may have changed since a failure
        raise KeyTaken(known.key, known.subject)
    return known, False


def compose(
    *, to: list[str], subject: str, text: str, html: str = "", key: str, may_repeat: bool | None = None
) -> EmailMessage:
    """Return a mail of text and, if given, its HTML."""
    headers = {content.KEY: key}
    if may_repeat is not None:
        headers[content.MAY_REPEAT] = "yes" if may_repeat else "no"
    message = EmailMultiAlternatives(" ".join(subject.split()), text, None, to, headers=headers)
    if html:
        message.attach_alternative(html, "text/html")
    return message


def queue(mail: Mail) -> bool:
    """Send the message of its job; where the broker is away the mail waits for the recorder."""
    try:
        current_app.tasks[DELIVER].apply_async((str(mail.pk),), task_id=mail.job_id)
    except OperationalError as error:
        logger.warning("Failed to publish mail %s, the broker is unavailable: %s", mail.pk, error)
        return False
    return True


# What people may do -----------------------------------------------------------------------------------------------------
def again(*, mail: Mail, by: str) -> str:
    """Have a mail sent again to those who have not got it; return what happens now. Raises NotNow."""
    if reason := why_not_again(mail):
        raise NotNow(reason)
    if mail.state == State.NOBODY:
        _readdress(mail)
    if not mail.again(by, job=str(uuid.uuid4())):
        raise NotNow(f"It is {mail.get_state_display().lower()} by now: look again.")
    transaction.on_commit(lambda: queue(mail))
    said = f"On its way to {len(mail.pending)} of {len(mail.addresses)} recipients."
    acted.send(sender=Mail, who=by, action="sent again", kind="mail", target=str(mail.pk), outcome=said)
    return said


def why_not_again(mail: Mail) -> str:
    """Return why the mail cannot be sent again; empty when it can."""
    if mail.state == State.SENDING:
        return "It is being sent at this moment."
    if mail.state == State.NOBODY:
        return "" if get_admin_emails() else "ADMINS is still empty: name someone there, and restart."
    if len(mail.delivered) == len(mail.addresses):
        return "Everyone has got it."
    return "" if mail.without_it else "It has no recipient with a correct address."


def _readdress(mail: Mail) -> bool:
    """Address a mail that had no one to go to to those who are admins now; return whether there is anyone."""
    if not (recipients := get_admin_emails()):
        return False
    text = str(content.StoredMessage(mail, content.read(mail), []).body)
    message = compose(to=recipients, subject=mail.subject, text=text, key=mail.key, may_repeat=True)
    packed = content.pack(message)
    mail.recipients, mail.digest = "\n".join([*packed.recipients, *packed.refused]), packed.digest
    content.keep(mail, packed.content)
    mail.save(update_fields=["recipients", "digest", "content", "size"])
    return True


def give_up(*, mail: Mail, by: str) -> str:
    """End the attempts; return what that means. Raises NotNow."""
    if reason := why_not_give_up(mail):
        raise NotNow(reason)
    if not mail.stop(by):
        raise NotNow(f"It is {mail.get_state_display().lower()} by now: look again.")
    said = "Given up. It is not sent unless someone sends it again."
    acted.send(sender=Mail, who=by, action="gave up", kind="mail", target=str(mail.pk), outcome=said)
    return said


def why_not_give_up(mail: Mail) -> str:
    """Return why the mail cannot be given up; empty when it can."""
    if mail.state in {State.WAITING, State.UNKNOWN}:
        return ""
    return "It is being sent at this moment." if mail.state == State.SENDING else "Its attempts have ended."


def cancelled(*, job: str) -> None:
    """Give up the mail of a job that was cancelled."""
    for mail in Mail.objects.without_content().filter(job_id=job, state=State.WAITING):
        with housekeeping_loops.isolated("stopping mails", f"mail {mail.pk}"):
            mail.stop("the cancel of its job", "Its job was cancelled.")


# Cleaning ---------------------------------------------------------------------------------------------------------------
CHUNK = 500


def clean(days: float | None = None) -> int:
    """Delete the mails that ended more than `days` ago (default: the setting; 0 keeps all), and files without a mail."""
    days = settings.MAIL_KEPT_DAYS if days is None else days
    count = 0
    if days > 0:
        old = Mail.objects.without_content().filter(created_at__lt=timezone.now() - timedelta(days=days))
        while mails := list(old.exclude(state__in=[State.WAITING, State.SENDING])[:CHUNK]):
            Mail.objects.filter(pk__in=[mail.pk for mail in mails]).delete()
            for mail in mails:
                with housekeeping_loops.isolated("deleting old mails", f"mail {mail.pk}"):
                    content.forget(mail)
            count += len(mails)
    _clean_files()
    return count


def _clean_files() -> None:
    """Delete files whose mail is gone, or never came: its transaction was rolled back."""
    if not content.folder().is_dir():
        return
    before = (timezone.now() - timedelta(days=1)).timestamp()
    old = [path for path in content.folder().iterdir() if path.stat().st_mtime < before]
    for start in range(0, len(old), CHUNK):
        paths = {path.stem: path for path in old[start : start + CHUNK]}
        ids = [uuid.UUID(stem) for stem in paths if len(stem) == 32]
        known = {pk.hex for pk in Mail.objects.filter(pk__in=ids).values_list("pk", flat=True)}
        for stem, path in paths.items():
            if stem not in known:
                with housekeeping_loops.isolated("deleting old mails", path.name):
                    path.unlink(missing_ok=True)
