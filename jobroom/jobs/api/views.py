"""Tasks, files and tokens over REST."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from drf_spectacular.views import SpectacularAPIView
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from jobroom.arguments import schema_of
from jobroom.jobs import catalogue, files, policies
from jobroom.jobs.api.base import ApiView, Problems
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.exceptions import UnknownTask
from jobroom.jobs.gate import default_queue, task_for
from jobroom.jobs.models import ApiToken
from jobroom.jobs.serializers import FileRow, NewToken, Problem, TaskDetail, TaskRow, TokenRow, Upload
from jobroom.jobs.tokens import new_token
from jobroom.live import access
from jobroom.users import User

PROBLEM = OpenApiResponse(Problem, description="A problem (application/problem+json).")


def problems(*codes: int) -> dict[Any, Any]:
    """Return the descriptions of the problems that a view may answer with."""
    return {(code, "application/problem+json"): PROBLEM for code in codes}


def person(request: Request) -> User:
    """Return who asks; the permission classes have seen to it that it is someone."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101 — says to the type checker what IsAuthenticated says
    return user


class TaskList(ApiView):
    """The catalogue."""

    @extend_schema(operation_id="list_tasks", responses={200: TaskRow(many=True), **problems(401)})
    def get(self, request: Request) -> Response:
        """List the tasks that the person may launch, or whose jobs the person may see."""
        user = person(request)
        entries: Any = [entry for entry in catalogue.entries() if policies.may_know_of(user, entry.name)]
        return Response(TaskRow(entries, many=True, context={"user": person(request)}).data)


class TaskView(ApiView):
    """One task."""

    @extend_schema(operation_id="show_task", responses={200: TaskDetail, **problems(401, 404)})
    def get(self, request: Request, name: str) -> Response:
        """Show a task with the JSON Schema of its arguments."""
        try:
            task = task_for(name, person(request))
        except UnknownTask as error:
            raise Http404(str(error)) from error
        found: Any = catalogue.entry(name)
        described = dict(TaskRow(found, context={"user": person(request)}).data)
        described["description"] = found.details
        described["queues"] = policies.queues_for(person(request), name, default_queue(task))
        described["arguments"] = schema_of(task).json_schema()
        return Response(described)


class FileList(ApiView):
    """Uploads."""

    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="upload_file",
        request={"multipart/form-data": Upload},
        responses={201: FileRow, **problems(400, 401, 403, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Keep a file, to name its id as an argument."""
        given = Upload(data=request.data)
        given.is_valid(raise_exception=True)
        stored = files.store(given.validated_data["file"], person(request))
        return Response(FileRow(stored).data, status=status.HTTP_201_CREATED)


class FileView(ApiView):
    """One file."""

    @extend_schema(
        operation_id="download_file",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, **problems(401, 404)},
    )
    def get(self, request: Request, file_id: UUID) -> Any:
        """Download the content of a file."""
        return files.answer(request._request, files.visible(file_id, person(request)))


class TokenList(ApiView):
    """One's own API tokens."""

    @extend_schema(operation_id="list_api_tokens", responses={200: TokenRow(many=True), **problems(401)})
    def get(self, request: Request) -> Response:
        """List one's API tokens."""
        return Response(TokenRow(ApiToken.objects.filter(user=person(request)).order_by("-pk"), many=True).data)

    @extend_schema(
        operation_id="make_api_token", request=TokenRow, responses={201: NewToken, **problems(400, 401, 403, 413, 415)}
    )
    def post(self, request: Request) -> Response:
        """Make an API token; its text is in this answer and never shown again."""
        given = TokenRow(data=request.data)
        given.is_valid(raise_exception=True)
        token, text = new_token(person(request), given.validated_data["name"])
        return Response({**TokenRow(token).data, "token": text}, status=status.HTTP_201_CREATED)


class TokenView(ApiView):
    """One of one's API tokens."""

    @extend_schema(
        operation_id="revoke_api_token",
        request=None,
        responses={204: OpenApiResponse(description="It is revoked."), **problems(401, 403, 404)},
    )
    def delete(self, request: Request, token_id: int) -> Response:
        """Revoke an API token at once."""
        mine = (
            ApiToken.objects.filter(user=person(request), pk=token_id) if token_id < 2**63 else ApiToken.objects.none()
        )
        if not mine.exists():
            raise Http404("You have no such token.")
        mine.filter(revoked_at=None).update(revoked_at=timezone.now())
        access.changed(person(request).pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TokenObtain(Problems, TokenObtainPairView):
    """Exchange name and password for a pair of JSON Web Tokens."""


class TokenRefresh(Problems, TokenRefreshView):
    """Exchange a refresh token for a new access token."""


class _Described(SchemaGenerator):
    """Leaves out views of the project that drf-spectacular cannot describe."""

    def _get_paths_and_endpoints(self) -> list[tuple[str, str, str, Any]]:
        found = super()._get_paths_and_endpoints()  # type: ignore[no-untyped-call]
        return [one for one in found if isinstance(one[3].schema, AutoSchema)]


class Schema(SpectacularAPIView):
    """The OpenAPI description of the API."""

    authentication_classes = ()
    permission_classes = ()
    schema = None  # does not describe itself
    generator_class = _Described
