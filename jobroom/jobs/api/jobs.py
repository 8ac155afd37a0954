"""Jobs over REST: launch, list, read, cancel, retry."""

from typing import Any

from django.http import Http404, HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom import events, redis
from jobroom.jobs import control, current_state, policies
from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.long_poll import Wait
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source
from jobroom.jobs.request_serializers import AfterQuery, LaunchRequest, ListQuery, WaitQuery, launch_of
from jobroom.jobs.serializers import ActionResult, EventPage, JobDetail, JobPage, JobRow, Launched, detail_of
from jobroom.jobs.topics import plain, render

# Most events of one answer.
EVENTS = 1000


def seen_by(request: Request, job_id: str) -> Job:
    """Return the job; raise Http404 when there is none that one may see."""
    found = current_state.visible_job(job_id, person(request))
    if found is None:
        raise Http404("There is no such job, or you may not see it.")
    return found


class JobList(ApiView):
    """All jobs that one may see."""

    @extend_schema(operation_id="list_jobs", parameters=[ListQuery], responses={200: JobPage, **problems(400, 401)})
    def get(self, request: Request) -> Response:
        """List jobs, newest first, a page at a time."""
        given = ListQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = JobFilter(given.validated_data, person(request))
        address = reverse("jobroom:api:jobs") + found.next_link if found.next_link else None
        rows = JobRow(found.rows, many=True, context={"user": person(request)}).data
        return Response({"next": address, "results": rows})

    @extend_schema(
        operation_id="launch_job",
        parameters=[WaitQuery],
        request=LaunchRequest,
        responses={
            200: OpenApiResponse(JobDetail, description="It ended in the time that `wait` gives."),
            201: OpenApiResponse(Launched, description="It is launched."),
            202: OpenApiResponse(Launched, description="It goes on; `wait` is over."),
            **problems(400, 401, 403, 413, 415, 503),
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        """Launch a task; with `wait`, answer with the result if it is there in time."""
        given, seconds = launch_of(request.query_params, request.data)
        job = launch(**given, by=person(request), source=Source.API)
        if seconds and job.is_finished:  # it was answered before it was ever sent
            return Response(detail_of(job, person(request)))
        now = Response(Launched(job).data, status=status.HTTP_201_CREATED, headers={"Location": job_url(job)})
        if not seconds:
            return now
        return Wait(job, seconds, person(request)).answer(request._request, now)


def job_url(job: Job) -> str:
    """Return the address of the job in the API."""
    return reverse("jobroom:api:job", args=[job.pk])


class JobView(ApiView):
    """One job."""

    @extend_schema(operation_id="show_job", responses={200: JobDetail, **problems(401, 404)})
    def get(self, request: Request, job_id: str) -> Response:
        """Show a job as it is now, also when the recorder is behind."""
        return Response(detail_of(seen_by(request, job_id), person(request), explain=True))


class JobEvents(ApiView):
    """What happened to a job."""

    @extend_schema(
        operation_id="list_job_events", parameters=[AfterQuery], responses={200: EventPage, **problems(400, 401, 404)}
    )
    def get(self, request: Request, job_id: str) -> Response:
        """List progress and log lines after a sequence number; the log for who may read the arguments."""
        given = AfterQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        after, job = given.validated_data["after"], seen_by(request, job_id)
        readable = policies.may_see_arguments(person(request), job)
        found = _events(job, after, logs=readable)
        shown = [found[seq] for seq in sorted(found)[:EVENTS]]
        last = shown[-1]["seq"] if shown else max(after, 0)
        return Response({"state": job.state, "last": last, "more": len(found) > EVENTS, "events": shown})


def _events(job: Job, after: int, *, logs: bool) -> dict[int, dict[str, Any]]:
    """Return what viewers may see of the recent events and of the log in the database, by sequence number."""
    found: dict[int, dict[str, Any]] = {}
    if logs:
        for line in job.log_lines.filter(pk__gt=after).order_by("pk")[: EVENTS + 1]:
            entry = {"level": line.level, "message": line.message, "obj": line.obj or None, "at": line.at.timestamp()}
            found[line.pk] = {"seq": line.pk, "type": "log", **entry}
    for event in _recent(job.pk, after):
        seen = render(event)
        if seen is not None and (logs or seen["type"] == "progress"):
            found[event["seq"]] = {"seq": event["seq"], **(seen if logs else plain(seen))}
    return found


def _recent(job_id: str, after: int) -> list[dict[str, Any]]:
    try:
        return events.replay(job_id, after)
    except redis.Error:
        return []  # the database has the log all the same


class JobCancel(ApiView):
    """Cancels a job."""

    @extend_schema(
        operation_id="cancel_job", request=None, responses={200: ActionResult, **problems(401, 403, 404, 409, 503)}
    )
    def post(self, request: Request, job_id: str) -> Response:
        """Cancel a job; the answer says what happens now."""
        job = seen_by(request, job_id)
        detail = control.cancel(job=job, by=person(request))
        return Response(_result(job, detail))


class JobRetry(ApiView):
    """Another attempt of a job."""

    @extend_schema(
        operation_id="retry_job", request=None, responses={200: ActionResult, **problems(400, 401, 403, 404, 409, 503)}
    )
    def post(self, request: Request, job_id: str) -> Response:
        """Run a finished job again under the same id."""
        job = seen_by(request, job_id)
        control.retry(job=job, by=person(request))
        return Response(_result(job, "Sent again, as a new attempt of the same job."))


def _result(job: Job, detail: str) -> dict[str, Any]:
    now = current_state.job(job.pk) or job
    return {**Launched(now).data, "detail": detail}
