"""Calendars over REST: all see them, staff change them."""

from functools import partial
from typing import Any

from django.http import Http404
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.preconditions import IF_MATCH, check, etag
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.schedules import policies
from jobroom.schedules.api import checked, refusing
from jobroom.schedules.models import Calendar
from jobroom.schedules.services import calendar_import, calendars
from jobroom.schedules.services.calendar_days import merged


class CalendarData(serializers.ModelSerializer[Calendar]):
    """A calendar."""

    days = serializers.SerializerMethodField(
        help_text="One entry each, such as `2026-12-25 Christmas` or `every Sat, Sun`."
    )

    class Meta:
        model = Calendar
        fields = ("id", "name", "description", "days", "changed_by", "changed_at")
        read_only_fields = fields

    def get_days(self, calendar: Calendar) -> list[str]:
        """Return the lines."""
        return calendar.days.splitlines()


class CalendarChange(serializers.Serializer[Any]):
    """What is to be changed; what is not named stays."""

    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    days = serializers.ListField(child=serializers.CharField(max_length=300, allow_blank=True), required=False)
    ics = serializers.CharField(
        required=False, max_length=calendar_import.MOST_BYTES, help_text="Text of an .ics file, whose events are added."
    )


class CalendarRequest(CalendarChange):
    """A calendar to be made."""

    name = serializers.CharField(max_length=100)


def _may_change(request: Request) -> None:
    if not policies.may_change_calendars(person(request)):
        raise PermissionDenied("Only staff may change calendars: schedules of many people follow them.")


def _found(calendar_id: int) -> Calendar:
    found = Calendar.objects.filter(pk=min(calendar_id, 2**63 - 1)).first()
    if found is None:
        raise Http404("There is no such calendar.")
    return found


def _given(data: dict[str, Any], stored: str = "") -> dict[str, Any]:
    """Return what was sent with its days as lines, those of an .ics file among them."""
    ics = data.pop("ics", None)
    if "days" in data:
        data["days"] = "\n".join(data["days"])
    if ics is not None:
        data["days"] = refusing(lambda: merged(data.get("days", stored), calendar_import.lines_of(ics)))
    return data


def _answer(found: Calendar, status: int = 200) -> Response:
    return Response(CalendarData(found).data, status=status, headers={"ETag": etag(calendars.version(found))})


class CalendarList(ApiView):
    """All calendars."""

    @extend_schema(operation_id="list_calendars", responses={200: CalendarData(many=True), **problems(401)})
    def get(self, request: Request) -> Response:
        """List the calendars by name; there are at most 500."""
        return Response(CalendarData(Calendar.objects.order_by("name"), many=True).data)

    @extend_schema(
        operation_id="make_calendar",
        request=CalendarRequest,
        responses={201: CalendarData, **problems(400, 401, 403, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Make a calendar."""
        _may_change(request)
        given = _given(checked(CalendarRequest, request.data))
        return _answer(refusing(lambda: calendars.add(by=person(request), given=given)), status=201)


class CalendarView(ApiView):
    """One calendar."""

    @extend_schema(operation_id="show_calendar", responses={200: CalendarData, **problems(401, 404)})
    def get(self, request: Request, calendar_id: int) -> Response:
        """Show a calendar, with an ETag."""
        return _answer(_found(calendar_id))

    @extend_schema(
        operation_id="change_calendar",
        request=CalendarChange,
        parameters=[IF_MATCH],
        responses={200: CalendarData, **problems(400, 401, 403, 404, 412, 413, 415)},
    )
    def patch(self, request: Request, calendar_id: int) -> Response:
        """Change what is named, and leave the rest; `If-Match` with the ETag keeps what others changed meanwhile."""
        _may_change(request)
        found = _found(calendar_id)
        given = _given(checked(CalendarChange, request.data), found.days)
        matched = partial(check, request, what="The calendar")
        refusing(lambda: calendars.change(found, by=person(request), given=given, check_version=matched))
        return _answer(_found(calendar_id))

    @extend_schema(
        operation_id="delete_calendar",
        parameters=[IF_MATCH],
        responses={204: None, **problems(400, 401, 403, 404, 412)},
    )
    def delete(self, request: Request, calendar_id: int) -> Response:
        """Delete a calendar that no schedule follows; with `If-Match` only as it was read."""
        _may_change(request)
        found = _found(calendar_id)
        matched = partial(check, request, what="The calendar")
        refusing(lambda: calendars.delete(found, by=person(request), check_version=matched))
        return Response(status=204)
