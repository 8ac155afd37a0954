"""Dead letters over REST, for staff: which there are, running their jobs again, and deleting them."""

from typing import Any

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers, status
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.web.cursors import GREATEST
from jobroom.workers import dead_letter_actions
from jobroom.workers.dead_letter_list import KINDS, DeadLetterFilter
from jobroom.workers.models import DeadLetter


class DeadLetterQuery(serializers.Serializer[Any]):
    """Which dead letters are listed. What is not named is not looked at."""

    kind = serializers.ChoiceField(choices=list(KINDS.items()), required=False)
    q = serializers.CharField(max_length=255, required=False, help_text="A part of the task's name, or a job's id.")
    before = serializers.IntegerField(
        min_value=1, max_value=GREATEST, required=False, help_text="From `next` of the page before."
    )


class DeadLetterRow(serializers.ModelSerializer[DeadLetter]):
    """A message that no worker could run."""

    class Meta:
        model = DeadLetter
        fields: tuple[str, ...] = ("id", "at", "job_id", "task", "queue", "worker", "kind", "reason", "size")
        read_only_fields: tuple[str, ...] = fields


class DeadLetterDetail(DeadLetterRow):
    """One of them, with the beginning and the end of the message."""

    class Meta(DeadLetterRow.Meta):
        fields = (*DeadLetterRow.Meta.fields, "head")
        read_only_fields = fields


class DeadLetterPage(serializers.Serializer[Any]):
    """A page of dead letters."""

    next = serializers.CharField(allow_null=True, help_text="Address of the next page.")
    results = DeadLetterRow(many=True)


class Requeued(serializers.Serializer[Any]):
    """What happened."""

    detail = serializers.CharField()


def _dead_letter(request: Request, dead_letter_id: int) -> DeadLetter:
    visible = DeadLetter.objects.visible_to(person(request))
    found = visible.filter(pk=dead_letter_id).first() if dead_letter_id <= GREATEST else None
    if found is None:
        raise Http404("There is no such dead letter.")
    return found


class DeadLetterList(ApiView):
    """All dead letters that are kept."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="list_dead_letters",
        parameters=[DeadLetterQuery],
        responses={200: DeadLetterPage, **problems(400, 401, 403)},
    )
    def get(self, request: Request) -> Response:
        """List dead letters, newest first, a page at a time."""
        given = DeadLetterQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = DeadLetterFilter({name: str(value) for name, value in given.validated_data.items()}, person(request))
        address = reverse("jobroom:workers:api-dead-letters") + found.next_link if found.next_link else None
        return Response({"next": address, "results": DeadLetterRow(found.rows, many=True).data})


class DeadLetterView(ApiView):
    """One dead letter."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="show_dead_letter", responses={200: DeadLetterDetail, **problems(401, 403, 404)})
    def get(self, request: Request, dead_letter_id: int) -> Response:
        """Show a dead letter with the beginning and the end of its message."""
        return Response(DeadLetterDetail(_dead_letter(request, dead_letter_id)).data)

    @extend_schema(
        operation_id="delete_dead_letter",
        request=None,
        responses={204: OpenApiResponse(description="It is off the list; its job stays."), **problems(401, 403, 404)},
    )
    def delete(self, request: Request, dead_letter_id: int) -> Response:
        """Strike a dead letter off the list."""
        dead_letter_actions.delete(_dead_letter(request, dead_letter_id), person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RequeueDeadLetter(ApiView):
    """Runs the job of a dead letter again."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="requeue_dead_letter",
        request=None,
        responses={200: Requeued, **problems(400, 401, 403, 404, 409, 429)},
    )
    def post(self, request: Request, dead_letter_id: int) -> Response:
        """Run the job of a dead letter again, under the same id, and strike the dead letter off the list."""
        dead_letter_actions.requeue(_dead_letter(request, dead_letter_id), person(request))
        return Response({"detail": "Sent again. It runs as a new attempt of the same job."})
