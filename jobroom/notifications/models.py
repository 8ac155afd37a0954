"""The outbox: every mail of the site, those about failed jobs too, and each attempt to send one."""

import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models, transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from jobroom.notifications import addresses
from jobroom.notifications.alert_models import AlertDelivery, AlertRule, AlertState
from jobroom.notifications.conf import settings
from jobroom.notifications.querysets import MailQuerySet

# Some tables are in a module of their own; Django finds all of them here.
__all__ = ["STALE", "AlertDelivery", "AlertRule", "AlertState", "Attempt", "Mail", "Outcome", "State", "next_try"]

# Longest time that one attempt may take before another sender may try; above the time-outs of a slow mail server, for
# mails of many recipients too.
STALE = timedelta(minutes=10)


def next_try(attempts: int, *, jitter: float = 0.0) -> datetime | None:
    """Return when a mail that failed `attempts` times is tried again, None when it is given up.

    `jitter` is the share of the pause by which it may be longer or shorter, so that mails that failed together do not
    come back together.
    """
    if attempts >= settings.MAIL_TRIES:
        return None
    pause = min(settings.MAIL_RETRY_FIRST * 2 ** max(0, attempts - 1), settings.MAIL_RETRY_LONGEST)
    return timezone.now() + timedelta(seconds=pause * random.uniform(1 - jitter, 1 + jitter))  # noqa: S311 — jitter


class State(models.TextChoices):
    """What became of a mail of the site."""

    WAITING = "waiting", "Waiting"  # in its queue, or for its next attempt
    SENDING = "sending", "Sending"  # someone has claimed it
    SENT = "sent", "Sent"  # the mail server took it for at least one recipient
    FAILED = "failed", "Failed"  # for no one, and it is not tried again
    UNKNOWN = "unknown", "Unknown"  # it was handed over, and no answer was heard
    STOPPED = "stopped", "Given up"  # a person, or the cancel of its job, ended it
    NOBODY = "nobody", "No recipient"  # a failure mail while ADMINS is empty


