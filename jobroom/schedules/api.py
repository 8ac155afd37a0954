"""Schedules over REST: list, make, change, pause, run now, skip a run, delete."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import Http404
from django.urls import get_script_prefix, resolve, reverse
from django_celery_beat.models import PeriodicTask
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.arguments import WrongArguments, schema_of
from jobroom.jobs import launches
from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.preconditions import IF_MATCH, check, etag
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.exceptions import Changed, JobError, NotAllowed
from jobroom.schedules import audit, changes, policies, services
from jobroom.schedules.exceptions import NotNow, NotSent, UnusableSchedule
from jobroom.schedules.filters import RELATED, ScheduleFilter, rows_of
from jobroom.schedules.serializers import (
    Reason,
    ScheduleChange,
    ScheduleDetails,
    SchedulePage,
    ScheduleQuery,
    ScheduleRequest,
    ScheduleRow,
    Sent,
    Skip,
)
from jobroom.schedules.services import policy
from jobroom.web.versions import version_of


def seen_by(request: Request, schedule_id: int) -> PeriodicTask:
    """Return the schedule; raise Http404 where there is none that one may see."""
    rows = policies.visible_to(person(request)).select_related(*RELATED)
    found = rows.filter(pk=min(schedule_id, 2**63 - 1)).first()
    if found is None:
        raise Http404("There is no such schedule, or you may not see it.")
    return found


def _answer(request: Request, schedule_id: int, status: int = 200) -> Response:
    (row,) = rows_of([seen_by(request, schedule_id)], person(request))
    version = version_of(row.schedule, changes.VERSIONED)
    return Response(ScheduleDetails(row).data, status=status, headers={"ETag": etag(version)})


def checked(kind: Any, data: Any) -> dict[str, Any]:
    """Return what was sent, checked by a serializer of this kind."""
    given = kind(data=data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def refusing(act: Callable[[], Any], *, part: str = "") -> Any:
    """Do it; what the schedules say against it becomes a problem that names the field, those of a policy in the `part` that has it."""
    try:
        return act()
    except WrongArguments as wrong:
        names = {"cron": "when", "schedule_name": "name"}
        errors: dict[str, Any] = {names.get(name, name): texts for name, texts in wrong.errors.items()}
        if part and (own := {name: errors.pop(name) for name in [*errors] if name in policy.FIELDS}):
            errors[part] = own
        raise ValidationError(errors) from wrong
    except Changed:
        raise  # the API has an answer of its own for it
    except NotAllowed as error:
        raise PermissionDenied(str(error)) from error
    except JobError as error:
        raise ValidationError({"task": [str(error)]}) from error
    except (NotNow, NotSent, UnusableSchedule) as error:
        raise ValidationError({"schedule": [str(error)]}) from error


class ScheduleList(ApiView):
    """All schedules that one may see."""

    @extend_schema(
        operation_id="list_schedules", parameters=[ScheduleQuery], responses={200: SchedulePage, **problems(400, 401)}
    )
    def get(self, request: Request) -> Response:
        """List schedules by name, a page at a time."""
        found = ScheduleFilter(checked(ScheduleQuery, request.query_params), person(request))
        address = reverse("jobroom:schedules:api-schedules") + found.next_link if found.next_link else None
        return Response({"next": address, "results": [ScheduleRow(row).data for row in found.rows]})

    @extend_schema(
        operation_id="make_schedule",
        request=ScheduleRequest,
        responses={201: ScheduleDetails, **problems(400, 401, 403, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Make a schedule, whose jobs are one's own."""
        given = checked(ScheduleRequest, request.data)
        given["cron"] = given.pop("when")
        address = refusing(lambda: launches.repeat(by=person(request), **given), part="policy")
        return _answer(request, int(resolve(address_below(address)).kwargs["schedule_id"]), status=201)


def address_below(address: str) -> str:
    """Return an address as the resolver knows it, without the path of the site."""
    prefix = get_script_prefix()
    return f"/{address.removeprefix(prefix)}" if prefix != "/" else address


