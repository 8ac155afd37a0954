"""Backfills of a schedule over REST: with their count first."""

from datetime import datetime
from typing import Any

from django.http import Http404
from django.urls import reverse
from django_celery_beat.models import PeriodicTask
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs import moments
from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.schedules.api import checked, refusing, seen_by
from jobroom.schedules.models import Backfill, Which
from jobroom.schedules.services import backfills, closures
from jobroom.schedules.services.backfill_plan import MOST_AT_ONCE, Plan, Range, plan

# Backfills that are listed.
SHOWN = 50


class BackfillRequest(serializers.Serializer[Any]):
    """A range of due times, by the clocks of the schedule where a time names no zone."""

    since = serializers.CharField(max_length=40, help_text="The first due time that counts, such as 2026-01-31T00:00.")
    until = serializers.CharField(max_length=40, help_text="The last one.")
    which = serializers.ChoiceField(choices=Which.choices, required=False, default=Which.MISSING)
    at_once = serializers.IntegerField(required=False, default=1, help_text=f"Jobs at a time, 1 to {MOST_AT_ONCE}.")
    newest_first = serializers.BooleanField(required=False, default=False)
    dry_run = serializers.BooleanField(required=False, default=False, help_text="Only say what would be made.")
    seen = serializers.IntegerField(
        required=False, help_text="The count that was shown: where it is another by now, nothing is made."
    )


class BackfillPlan(serializers.Serializer[Any]):
    """What a backfill would make."""

    count = serializers.IntegerField(help_text="Runs that are made.")
    first = serializers.DateTimeField(allow_null=True)
    last = serializers.DateTimeField(allow_null=True)
    all = serializers.IntegerField(help_text="Due times in the range.")
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="Those that did not succeed.")
    open = serializers.IntegerField(help_text="Those that wait or run: they are left out.")
    closed = serializers.IntegerField(help_text="Those that calendars of the schedule close: they are left out.")
    seconds = serializers.FloatField(
        allow_null=True, help_text="How long it takes about, from the history of the task."
    )
    notes = serializers.ListField(child=serializers.CharField())


class BackfillData(serializers.ModelSerializer[Backfill]):
    """A backfill, with how far it is."""

    url = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField(help_text="Numbers of runs by what became of them.")

    class Meta:
        model = Backfill
        fields = (
            *("id", "url", "since", "until", "which", "newest_first", "at_once", "total", "state", "by", "reason"),
            *("made_at", "ended_at", "progress"),
        )
        read_only_fields = fields

    def get_url(self, backfill: Backfill) -> str:
        """Return its address in the API."""
        return reverse("jobroom:schedules:api-backfill", args=[backfill.row_id, backfill.pk])

    def get_progress(self, backfill: Backfill) -> dict[str, int]:
        """Return the numbers."""
        return backfills.progress(backfill)


class BackfillAction(serializers.Serializer[Any]):
    """What is done with a backfill."""

    action = serializers.ChoiceField(choices=tuple(backfills.ACTIONS))


def described(found: Plan, at_once: int) -> dict[str, Any]:
    """Return a plan as the API and the command give it."""
    ends = {"first": found.dues[0] if found.dues else None, "last": found.dues[-1] if found.dues else None}
    numbers = {
        name: getattr(found, name) for name in ("count", "all", "succeeded", "failed", "open", "closed", "notes")
    }
    return {**numbers, **ends, "seconds": found.takes(at_once)}


def range_of(row: PeriodicTask, given: dict[str, Any]) -> Range:
    """Return the range that was asked for; raise ValidationError for what is no time."""
    return Range(_moment(row, given, "since"), _moment(row, given, "until"), given["which"])


def _moment(row: PeriodicTask, given: dict[str, Any], name: str) -> datetime:
    found = backfills.moment(given[name], closures.zone_of(row))
    if found is None:
        raise ValidationError({name: [moments.NO_TIME]})
    return found


class BackfillList(ApiView):
    """The backfills of a schedule."""

    @extend_schema(operation_id="list_backfills", responses={200: BackfillData(many=True), **problems(401, 404)})
    def get(self, request: Request, schedule_id: int) -> Response:
        """List the newest fifty."""
        rows = Backfill.objects.filter(row=seen_by(request, schedule_id)).order_by("-pk")[:SHOWN]
        return Response(BackfillData(rows, many=True).data)

    @extend_schema(
        operation_id="start_backfill",
        request=BackfillRequest,
        responses={200: BackfillPlan, 201: BackfillData, **problems(400, 401, 404, 413, 415, 429)},
    )
    def post(self, request: Request, schedule_id: int) -> Response:
        """Make the runs of a range; with `dry_run` only say which those would be (200)."""
        row, by = seen_by(request, schedule_id), person(request)
        given = checked(BackfillRequest, request.data)
        asked = range_of(row, given)
        if given["dry_run"]:
            refusing(lambda: backfills.check(row, by=by, at_once=given["at_once"]))
            return Response(BackfillPlan(described(refusing(lambda: plan(row, asked)), given["at_once"])).data)
        chosen = {"at_once": given["at_once"], "newest_first": given["newest_first"], "seen": given.get("seen")}
        made = refusing(lambda: backfills.start(row, asked, by=by, **chosen))
        return Response(BackfillData(made).data, status=201)


class BackfillView(ApiView):
    """One backfill."""

    @extend_schema(operation_id="show_backfill", responses={200: BackfillData, **problems(401, 404)})
    def get(self, request: Request, schedule_id: int, backfill_id: int) -> Response:
        """Show how far it is."""
        return Response(BackfillData(_found(request, schedule_id, backfill_id)).data)

    @extend_schema(
        operation_id="act_on_backfill",
        request=BackfillAction,
        responses={200: BackfillData, **problems(400, 401, 404, 415)},
    )
    def post(self, request: Request, schedule_id: int, backfill_id: int) -> Response:
        """Pause, resume or cancel it; jobs that it has sent go on."""
        found = _found(request, schedule_id, backfill_id)
        act = backfills.ACTIONS[checked(BackfillAction, request.data)["action"]]
        refusing(lambda: act(found, by=person(request)))
        return Response(BackfillData(found).data)


def _found(request: Request, schedule_id: int, backfill_id: int) -> Backfill:
    rows = Backfill.objects.select_related("row").filter(row=seen_by(request, schedule_id))
    found = rows.filter(pk=min(backfill_id, 2**63 - 1)).first()
    if found is None:
        raise Http404("There is no such backfill.")
    return found
