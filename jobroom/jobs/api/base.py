"""The base of all API views, independent of the project's own `REST_FRAMEWORK` settings."""

from collections.abc import Callable, Sequence
from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.views import APIView

from jobroom.jobs.api import problems
from jobroom.jobs.api.parsers import BoundedJSONParser
from jobroom.jobs.authentication import ApiTokenAuthentication, WebTokenAuthentication


class Problems(APIView):
    """A view whose errors are `application/problem+json`, and which reads and writes JSON alone."""

    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    parser_classes: Sequence[type[BaseParser]] = (BoundedJSONParser,)
    schema = AutoSchema()

    def get_exception_handler(self) -> Callable[..., Any]:
        """Return ours."""
        return problems.handler


class ApiView(Problems):
    """A view for those who are logged in: by JSON Web Token, by API token, or by the session of a browser."""

    # The first one decides that a request without any is answered 401, and not 403.
    authentication_classes = (WebTokenAuthentication, ApiTokenAuthentication, SessionAuthentication)
    permission_classes: Sequence[type[BasePermission]] = (IsAuthenticated,)
