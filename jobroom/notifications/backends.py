"""Django's e-mail backend that queues mails: `EMAIL_BACKEND = "jobroom.notifications.backends.QueuedBackend"`."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from jobroom.conf import settings
from jobroom.notifications import submission


class QueuedBackend(BaseEmailBackend):
    """Keeps each mail as it is and lets a worker send it by `EMAIL_TRANSPORT`, once the transaction commits.

    Headers of the mail say more: `X-Mail-Key` makes two mails with the same key one, `X-Mail-May-Repeat: yes` has it
    sent again when it is unknown whether it went out. Neither leaves the site.
    """

    sends_later: ClassVar[bool] = True

    @staticmethod
    def transport(**options: Any) -> BaseEmailBackend:
        """Return a new connection that sends at once."""
        made: BaseEmailBackend = get_connection(settings.EMAIL_TRANSPORT, **options)
        return made

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Take the mails over; return how many, those included that were taken over before under the same key.

        Raises jobroom.notifications.exceptions.KeyTaken, WrongAddress (of the sender) or MailError (too large) unless
        `fail_silently`. A wrong recipient does not keep the others from getting theirs.
        """
        count = 0
        for message in email_messages:
            if not message.recipients():
                continue
            try:
                submission.post(message)
            except Exception:  # the boundary: Django promises that anyone who asks to fail silently hears of nothing
                if not self.fail_silently:
                    raise
            else:
                count += 1
        return count
