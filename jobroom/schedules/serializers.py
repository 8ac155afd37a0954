"""REST serializers of schedules."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobroom.schedules.filters import STATES, Row
from jobroom.schedules.models import Closed, Missed, Overlap, RunState
from jobroom.schedules.services import coming_runs, notation, policy
from jobroom.schedules.services.ownership import DATABASE, GONE, SETTINGS, Difference, Ownership

# Next runs that one schedule shows.
RUNS = 10


class ScheduleQuery(serializers.Serializer[Any]):
    """Which schedules are listed."""

    state = serializers.ChoiceField(choices=STATES, required=False)
    task = serializers.CharField(max_length=255, required=False)
    owner = serializers.CharField(max_length=150, required=False, help_text="User name, or `me`.")
    q = serializers.CharField(max_length=200, required=False, help_text="Words in name, task or description.")
    after = serializers.CharField(max_length=200, required=False, help_text="From `next` of the page before.")


class PolicyData(serializers.Serializer[Any]):
    """What becomes of runs that overlap, were missed or fail; of a change, what is not named stays."""

    overlap = serializers.ChoiceField(choices=Overlap.choices, required=False)
    missed = serializers.ChoiceField(choices=Missed.choices, required=False)
    missed_window = serializers.IntegerField(
        required=False, help_text="Seconds: how old a run may be, where all are made up."
    )
    pause_after = serializers.IntegerField(
        required=False, help_text="So many failures in a row pause the schedule; 0: none do."
    )
    jitter = serializers.IntegerField(
        required=False, help_text="Seconds: by at most so much a run is delayed, always alike for the same moment."
    )
    not_on = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        help_text="Names of calendars on which it does not run.",
    )
    only_on = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        help_text="Names of calendars on which alone it runs.",
    )
    closed = serializers.ChoiceField(
        choices=Closed.choices, required=False, help_text="What becomes of a run that its calendars do not allow."
    )


class ScheduleRequest(serializers.Serializer[Any]):
    """A schedule to be made."""

    task = serializers.CharField(max_length=255)
    arguments = serializers.DictField(required=False, default=dict, help_text="By name, as the task's schema says.")
    when = serializers.CharField(
        max_length=200,
        help_text="Five fields of a crontab, `every 15 minutes`, `sunrise at 52.52, 13.405`, or a moment such as 2026-01-31T09:30+01:00.",
    )
    name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    queue = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    description = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)
    expires = serializers.DateTimeField(required=False, default=None, allow_null=True, help_text="When it ends.")
    policy = PolicyData(required=False, help_text="What becomes of its runs, such as on days of calendars.")


class ScheduleChange(serializers.Serializer[Any]):
    """What is to be changed; what is not named stays."""

    arguments = serializers.DictField(required=False)
    when = serializers.CharField(max_length=200, required=False)
    name = serializers.CharField(max_length=200, required=False)
    queue = serializers.CharField(max_length=200, required=False, allow_blank=True)
    description = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    expires = serializers.DateTimeField(required=False, allow_null=True, help_text="When it ends; null: never.")


class Reason(serializers.Serializer[Any]):
    """Why a schedule is paused, and until when."""

    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    until = serializers.DateTimeField(
        required=False, default=None, allow_null=True, help_text="It runs again by itself from then on."
    )


class Skip(serializers.Serializer[Any]):
    """Which run is left out, or that it takes place after all."""

    at = serializers.DateTimeField(
        required=False, default=None, allow_null=True, help_text="One of the next hundred runs; without it the next."
    )
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
    skipped = serializers.DateTimeField(
        allow_null=True, help_text="The first run from this moment on is left out; null: none is."
    )
    problem = serializers.CharField(help_text="Why it cannot run as it stands; empty if it can.")
    outcomes = serializers.ListField(
        child=serializers.CharField(), help_text="States of its latest jobs, oldest first."
    )

    def get_url(self, row: Row) -> str:
        """Return its address in the API."""
        return reverse("jobroom:schedules:api-schedule", args=[row.schedule.pk])

    def get_when(self, row: Row) -> str:
        """Return when it runs as people write it."""
        return notation.written(row.schedule)


class DifferenceData(serializers.Serializer[Difference]):
    """A field in which a schedule is not what the settings say."""

    field = serializers.CharField()
    mine = serializers.CharField(help_text="What it is.")
    settings = serializers.CharField(help_text="What the settings say.")
    kept = serializers.BooleanField(help_text="Someone chose to leave it so.")
    follows = serializers.BooleanField(
        help_text="No one has changed it: the next start of beat takes the settings' value."
    )


class OwnershipData(serializers.Serializer[Ownership]):
    """Where a schedule comes from."""

    owner = serializers.ChoiceField(
        choices=(SETTINGS, DATABASE, GONE), help_text="`gone`: it was in the settings, and is there no more."
    )
    entry = serializers.CharField(help_text="Its name in the settings.")
    differences = DifferenceData(many=True)
    kept_by = serializers.CharField(help_text="Who chose to leave the differences.")
    version = serializers.CharField(help_text="For `seen` of a choice.")


class Choice(serializers.Serializer[Any]):
    """What counts where a schedule differs from the settings."""

    choice = serializers.ChoiceField(choices=("settings", "mine"))
    seen = serializers.CharField(
        max_length=64, required=False, default="", allow_blank=True, help_text="`ownership.version`."
    )


class Settled(serializers.Serializer[Any]):
    """What became of the choice."""

    outcome = serializers.CharField()


class UpcomingRun(serializers.Serializer[Any]):
    """A run to come."""

    at = serializers.DateTimeField(help_text="When it takes place.")
    due = serializers.DateTimeField(help_text="The moment that it is for; by jitter it takes place later.")
    zone = serializers.CharField(help_text="The time zone of the schedule; empty where it goes by no clock.")
    local = serializers.CharField(help_text="When it takes place, on the clocks of that zone.")
    note = serializers.CharField(help_text="What a change of clocks does to it; mostly empty.")
    closed = serializers.CharField(help_text="Why it does not take place then, as its calendars say; mostly empty.")
    moved = serializers.DateTimeField(
        allow_null=True, help_text="When it takes place in place of that; null: it is skipped."
    )


class ScheduleDetails(ScheduleRow):
    """One schedule."""

    queue = serializers.CharField(source="schedule.queue", allow_null=True)
    description = serializers.CharField(source="schedule.description")
    expires = serializers.DateTimeField(source="schedule.expires", allow_null=True, help_text="When it ends.")
    args = serializers.CharField(source="schedule.args", help_text="JSON.")
    kwargs = serializers.CharField(source="schedule.kwargs", help_text="JSON.")
    next_runs = serializers.SerializerMethodField(
        help_text="The next ten moments by the clock; `upcoming` says of each whether a calendar skips or moves it."
    )
    upcoming = serializers.SerializerMethodField(help_text="The same runs, with what clocks and calendars do to them.")
    clock_changes = serializers.SerializerMethodField(help_text="Later runs that a change of clocks concerns.")
    paused_by = serializers.CharField(source="pause.paused_by", default=None, allow_null=True)
    pause_reason = serializers.CharField(source="pause.pause_reason", default=None, allow_null=True)
    paused_until = serializers.DateTimeField(source="pause.paused_until", default=None, allow_null=True)
    ownership = OwnershipData(help_text="Whether it comes from the settings, and in what it differs from them.")
    policy = serializers.SerializerMethodField(help_text="What it does when runs overlap, were missed or fail.")

    def get_policy(self, row: Row) -> dict[str, Any]:
        """Return all its values, the defaults too."""
        return policy.values(row.schedule)

    @extend_schema_field(UpcomingRun(many=True))
    def get_upcoming(self, row: Row) -> Any:
        """Return the next runs with their notes."""
        return UpcomingRun(row.upcoming(RUNS), many=True).data

    @extend_schema_field(UpcomingRun(many=True))
    def get_clock_changes(self, row: Row) -> Any:
        """Return later runs that have a note."""
        return UpcomingRun(coming_runs.at_clock_changes(row.schedule, row.upcoming(RUNS)), many=True).data

    def get_next_runs(self, row: Row) -> list[str]:
        """Return the next runs, that which is left out among them."""
        return [moment.isoformat() for moment in row.runs(RUNS)]


class RunData(serializers.Serializer[Any]):
    """A run that was not sent when it was due."""

    due = serializers.DateTimeField(help_text="The moment that it is for.")
    state = serializers.ChoiceField(choices=RunState.choices)
    reason = serializers.CharField()
    job = serializers.CharField(help_text="The job that was sent for it later; empty where none was.")
    at = serializers.DateTimeField(help_text="When that was decided.")


class SchedulePage(serializers.Serializer[Any]):
    """A page of schedules."""

    next = serializers.CharField(allow_null=True)
    results = ScheduleRow(many=True)


class Sent(serializers.Serializer[Any]):
    """The job that was sent."""

    job = serializers.CharField()
    url = serializers.CharField()
