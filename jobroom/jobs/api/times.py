"""How long jobs waited and ran, over REST."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs import percentiles
from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems


class TimesQuery(serializers.Serializer[Any]):
    """Which span, and of which jobs."""

    span = serializers.ChoiceField(choices=list(percentiles.SPANS), default=percentiles.USUAL)
    task = serializers.CharField(max_length=255, required=False, allow_blank=True)
    queue = serializers.CharField(max_length=255, required=False, allow_blank=True)


class SpreadRow(serializers.Serializer[Any]):
    """How many jobs, and the seconds that half and that 95 of 100 of them did not exceed: null of none, within 10%."""

    number = serializers.IntegerField()
    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)


class TimesRow(serializers.Serializer[Any]):
    """Waits and durations of one task or queue."""

    name = serializers.CharField()
    wait = SpreadRow()
    duration = SpreadRow(source="took")


class StepRow(serializers.Serializer[Any]):
    """Waits and durations of one step."""

    begin = serializers.DateTimeField()
    end = serializers.DateTimeField()
    wait = SpreadRow()
    duration = SpreadRow(source="took")


class TimesOf(serializers.Serializer[Any]):
    """A span, its steps with the oldest first, and its busiest tasks and queues."""

    span = serializers.CharField(source="span.name")
    whole = StepRow()
    steps = StepRow(many=True)
    tasks = TimesRow(many=True)
    queues = TimesRow(many=True)


class Times(ApiView):
    """Waits and durations."""

    @extend_schema(operation_id="show_times", parameters=[TimesQuery], responses={200: TimesOf, **problems(400, 401)})
    def get(self, request: Request) -> Response:
        """Show how long the jobs that the person may see waited and ran."""
        given = TimesQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        found = percentiles.numbers(
            person(request),
            percentiles.SPANS[asked["span"]],
            task=asked.get("task", ""),
            queue=asked.get("queue", ""),
        )
        return Response(TimesOf(found).data)
