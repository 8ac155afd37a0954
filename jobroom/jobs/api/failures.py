"""Failures by their cause over REST, for staff."""

from typing import Any

from django.http import Http404
from django.urls import reverse
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs import failure_actions, failures, staged_retries
from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.failure_filter import ALL, FailureFilter
from jobroom.jobs.failure_models import FailureGroup, GroupState
from jobroom.jobs.request_serializers import PlaceField


class FailureQuery(serializers.Serializer[Any]):
    """Which causes are listed; without a state those that are open."""

    state = serializers.ChoiceField(choices=[*GroupState.values, ALL], required=False)
    task = serializers.CharField(max_length=255, required=False)
    q = serializers.CharField(max_length=255, required=False, help_text="Words of the error, or a fingerprint.")
    before = PlaceField(required=False)


class FailureRow(serializers.ModelSerializer[FailureGroup]):
    """One cause of failures."""

    assigned_to = serializers.CharField(source="assigned_to.get_username", default=None, read_only=True)
    url = serializers.SerializerMethodField()

    class Meta:
        model = FailureGroup
        fields: tuple[str, ...] = (
            *("id", "url", "error_type", "sentence", "place", "state", "assigned_to", "number", "first_seen"),
            *("last_seen", "last_job", "resolved_at", "came_back_at"),
        )
        read_only_fields: tuple[str, ...] = fields

    def get_url(self, group: FailureGroup) -> str:
        """Return the address of the cause in the API."""
        return reverse("jobroom:api:failure", args=[group.pk])


class FailurePage(serializers.Serializer[Any]):
    """A page of causes."""

    next = serializers.CharField(allow_null=True, help_text="Address of the next page.")
    results = FailureRow(many=True)


class FailureDetail(FailureRow):
    """A cause with its trend, tasks and workers."""

    trend = serializers.SerializerMethodField(help_text="Failures on each of the last 14 days, the oldest first.")
    tasks = serializers.SerializerMethodField(help_text="Task: number.")
    workers = serializers.SerializerMethodField(help_text="Worker: number.")
    retry = serializers.SerializerMethodField(help_text="The latest retry in stages: state, stage, numbers; or null.")

    class Meta(FailureRow.Meta):
        fields = (*FailureRow.Meta.fields, "trend", "tasks", "workers", "retry")
        read_only_fields = fields

    def get_trend(self, group: FailureGroup) -> list[int]:
        """Return the numbers of the last days."""
        return failures.trend([group])[group.pk]

    def get_tasks(self, group: FailureGroup) -> dict[str, int]:
        """Return the tasks that fail so."""
        return dict(failures.shares(group, "task"))

    def get_workers(self, group: FailureGroup) -> dict[str, int]:
        """Return the workers on which they do."""
        return dict(failures.shares(group, "worker"))

    def get_retry(self, group: FailureGroup) -> dict[str, Any] | None:
        """Return the latest retry in stages."""
        return staged_retries.shown(staged_retries.latest(group.pk))


class FailureAction(serializers.Serializer[Any]):
    """What is done with a cause."""

    action = serializers.ChoiceField(choices=failure_actions.ACTIONS)
    assignee = serializers.CharField(required=False, allow_blank=True, max_length=150, help_text="Empty: no one.")
    reason = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class FailureDone(serializers.Serializer[Any]):
    """What came of it."""

    said = serializers.CharField()
    failure = FailureRow()


def _found(request: Request, group_id: str) -> FailureGroup:
    rows = FailureGroup.objects.visible_to(person(request)).select_related("assigned_to")
    if (group := rows.filter(pk=group_id).first()) is None:
        raise Http404("There is no such cause of failures.")
    return group


class FailureList(ApiView):
    """All causes of failures."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="list_failures", parameters=[FailureQuery], responses={200: FailurePage, **problems(400, 401, 403)}
    )
    def get(self, request: Request) -> Response:
        """List causes, the last seen first, a page at a time."""
        given = FailureQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = FailureFilter(given.validated_data, person(request))
        address = reverse("jobroom:api:failures") + found.next_link if found.next_link else None
        return Response({"next": address, "results": FailureRow(found.rows, many=True).data})


class FailureView(ApiView):
    """One cause."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="show_failure", responses={200: FailureDetail, **problems(401, 403, 404)})
    def get(self, request: Request, group_id: str) -> Response:
        """Show a cause with its trend, tasks and workers."""
        return Response(FailureDetail(_found(request, group_id)).data)


class FailureAct(ApiView):
    """What people do with a cause."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="act_on_failure",
        request=FailureAction,
        responses={200: FailureDone, **problems(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request, group_id: str) -> Response:
        """Mute, resolve, reopen or assign it, retry its jobs in stages, or stop that."""
        group = _found(request, group_id)
        failure_actions.check(person(request))
        given = FailureAction(data=request.data)
        given.is_valid(raise_exception=True)
        said = failure_actions.act(group=group, by=person(request), **given.validated_data)
        return Response(FailureDone({"said": said, "failure": group}).data)
