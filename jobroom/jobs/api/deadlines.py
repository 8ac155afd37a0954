"""What is expected of jobs, over REST, for staff."""

from typing import Any

from django.http import Http404
from rest_framework import serializers, status
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs import deadline_rules
from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.models import Expectation, ExpectedOf


class DeadlineRow(serializers.ModelSerializer[Expectation]):
    """What is expected of the jobs of one task or schedule, in seconds."""

    of = serializers.ChoiceField(choices=ExpectedOf.choices)

    class Meta:
        model = Expectation
        fields = ("id", "of", "name", "within", "usual", "silent", "by", "at")
        read_only_fields: tuple[str, ...] = fields


class NewDeadline(serializers.Serializer[Any]):
    """One more; at least one of the times, in seconds."""

    of = serializers.ChoiceField(choices=ExpectedOf.choices)
    name = serializers.CharField(max_length=255)
    within = serializers.IntegerField(required=False, allow_null=True, help_text="From its turn to its end.")
    usual = serializers.IntegerField(required=False, allow_null=True, help_text="It runs longer than usual after that.")
    silent = serializers.IntegerField(required=False, allow_null=True, help_text="It is silent after that.")


class DeadlineList(ApiView):
    """All that is expected of jobs."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="list_deadlines", responses={200: DeadlineRow(many=True), **problems(401, 403)})
    def get(self, request: Request) -> Response:
        """List what is expected, by task and schedule; there are few."""
        return Response(DeadlineRow(Expectation.objects.order_by("of", "name"), many=True).data)

    @extend_schema(
        operation_id="add_deadline", request=NewDeadline, responses={201: DeadlineRow, **problems(400, 401, 403, 409)}
    )
    def post(self, request: Request) -> Response:
        """Add a deadline, a usual duration or a longest silence of a task or schedule that has none yet."""
        deadline_rules.check_right(person(request))
        given = NewDeadline(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        times = {name: data.get(name) for name in deadline_rules.TIMES}
        row = deadline_rules.add(of=data["of"], name=data["name"], times=times, by=person(request))
        return Response(DeadlineRow(row).data, status=status.HTTP_201_CREATED)


class DeadlineView(ApiView):
    """One of them."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="drop_deadline", responses={204: None, **problems(401, 403, 404, 409)})
    def delete(self, request: Request, expectation_id: int) -> Response:
        """Delete it."""
        row = Expectation.objects.filter(pk=expectation_id).first()
        if row is None:
            raise Http404("There is no such deadline.")
        deadline_rules.drop(row=row, by=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
