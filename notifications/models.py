"""What was mailed to the admins, and what could not be."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F
from django.utils import timezone

from notifications.conf import settings
from notifications.querysets import AdminMailQuerySet

# Longest time that one attempt may take before another sender may try; above the time-outs of a slow mail server.
CLAIM = timedelta(minutes=2)


class MailState(models.TextChoices):
    """What became of a mail."""

    WAITING = "waiting", "Waiting"  # is about to be sent
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"  # the mail server did not take it
    GROUPED = "grouped", "Grouped"  # one of many, told by a summary
    NOBODY = "nobody", "Nobody to tell"  # ADMINS is empty


class AdminMail(models.Model):
    """One mail to all admins. Its id is given by the process that wrote it, so telling twice makes one row."""

    id = models.CharField(primary_key=True, max_length=64, editable=False)
    state = models.CharField(max_length=10, choices=MailState.choices)
    subject = models.CharField(max_length=255)
    recipients = models.JSONField(default=list, blank=True)
    body = models.TextField(blank=True)
    job_id = models.CharField("job", max_length=255, blank=True, help_text="Empty for a summary of many.")
    task = models.CharField(max_length=255, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True, help_text="The same for the same error in one place.")
    error = models.TextField(blank=True, help_text="Why it did not go out.")
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    next_try = models.DateTimeField(null=True, blank=True, help_text="Empty when it is not tried again.")

    objects = AdminMailQuerySet.as_manager()

    class Meta:
        verbose_name = "failure mail"
        ordering: ClassVar[list[str]] = ["-created_at"]
        permissions = [("resend_adminmail", "Can send a failure mail again")]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at"], name="adminmail_newest"),
            models.Index(fields=["job_id"], name="adminmail_job"),
            models.Index(fields=["next_try"], name="adminmail_due", condition=models.Q(next_try__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.subject

    def claim(self) -> bool:
        """Take the mail for one attempt; False when another process has it."""
        now = timezone.now()
        rows = AdminMail.objects.filter(pk=self.pk, next_try=self.next_try)
        taken = rows.update(next_try=now + CLAIM, attempts=F("attempts") + 1)
        if taken:
            self.refresh_from_db()
        return bool(taken)

    def sent(self, recipients: list[str]) -> None:
        """Note that it went out; final."""
        self.state, self.error, self.recipients = MailState.SENT, "", recipients
        self.sent_at, self.next_try = timezone.now(), None
        self.save()

    def failed(self, error: str) -> None:
        """Note that an attempt failed, and when the next one is, if any."""
        self.state, self.error = MailState.FAILED, error
        self.next_try = next_try(self.attempts)
        self.save()

    def nobody(self, error: str) -> None:
        """Note that nobody is there to be told."""
        self.state, self.error, self.next_try = MailState.NOBODY, error, None
        self.save()

    def again(self) -> None:
        """Have it sent as if it had never been tried."""
        self.state, self.attempts, self.next_try = MailState.WAITING, 0, timezone.now()
        self.save()


def next_try(attempts: int) -> datetime | None:
    """Return when a mail that failed `attempts` times is tried again, None when it is given up."""
    if attempts >= settings.MAIL_TRIES:
        return None
    pause = min(settings.MAIL_RETRY_FIRST * 2 ** max(0, attempts - 1), settings.MAIL_RETRY_LONGEST)
    return timezone.now() + timedelta(seconds=pause)
