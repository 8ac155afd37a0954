"""One attempt to send a mail: by a job of the queue, by the process in which a job failed, or by the recorder."""

import logging
from datetime import timedelta

from django.utils import timezone

from jobroom import housekeeping_loops
from jobroom.notifications import content, transport
from jobroom.notifications.conf import settings
from jobroom.notifications.exceptions import ClaimLost, MailError
from jobroom.notifications.models import STALE, Mail, State, next_try
from jobroom.notifications.querysets import MailQuerySet

logger = logging.getLogger(__name__)

# Share by which the pauses between two attempts vary.
JITTER = 0.2


def deliver(*, mail: Mail, by: str, job: str = "", left_by: str = "") -> bool:
    """Try once to send the mail; return whether it was our turn. `mail` is up to date afterwards.

    `mail` was read a moment ago. `by` is the name of the worker, for people; `job` the id of the job that does it;
    `left_by` the name of an earlier sender that is dead.
    """
    if mail.state == State.SENDING:
        mail.forget_remains(job, left_by=left_by)
    if not mail.take(by, job, left_by=left_by):
        mail.refresh_from_db()
        return False
    try:
        result = transport.send(mail, content.read(mail), mail.hand_over)
    except ClaimLost:
        mail.refresh_from_db()
        return False
    except MailError as error:
        result = transport.Result(refused=dict.fromkeys(mail.pending, str(error)))
    except Exception as error:  # a time limit between two lines, or a fault of ours: it must not hide what is known
        logger.exception("Mail %s: the attempt broke off", mail.pk)
        result = _broken_off(mail, error)
    _conclude(mail, result)
    return True


def _broken_off(mail: Mail, error: Exception) -> transport.Result:
    handed = Mail.objects.filter(pk=mail.pk, claim=mail.claim, handed_at__isnull=False).exists()
    reason = transport.in_words(error)
    return transport.Result(unknown=reason) if handed else transport.Result(later=reason)


def _conclude(mail: Mail, result: transport.Result) -> None:
    """Write what came of it: who has it, who will not get it, and when the rest is tried again."""
    mail.delivered = [*mail.delivered, *result.delivered]
    mail.refused = {**mail.refused, **result.refused}
    due = next_try(mail.attempts, jitter=JITTER)
    known = {"delivered": mail.delivered, "refused": mail.refused}
    if result.unknown and not mail.may_repeat:
        mail.conclude(State.UNKNOWN, error=_no_answer(result), next_try=None, **known)
    elif mail.pending and due is not None:
        mail.conclude(State.WAITING, error=result.later or _no_answer(result), next_try=due, **known)
    elif mail.pending and result.unknown:
        mail.conclude(State.UNKNOWN, error=_no_answer(result), next_try=None, **known)
    else:
        for address in mail.pending:
            mail.refused[address] = f"Given up after {mail.attempts} attempts: {result.later}"
        state = State.SENT if mail.delivered else State.FAILED
        mail.conclude(state, error=_reasons(mail.refused), next_try=None, **known)
    if mail.state == State.FAILED:
        logger.error("Mail %s (%s) is not sent: %s", mail.pk, mail.subject, mail.error)


def _no_answer(result: transport.Result) -> str:
    return f"The mail was handed over and no answer was heard: {result.unknown}"


def _reasons(refused: dict[str, str]) -> str:
    return "\n".join(f"{address}: {reason}" for address, reason in refused.items())


# For housekeeping -------------------------------------------------------------------------------------------------------
def left() -> MailQuerySet:
    """Return the mails that no job takes: their message was lost, their worker is gone, or no worker serves the queue."""
    now = timezone.now()
    return Mail.objects.left(now=now, overdue=now - timedelta(seconds=settings.MAIL_OVERDUE), stale=now - STALE)


def send_left(*, limit: int = 50) -> int:
    """Send what is left, until the mail server fails once; return how many went out."""
    count = 0
    for mail in left().without_content()[:limit]:
        if mail.job_id:
            logger.warning(
                "Mail %s was taken by no worker for %d s; it is sent from here", mail.pk, settings.MAIL_OVERDUE
            )
        tried = False
        with housekeeping_loops.isolated("sending mails", f"mail {mail.pk}"):
            tried = deliver(mail=mail, by="recorder")
        if not tried:
            continue
        if mail.state == State.WAITING:
            break  # the others would find the same server; each waits for its own turn
        count += mail.state == State.SENT
    return count
