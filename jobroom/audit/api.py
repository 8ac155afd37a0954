"""The audit over REST, for staff."""

from django.urls import reverse
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.audit.filters import ActFilter
from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems


class ActData(serializers.Serializer[object]):
    """One act of a person."""

    at = serializers.DateTimeField()
    who = serializers.CharField()
    action = serializers.CharField()
    kind = serializers.CharField(help_text="What it was done to: job, queue, task, worker, lock, schedule.")
    target = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    outcome = serializers.CharField(allow_blank=True, help_text="What really happened.")


class ActPage(serializers.Serializer[object]):
    """A page of acts."""

    next = serializers.CharField(allow_null=True, help_text="The address of the next page.")
    results = ActData(many=True)


class ActQuery(serializers.Serializer[object]):
    """What the list can be asked for."""

    kind = serializers.CharField(required=False)
    who = serializers.CharField(required=False)
    target = serializers.CharField(required=False)
    q = serializers.CharField(required=False, help_text="Words of target, reason or outcome.")
    before = serializers.CharField(required=False, help_text="From the address in `next`.")


class ActList(ApiView):
    """Every act of a person."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="list_acts", parameters=[ActQuery], responses={200: ActPage, **problems(400, 401, 403)})
    def get(self, request: Request) -> Response:
        """List acts, newest first, a page at a time."""
        given = ActQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = ActFilter(given.validated_data, person(request))
        address = reverse("jobroom:audit:api-acts") + found.next_link if found.next_link else None
        return Response({"next": address, "results": ActData(found.rows, many=True).data})