class ScheduleView(ApiView):
    """One schedule."""

    @extend_schema(operation_id="show_schedule", responses={200: ScheduleDetails, **problems(401, 404)})
    def get(self, request: Request, schedule_id: int) -> Response:
        """Show a schedule with its next ten runs."""
        return _answer(request, schedule_id)

    @extend_schema(
        operation_id="change_schedule",
        request=ScheduleChange,
        parameters=[IF_MATCH],
        responses={200: ScheduleDetails, **problems(400, 401, 403, 404, 412, 413, 415)},
    )
    def patch(self, request: Request, schedule_id: int) -> Response:
        """Change what is named, and leave the rest; `If-Match` with the schedule's ETag keeps what others changed meanwhile."""
        row = seen_by(request, schedule_id)
        given = checked(ScheduleChange, request.data)

        def kept() -> Any:
            args, kwargs, _ = services.message(row)
            return schema_of(launches.task_called(row.task)).bind(args, kwargs)

        refusing(
            lambda: changes.change(
                row,
                by=person(request),
                arguments=given["arguments"] if "arguments" in given else kept(),
                line=given.get("when", changes.line_of(row)),
                name=given.get("name", row.name),
                queue=given.get("queue", row.queue or ""),
                description=given.get("description", row.description),
                expires=given.get("expires", row.expires),
                check_version=partial(check, request, what="The schedule"),
            )
        )
        return _answer(request, schedule_id)

    @extend_schema(
        operation_id="delete_schedule", parameters=[IF_MATCH], responses={204: None, **problems(400, 401, 404, 412)}
    )
    def delete(self, request: Request, schedule_id: int) -> Response:
        """Delete a schedule, with `If-Match` only as it was read; its jobs stay in the history."""
        row = seen_by(request, schedule_id)
        check(request, version_of(row, changes.VERSIONED), what="The schedule")
        if reason := policies.why_not_delete(row):
            raise ValidationError({"schedule": [reason]})
        row.delete()
        audit.record(person(request), "deleted", row.name)
        return Response(status=204)


class SchedulePause(ApiView):
    """Pausing a schedule."""

    @extend_schema(
        operation_id="pause_schedule", request=Reason, responses={200: ScheduleDetails, **problems(400, 401, 404, 415)}
    )
    def post(self, request: Request, schedule_id: int) -> Response:
        """Let it send nothing until it is resumed, or by itself from `until` on."""
        row = seen_by(request, schedule_id)
        given = checked(Reason, request.data)
        refusing(lambda: services.pause(row, by=person(request), **given))
        return _answer(request, schedule_id)


class ScheduleResume(ApiView):
    """Resuming a schedule."""

    @extend_schema(
        operation_id="resume_schedule", request=None, responses={200: ScheduleDetails, **problems(400, 401, 404, 415)}
    )
    def post(self, request: Request, schedule_id: int) -> Response:
        """Let it run again, from now on."""
        row = seen_by(request, schedule_id)
        refusing(lambda: services.resume(row))
        audit.record(person(request), "resumed", row.name)
        return _answer(request, schedule_id)


class ScheduleSkip(ApiView):
    """Leaving one run out."""

    @extend_schema(
        operation_id="skip_run", request=Skip, responses={200: ScheduleDetails, **problems(400, 401, 404, 415)}
    )
    def post(self, request: Request, schedule_id: int) -> Response:
        """Leave the next run out, or that of the moment `at`, or let it take place after all."""
        row = seen_by(request, schedule_id)
        given = checked(Skip, request.data)
        if given["undo"]:
            services.unskip(row)
            audit.record(person(request), "took back the skip of", row.name)
        else:
            moment = refusing(lambda: services.skip(row, given["at"]))
            outcome = f"The run of {moment:%Y-%m-%d %H:%M:%S %Z}."
            audit.record(person(request), "skipped a run of", row.name, outcome=outcome)
        return _answer(request, schedule_id)


class ScheduleRun(ApiView):
    """Running a schedule now."""

    @extend_schema(operation_id="run_schedule", request=None, responses={201: Sent, **problems(400, 401, 404, 415)})
    def post(self, request: Request, schedule_id: int) -> Response:
        """Send its job now, and leave its next run alone."""
        row = seen_by(request, schedule_id)
        job = refusing(lambda: services.run_now(row, person(request)))
        return Response({"job": job, "url": reverse("jobroom:api:job", args=[job])}, status=201)
