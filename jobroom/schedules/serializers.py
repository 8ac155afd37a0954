"""What the API takes and gives about schedules."""

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from jobroom.schedules.filters import STATES, Row
from jobroom.schedules.services import when

# Next runs that one schedule tells.
RUNS = 10


class ScheduleQuery(serializers.Serializer[Any]):
    """Which schedules are listed."""

    state = serializers.ChoiceField(choices=STATES, required=False)
    task = serializers.CharField(max_length=255, required=False)
    owner = serializers.CharField(max_length=150, required=False, help_text="User name, or `me`.")
    q = serializers.CharField(max_length=200, required=False, help_text="Words in name, task or description.")
    after = serializers.CharField(max_length=200, required=False, help_text="From `next` of the page before.")


class ScheduleRequest(serializers.Serializer[Any]):
    """A schedule to be made."""

    task = serializers.CharField(max_length=255)
    arguments = serializers.DictField(required=False, default=dict, help_text="By name, as the task's schema says.")
    when = serializers.CharField(
        max_length=200,
        help_text="Five fields of a crontab, `every 15 minutes`, or a moment such as 2026-01-31T09:30+01:00.",
    )
    name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    queue = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    description = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class ScheduleChange(serializers.Serializer[Any]):
    """What is to be changed; what is not named stays."""

    arguments = serializers.DictField(required=False)
    when = serializers.CharField(max_length=200, required=False)
    name = serializers.CharField(max_length=200, required=False)
    queue = serializers.CharField(max_length=200, required=False, allow_blank=True)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True)


class Reason(serializers.Serializer[Any]):
    """Why a schedule is paused."""

    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class Skip(serializers.Serializer[Any]):
    """Whether the next run is left out, or takes place after all."""

    undo = serializers.BooleanField(required=False, default=False)


class ScheduleRow(serializers.Serializer[Row]):
    """A schedule as lists show it."""

    id = serializers.IntegerField(source="schedule.pk")
    url = serializers.SerializerMethodField()
    name = serializers.CharField(source="schedule.name")
    task = serializers.CharField(source="schedule.task")
    when = serializers.SerializerMethodField(help_text="In one line; empty where no line can say it.")
    sentence = serializers.CharField()
    enabled = serializers.BooleanField(source="schedule.enabled")
    owner = serializers.CharField(source="owner.get_username", allow_null=True, default=None)
    next_run = serializers.DateTimeField(allow_null=True)
    skipped = serializers.DateTimeField(allow_null=True)
    problem = serializers.CharField(help_text="Why it cannot run as it stands; empty if it can.")
    outcomes = serializers.ListField(
        child=serializers.CharField(), help_text="States of its latest jobs, oldest first."
    )

    def get_url(self, row: Row) -> str:
        """Return its address in the API."""
        return reverse("jobroom:schedules:api-schedule", args=[row.schedule.pk])

    def get_when(self, row: Row) -> str:
        """Return when it runs as people write it."""
        return when.written(row.schedule)


class ScheduleDetails(ScheduleRow):
    """One schedule."""

    queue = serializers.CharField(source="schedule.queue", allow_null=True)
    description = serializers.CharField(source="schedule.description")
    args = serializers.CharField(source="schedule.args", help_text="JSON.")
    kwargs = serializers.CharField(source="schedule.kwargs", help_text="JSON.")
    next_runs = serializers.SerializerMethodField()
    paused_by = serializers.CharField(source="pause.paused_by", default=None, allow_null=True)
    pause_reason = serializers.CharField(source="pause.pause_reason", default=None, allow_null=True)

    def get_next_runs(self, row: Row) -> list[str]:
        """Return the next runs, that which is left out among them."""
        return [moment.isoformat() for moment in row.runs(RUNS)]


class SchedulePage(serializers.Serializer[Any]):
    """A page of schedules."""

    next = serializers.CharField(allow_null=True)
    results = ScheduleRow(many=True)


class Sent(serializers.Serializer[Any]):
    """The job that was sent."""

    job = serializers.CharField()
    url = serializers.CharField()
