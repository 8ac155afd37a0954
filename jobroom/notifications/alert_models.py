"""Tables of alerts: rules of people and teams, what each has reported, and what became of each notification."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, Group
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from jobroom.users import User


class What(models.TextChoices):
    """What a rule watches."""

    TASK = "task", "The latest job of a task failed"
    FAILURE = "failure", "A cause of failures is new, or came back"
    DEPTH = "depth", "So many jobs wait in a queue"
    AGE = "age", "A job waits in a queue for so many seconds"
    WORKER = "worker", "A worker is silent"
    MISSED = "missed", "A run of a schedule was missed"
    LATE = "late", "A job is late, or will be"


class Way(models.TextChoices):
    """How it is sent."""

    MAIL = "mail", "Mail"
    WEBHOOK = "webhook", "Webhook"
    APPRISE = "apprise", "Chat, by Apprise"


class RuleQuerySet(models.QuerySet["AlertRule"]):
    """The rules of all people."""

    def visible_to(self, user: User | AnonymousUser) -> "RuleQuerySet":
        """Return the rules of a person and of their teams; of others no one sees any."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(Q(owner=user.pk) | Q(team__in=user.groups.values("pk"))).distinct()


class AlertRule(models.Model):
    """What one person, or their team, wants to be notified of. It sees what its owner may see, and no more."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="jobroom_alerts")
    team = models.ForeignKey(Group, models.CASCADE, null=True, blank=True, related_name="+")
    what = models.CharField(max_length=10, choices=What.choices)
    of = models.CharField(max_length=255, blank=True, help_text="Task, cause, queue, worker or schedule; empty: any.")
    threshold = models.PositiveIntegerField(default=0, help_text="Jobs, or seconds.")
    way = models.CharField(max_length=10, choices=Way.choices, default=Way.MAIL)
    address = models.JSONField(default=dict, blank=True, editable=False, help_text="Of webhook or chat, sealed.")
    secret = models.JSONField(default=dict, blank=True, editable=False, help_text="Signs webhooks, sealed.")
    quiet_from = models.TimeField(null=True, blank=True, help_text="From then on nothing is sent,")
    quiet_until = models.TimeField(null=True, blank=True, help_text="until then, in the zone of its owner.")
    created_at = models.DateTimeField(default=timezone.now)
    notified_at = models.DateTimeField(null=True, blank=True)

    objects = RuleQuerySet.as_manager()

    class Meta:
        verbose_name = "alert rule"
        permissions = [("send_out", "Can send alerts to webhooks and chats")]

    def __str__(self) -> str:
        return f"{self.get_what_display()}{f': {self.of}' if self.of else ''}"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("jobroom:notifications:alert", args=[self.pk])


class AlertState(models.Model):
    """What a rule has reported and holds on: one row for each thing, until its recovery is reported."""

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="states", db_index=False)
    key = models.CharField(max_length=255)
    mark = models.CharField(max_length=255, blank=True, help_text="Where it is another one, that is a change.")
    sentence = models.CharField(max_length=500)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["rule", "key"], name="alert_state_once"),
        ]

    def __str__(self) -> str:
        return self.sentence


class DeliveryState(models.TextChoices):
    """What became of one notification."""

    WAITING = "waiting", "Waiting"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    FAILED = "failed", "Given up"


class AlertDelivery(models.Model):
    """One notification: all that changed for a rule at one moment."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="deliveries")
    changes = models.JSONField(default=list, help_text="Each with change, sentence and url.")
    is_test = models.BooleanField(default=False)
    state = models.CharField(max_length=8, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    next_try = models.DateTimeField(null=True, blank=True, default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["next_try"], name="alert_due", condition=Q(next_try__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()} {self.created_at:%Y-%m-%d %H:%M:%S}"
