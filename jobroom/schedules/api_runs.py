"""A schedule's policy and its missed runs over REST."""

from functools import partial

from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.preconditions import IF_MATCH, check, etag
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.schedules.api import checked, refusing, seen_by
from jobroom.schedules.serializers import Choice, PolicyData, RunData, Settled
from jobroom.schedules.services import ownership, policy, runs

# Runs that one answer holds.
RUNS = 100


class SchedulePolicyView(ApiView):
    """The policy of a schedule."""

    @extend_schema(operation_id="show_policy", responses={200: PolicyData, **problems(401, 404)})
    def get(self, request: Request, schedule_id: int) -> Response:
        """Show what becomes of runs that overlap or were missed, with an ETag."""
        return self._answer(request, schedule_id)

    @extend_schema(
        operation_id="change_policy",
        request=PolicyData,
        parameters=[IF_MATCH],
        responses={200: PolicyData, **problems(400, 401, 404, 412, 413, 415)},
    )
    def patch(self, request: Request, schedule_id: int) -> Response:
        """Change what is named, and leave the rest; `If-Match` with the ETag keeps what others changed meanwhile."""
        row = seen_by(request, schedule_id)
        given = checked(PolicyData, request.data)
        matched = partial(check, request, what="The policy")
        refusing(lambda: policy.change(row, by=person(request), given=given, check_version=matched))
        return self._answer(request, schedule_id)

    @staticmethod
    def _answer(request: Request, schedule_id: int) -> Response:
        row = seen_by(request, schedule_id)
        return Response(policy.values(row), headers={"ETag": etag(policy.version(row))})


class ScheduleRuns(ApiView):
    """Runs of a schedule that were not sent when they were due."""

    @extend_schema(operation_id="list_scheduled_runs", responses={200: RunData(many=True), **problems(401, 404)})
    def get(self, request: Request, schedule_id: int) -> Response:
        """List the newest hundred, with the reasons."""
        return Response(RunData(runs.of(seen_by(request, schedule_id), RUNS), many=True).data)


class ScheduleSettle(ApiView):
    """The choice between the settings and a schedule that differs from them."""

    @extend_schema(
        operation_id="settle_schedule", request=Choice, responses={200: Settled, **problems(400, 401, 404, 415)}
    )
    def post(self, request: Request, schedule_id: int) -> Response:
        """Take what the settings say, or keep what the schedule is; refused where `seen` is not what differs now."""
        row = seen_by(request, schedule_id)
        given = checked(Choice, request.data)
        choose = ownership.take if given["choice"] == "settings" else ownership.keep
        return Response({"outcome": refusing(lambda: choose(row, by=person(request), seen=given["seen"]))})
