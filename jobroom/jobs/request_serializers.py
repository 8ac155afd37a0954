"""REST serializers of requests about jobs: launches, lists, waits."""

from typing import Any

from rest_framework import serializers

from jobroom.jobs import lateness
from jobroom.jobs.filters import cursor
from jobroom.jobs.kept_serializers import kept
from jobroom.jobs.list_orders import SORTS
from jobroom.jobs.models import Caching, State
from jobroom.jobs.time_window import Window
from jobroom.web.cursors import REMEDY, WrongCursor

# Longest time in seconds that a launch may wait for its result.
LONGEST_WAIT = 60


# The greatest whole number that JavaScript holds exactly.
GREATEST = 2**53 - 1


class LaunchRequest(serializers.Serializer[Any]):
    """A launch."""

    task = serializers.CharField(max_length=255)
    arguments = serializers.DictField(required=False, default=dict, help_text="By name, as the task's schema says.")
    queue = serializers.CharField(max_length=255, required=False, default="", allow_blank=True)
    run_after = serializers.DateTimeField(required=False, default=None, allow_null=True)
    priority = serializers.IntegerField(
        min_value=0, max_value=9, required=False, default=None, allow_null=True, help_text="0 is soonest, 9 last."
    )
    note = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)
    tags = serializers.ListField(child=serializers.CharField(max_length=50), max_length=20, required=False, default=[])
    force = serializers.BooleanField(required=False, default=False, help_text="Compute, and replace a kept answer.")
    recalculate = serializers.BooleanField(
        required=False, default=False, help_text="The same; the task may start from the kept answer."
    )
    no_cache = serializers.BooleanField(required=False, default=False, help_text="Compute, and keep nothing.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values as `jobroom.jobs.launches.launch` takes them: at most one way to deal with cached results."""
        chosen = [name for name in Caching.values if name and attrs.pop(name)]
        if len(chosen) > 1:
            raise serializers.ValidationError({chosen[1]: [f"Give this or {chosen[0]}, not both."]})
        return {**attrs, "caching": chosen[0] if chosen else Caching.USE}


class WaitQuery(serializers.Serializer[Any]):
    """How long a launch waits for its result."""

    wait = serializers.FloatField(min_value=0, max_value=LONGEST_WAIT, required=False, default=0)


def launch_of(query: Any, data: Any) -> tuple[dict[str, Any], float]:
    """Return what a request wants launched, and for how many seconds it waits; raise ValidationError."""
    return kept.checked(LaunchRequest, data), kept.checked(WaitQuery, query)["wait"]


class PlaceField(serializers.CharField):
    """Where a page of a list begins, as `next` of the page before says it; anything else is refused."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=400, help_text="From `next` of the page before.", **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the text of a place; raise ValidationError for what is none."""
        text = super().to_internal_value(data)
        try:
            cursor({"": text}, "")
        except WrongCursor as wrong:
            raise serializers.ValidationError(REMEDY) from wrong
        return text


_WINDOWS = {
    "within": "Give a number of hours or days, such as 36h or 7d.",
    "since": "Give a moment such as 2026-01-31T09:30Z.",
    "until": "Give a moment such as 2026-01-31T09:30Z.",
}


class ListQuery(serializers.Serializer[Any]):
    """Which jobs are listed. What is not named is not looked at."""

    state = serializers.ChoiceField(choices=State.choices, required=False)
    task = serializers.CharField(max_length=255, required=False)
    queue = serializers.CharField(max_length=255, required=False)
    schedule = serializers.CharField(max_length=255, required=False)
    workflow = serializers.CharField(max_length=64, required=False)
    owner = serializers.CharField(max_length=150, required=False, help_text="User name.")
    tag = serializers.CharField(max_length=50, required=False)
    late = serializers.ChoiceField(
        choices=lateness.CHOICES, required=False, help_text="Late or about to be, longer than usual, silent, or any."
    )
    q = serializers.CharField(max_length=255, required=False, help_text="Words in label, task or error, or an id.")
    within = serializers.CharField(max_length=10, required=False, help_text="Launched so long ago at most: 36h, 7d.")
    since = serializers.CharField(
        max_length=40, required=False, help_text="Launched at this moment or later, ISO 8601."
    )
    until = serializers.CharField(max_length=40, required=False, help_text="Launched before this moment, ISO 8601.")
    sort = serializers.ChoiceField(choices=sorted(SORTS), required=False, help_text="Without it the newest come first.")
    before = serializers.CharField(max_length=600, required=False, help_text="From `next` of the page before.")

    def validate_within(self, value: str) -> str:
        """Refuse a length that means nothing."""
        return _window("within", value)

    def validate_since(self, value: str) -> str:
        """Refuse what is no moment."""
        return _window("since", value)

    def validate_until(self, value: str) -> str:
        """Refuse what is no moment."""
        return _window("until", value)

    def validate_before(self, value: str) -> str:
        """Refuse a place that no page of this order has given."""
        order = SORTS.get(str(self.initial_data.get("sort", "")))
        query = {"before": value}
        try:
            order.read(query) if order else cursor(query)
        except WrongCursor as wrong:
            raise serializers.ValidationError(REMEDY) from wrong
        return value


def _window(name: str, value: str) -> str:
    if value and not getattr(Window.read({name: value}), name):
        raise serializers.ValidationError(_WINDOWS[name])
    return value


class AfterQuery(serializers.Serializer[Any]):
    """From where events are listed."""

    after = serializers.IntegerField(min_value=0, max_value=GREATEST, required=False, default=0)