class Mail(models.Model):
    """One mail on its way, and what became of it. Its key is unique: a caller that sends the same again finds this row.

    All changes of the state are conditional updates, so any number of processes may try at once. Who holds `claim` may
    talk to the mail server; who has also written `handed_at` has passed the point after which the mail may be out.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=255, unique=True, help_text="Two mails with the same key are one.")
    digest = models.CharField(max_length=64, help_text="Of what a reader sees; tells two mails with one key apart.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    sender = models.CharField(max_length=320)
    recipients = models.TextField(help_text="One address a line.")
    subject = models.CharField(max_length=500, blank=True)
    size = models.PositiveIntegerField(default=0, help_text="Bytes.")
    content = models.BinaryField(null=True, blank=True, help_text="As the mail server gets it; empty when in a file.")
    may_repeat = models.BooleanField(default=False, help_text="Sent again when nobody knows whether it went out.")
    delivered = models.JSONField(default=list, blank=True, help_text="Addresses for which the mail server took it.")
    refused = models.JSONField(default=dict, blank=True, help_text="Address: why it never gets there.")
    handed = models.JSONField(default=list, blank=True, help_text="Addresses of the attempt without an answer.")
    error = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    claim = models.CharField(max_length=32, blank=True, editable=False)
    claimed_by = models.CharField(max_length=255, blank=True, help_text="The job, or housekeeping.")
    claimed_at = models.DateTimeField(null=True, blank=True)
    handed_at = models.DateTimeField(null=True, blank=True)
    job_id = models.CharField("job", max_length=255, blank=True, help_text="The job that sends it.")
    created_at = models.DateTimeField(default=timezone.now)
    next_try = models.DateTimeField(null=True, blank=True, help_text="Empty when it is not tried again.")
    ended_at = models.DateTimeField(null=True, blank=True)
    failed_job = models.CharField(max_length=255, blank=True, help_text="The failed job that it is about.")
    task = models.CharField(max_length=255, blank=True, help_text="The task that failed.")
    fingerprint = models.CharField(max_length=64, blank=True, help_text="The same for the same error in one place.")

    objects = MailQuerySet.as_manager()

    class Meta:
        verbose_name = "mail"
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        permissions = [
            ("resend_mail", "Can send a mail again, or give it up"),
            ("read_mail", "Can read the text of mails"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "-id"], name="mail_newest"),
            models.Index(fields=["state", "-created_at", "-id"], name="mail_state"),
            models.Index(fields=["job_id"], name="mail_job"),
            models.Index(fields=["failed_job"], name="mail_failed_job", condition=~Q(failed_job="")),
            models.Index(fields=["next_try"], name="mail_due", condition=Q(next_try__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.subject or str(self.pk)

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("jobroom:notifications:mail", args=[self.pk])

    @property
    def addresses(self) -> list[str]:
        """All recipients, those of blind copies too."""
        return self.recipients.splitlines()

    @property
    def pending(self) -> list[str]:
        """The recipients for whom it was neither taken nor refused."""
        return [address for address in self.addresses if address not in self.delivered and address not in self.refused]

    @property
    def without_it(self) -> list[str]:
        """The recipients who have not got it and to whom it could be sent."""
        missing = [address for address in self.addresses if address not in self.delivered]
        return addresses.split(missing)[0]

    @property
    def is_ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state not in {State.WAITING, State.SENDING}

    # One-row transitions; each returns whether it happened.
    def take(self, by: str, job: str = "", *, left_by: str = "") -> bool:
        """Claim it for one attempt: when it is due, or when an earlier claim was never used.

        `job` is the job that does so, which may take up what its own earlier run left: Celery runs it again only when
        that run is dead. Likewise `left_by` names a sender that is taken for dead. Should either live after all, it
        finds its claim gone before it hands anything over.
        """
        now = timezone.now()
        free = Q(state=State.WAITING, next_try__lte=now)
        left = Q(claimed_at__lt=now - STALE) | _claim_of(job or left_by)
        rows = Mail.objects.filter(pk=self.pk).filter(free | Q(state=State.SENDING, handed_at=None) & left)
        claim = uuid.uuid4().hex
        with transaction.atomic():
            taken = rows.update(
                state=State.SENDING, claim=claim, claimed_by=job or by, claimed_at=now, handed_at=None, handed=[],
                attempts=F("attempts") + 1, next_try=None, error="", **({"job_id": job} if job else {}),
            )  # fmt: skip
            if taken:
                self.refresh_from_db()
                left_open = self.attempt_set.filter(outcome=Outcome.SENDING)
                left_open.update(
                    outcome=Outcome.LATER, error="Its sender died before it handed the mail over.", ended_at=now
                )
                self._attempt = self.attempt_set.create(number=self.attempts, by=by, job_id=job)
        return bool(taken)

    def hand_over(self, recipients: Sequence[str]) -> bool:
        """Say that from now on the mail may be out; False when someone else has the claim."""
        mine = Mail.objects.filter(pk=self.pk, claim=self.claim, state=State.SENDING)
        return bool(mine.update(handed_at=timezone.now(), handed=list(recipients)))

    def conclude(self, state: State, **changes: Any) -> bool:
        """Write what came of the attempt, also when it was taken for dead meanwhile; False when the claim has passed on."""
        mine = Mail.objects.filter(pk=self.pk, claim=self.claim, state__in=[State.SENDING, State.UNKNOWN])
        ended = None if state in {State.WAITING, State.SENDING} else timezone.now()
        with transaction.atomic():
            done = mine.update(state=state, ended_at=ended, **changes)
            if done:
                self.refresh_from_db()
                self._close_attempt(changes)
        return bool(done)

    def _close_attempt(self, changes: Mapping[str, Any]) -> None:
        now, error = timezone.now(), changes.get("error", "")
        outcome = Outcome.LATER if self.state == State.WAITING else Outcome(self.state)
        Attempt.objects.filter(pk=self._attempt.pk).update(outcome=outcome, error=error, ended_at=now)

    def forget_remains(self, job: str = "", *, left_by: str = "") -> bool:
        """Settle an attempt that handed the mail over and died: unknown, or due again if it may arrive twice."""
        now = timezone.now()
        dead = Q(handed_at__lt=now - STALE) | _claim_of(job or left_by)
        rows = Mail.objects.filter(pk=self.pk, state=State.SENDING, handed_at__isnull=False).filter(dead)
        error = "Its sender died after handing the mail over, before the mail server answered."
        repeat = self.may_repeat and next_try(self.attempts) is not None
        state = State.WAITING if repeat else State.UNKNOWN
        with transaction.atomic():
            done = rows.update(
                state=state, error=error, next_try=now if repeat else None, ended_at=None if repeat else now
            )
            if done:
                self.attempt_set.filter(outcome=Outcome.SENDING).update(
                    outcome=Outcome.UNKNOWN, error=error, ended_at=now
                )
        self.refresh_from_db()
        return bool(done)

    def again(self, by: str, job: str = "") -> bool:
        """Have it tried at once, as if for the first time, for those recipients who have not got it."""
        now = timezone.now()
        if not self.without_it:
            return False
        rows = Mail.objects.filter(pk=self.pk, state=self.state).exclude(state=State.SENDING)
        refused = {address: why for address, why in self.refused.items() if address not in self.without_it}
        with transaction.atomic():
            done = rows.update(
                state=State.WAITING, next_try=now, attempts=0, ended_at=None, refused=refused, handed_at=None, handed=[],
                **({"job_id": job} if job else {}),
            )  # fmt: skip
            if done:
                self.attempt_set.create(number=0, by=by, outcome=Outcome.ASKED, ended_at=now)
        self.refresh_from_db()
        return bool(done)

    def stop(self, by: str, error: str = "") -> bool:
        """Give it up, as long as no one is sending it."""
        now = timezone.now()
        rows = Mail.objects.filter(pk=self.pk, state__in={State.WAITING, State.UNKNOWN} & {self.state})
        with transaction.atomic():
            done = rows.update(state=State.STOPPED, next_try=None, ended_at=now, error=error or self.error)
            if done:
                self.attempt_set.create(number=0, by=by, outcome=Outcome.STOPPED, ended_at=now)
        self.refresh_from_db()
        return bool(done)


def _claim_of(sender: str) -> Q:
    return Q(claimed_by=sender) if sender else Q(pk=None)


class Outcome(models.TextChoices):
    """What came of one attempt, or what a person asked for."""

    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    LATER = "later", "Tried again later"
    FAILED = "failed", "Refused"
    UNKNOWN = "unknown", "No answer"
    ASKED = "asked", "Asked to send again"
    STOPPED = "stopped", "Given up"


class Attempt(models.Model):
    """One attempt to send a mail, or what a person did about it (then its number is 0)."""

    mail = models.ForeignKey(Mail, models.CASCADE)
    number = models.PositiveIntegerField()
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.SENDING)
    by = models.CharField(max_length=255, blank=True, help_text="The worker, the recorder, or a person.")
    job_id = models.CharField("job", max_length=255, blank=True)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "attempt to send a mail"
        ordering: ClassVar[list[str]] = ["pk"]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} {self.started_at:%Y-%m-%d %H:%M:%S}"
