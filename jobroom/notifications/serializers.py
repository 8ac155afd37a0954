"""REST serializers of mails; never with their content."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from rest_framework import serializers

from jobroom.jobs.request_serializers import PlaceField
from jobroom.notifications.filters import MailFilter
from jobroom.notifications.models import Attempt, Mail, State
from jobroom.web.cursors import REMEDY, WrongCursor


class MailQuery(serializers.Serializer[Any]):
    """Which mails are listed. What is not named is not looked at."""

    state = serializers.ChoiceField(choices=State.choices, required=False)
    q = serializers.CharField(max_length=255, required=False, help_text="Words in recipient or subject, or an id.")
    before = PlaceField(required=False)

    def validate_before(self, value: str) -> str:
        """Refuse what no page before has given."""
        try:
            MailFilter({"before": value}, AnonymousUser())
        except WrongCursor as wrong:
            raise serializers.ValidationError(REMEDY) from wrong
        return value


class MailRow(serializers.ModelSerializer[Mail]):
    """A mail as the list has it."""

    url = serializers.SerializerMethodField()
    recipients = serializers.ListField(source="addresses", child=serializers.CharField(), read_only=True)
    delivered = serializers.ListField(child=serializers.CharField(), read_only=True)
    refused = serializers.DictField(child=serializers.CharField(), read_only=True, help_text="Address: why.")

    class Meta:
        model = Mail
        fields: tuple[str, ...] = (
            *("id", "url", "key", "state", "subject", "sender", "recipients", "delivered", "refused", "error", "size"),
            *("attempts", "may_repeat", "job_id", "failed_job", "task", "created_at", "next_try", "ended_at"),
        )
        read_only_fields: tuple[str, ...] = fields

    def get_url(self, mail: Mail) -> str:
        """Return the address of the mail in the API."""
        return reverse("jobroom:notifications:api-mail", args=[mail.pk])


class MailPage(serializers.Serializer[Any]):
    """A page of mails."""

    next = serializers.CharField(allow_null=True, help_text="Address of the next page.")
    results = MailRow(many=True)


class AttemptRow(serializers.ModelSerializer[Attempt]):
    """One attempt to send a mail; number 0 is what a person did."""

    class Meta:
        model = Attempt
        fields = ("number", "outcome", "by", "job_id", "error", "started_at", "ended_at")
        read_only_fields = fields


class MailDetail(MailRow):
    """A mail with its attempts."""

    attempt_list = AttemptRow(source="attempt_set", many=True, read_only=True)

    class Meta(MailRow.Meta):
        fields = (*MailRow.Meta.fields, "attempt_list")
        read_only_fields = fields
