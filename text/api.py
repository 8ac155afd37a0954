"""The versions of the spam model over REST: list, show, promote, roll back."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobroom.jobs.api.pagination import NumberedCursor
from jobroom.jobs.api.preconditions import IF_MATCH, etag, named
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.exceptions import Changed, NotNow
from text import policies, registry
from text.exceptions import ModelChanged, TextFailed
from text.models import SpamModel
from text.querysets import SpamModelQuerySet
from text.serializers import SpamModelSerializer


class NewestFirst(NumberedCursor):
    """Pages of versions, newest first, never counted."""

    ordering = "-version"


class ModelList(ListAPIView[SpamModel]):
    """The versions that the caller may see, newest first."""

    serializer_class = SpamModelSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> SpamModelQuerySet:
        """Return what the caller may see."""
        return _visible(self.request)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with the version that works as `ETag`."""
        answer = super().list(request, *args, **kwargs)
        answer["ETag"] = etag(registry.promoted())
        return answer


class ModelDetail(RetrieveAPIView[SpamModel]):
    """One version; 404 for who may see none."""

    serializer_class = SpamModelSerializer
    lookup_field = "version"

    def get_queryset(self) -> SpamModelQuerySet:
        """Return what the caller may see."""
        return _visible(self.request)


class Promote(APIView):
    """The version that works."""

    @extend_schema(
        request=None, parameters=[IF_MATCH], responses={200: SpamModelSerializer, **problems(401, 403, 404, 409, 412)}
    )
    def post(self, request: Request, version: int) -> Response:
        """Let a version work; the next job uses it. The list's ETag, as `If-Match`, keeps it from undoing another's choice."""
        found = get_object_or_404(_visible(request), version=version)
        _check(request)
        try:
            row = registry.promote(number=found.version, by=person(request), instead_of=named(request))
        except ModelChanged as changed:
            raise Changed(str(changed)) from changed
        except TextFailed as failed:
            raise NotNow(str(failed)) from failed
        return Response(SpamModelSerializer(row).data)


class RollBack(APIView):
    """The version that worked before."""

    @extend_schema(
        request=None, parameters=[IF_MATCH], responses={200: SpamModelSerializer, **problems(401, 403, 409, 412)}
    )
    def post(self, request: Request) -> Response:
        """Let the version work that did before; 409 when there was none."""
        _check(request)
        try:
            row = registry.roll_back(by=person(request), instead_of=named(request))
        except ModelChanged as changed:
            raise Changed(str(changed)) from changed
        except TextFailed as failed:
            raise NotNow(str(failed)) from failed
        return Response(SpamModelSerializer(row).data)


def _check(request: Request) -> None:
    if not policies.may_promote(request.user):
        raise PermissionDenied("This needs the permission “Can promote and roll back spam models”.")


def _visible(request: Request) -> SpamModelQuerySet:
    return SpamModel.objects.visible_to(request.user).select_related("created_by", "promoted_by")
