"""Errors as `application/problem+json` (RFC 9457), with the fields that are wrong named in `errors`."""

import logging
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from jobroom import exhaustion, redis
from jobroom.arguments import WrongArguments
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.exceptions import Changed, NotAllowed, NotNow, NotOpen, SecretsNotKept, TooLarge, UnknownTask
from jobroom.limits import TooMany
from jobroom.web.cursors import REMEDY, WrongCursor

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
_STATUS: list[tuple[type[Exception], HTTPStatus]] = [
    (WrongArguments, HTTPStatus.BAD_REQUEST),
    (WrongCursor, HTTPStatus.BAD_REQUEST),
    (NotOpen, HTTPStatus.FORBIDDEN),  # before what it is one of
    (UnknownTask, HTTPStatus.BAD_REQUEST),
    (RequestDataTooBig, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (SuspiciousOperation, HTTPStatus.BAD_REQUEST),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (TooMany, HTTPStatus.TOO_MANY_REQUESTS),
    (Changed, HTTPStatus.PRECONDITION_FAILED),
    (NotNow, HTTPStatus.CONFLICT),
    (SecretsNotKept, HTTPStatus.CONFLICT),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (RedisUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (redis.Error, HTTPStatus.SERVICE_UNAVAILABLE),
    (OperationalError, HTTPStatus.SERVICE_UNAVAILABLE),
]
UPLOAD = "Upload files at /api/files/ and name their ids."


def body(status: int, detail: str, errors: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """Return the problem as the RFC has it."""
    found = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return {**found, "errors": errors} if errors else found


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into a problem; None for what no one expected, which Django then logs."""
    answer = exception_handler(error, context)
    if answer is not None:
        errors = _fields(answer.data) if isinstance(error, ValidationError) else None
        detail = "Some fields are wrong." if errors else str(answer.data.get("detail", ""))
        return _response(body(answer.status_code, detail, errors), dict(answer.items()))
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
    if status is None or (isinstance(error, OperationalError) and not exhaustion.is_busy(error)):
        return None
    if isinstance(error, WrongArguments):
        return _response(body(status, "Some fields are wrong.", error.errors))
    if isinstance(error, WrongCursor):
        return _response(body(status, "Some fields are wrong.", {error.name: [REMEDY]}))
    if isinstance(error, UnknownTask):
        return _response(body(status, str(error), {"task": [str(error)]}))
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else None
    return _response(body(status, _said(error, status)), headers)


def _said(error: Exception, status: HTTPStatus) -> str:
    if status == HTTPStatus.SERVICE_UNAVAILABLE and (sentence := exhaustion.sentence(error)):
        logger.error("A server without room refused a request of the API: %s", error)
        return f"This cannot be done now. {sentence}"
    if isinstance(error, OperationalError):
        logger.error("The database refused a request of the API", exc_info=error)
        return "The database is busy or does not answer, so this cannot be done now. Try again in a minute."
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "Redis does not answer, so this cannot be done now. Try again in a minute."
    if isinstance(error, RequestDataTooBig):
        return f"The body is too large: at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes. {UPLOAD}"
    return str(error)


def _response(data: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    kept = {name: value for name, value in (headers or {}).items() if name in {"WWW-Authenticate", "Retry-After"}}
    return Response(data, status=data["status"], headers=kept, content_type=CONTENT_TYPE)


def _fields(data: Any) -> dict[str, list[str]]:
    """Return the errors of each field as texts; those of something inside a field say where."""
    if not isinstance(data, dict):
        return {"request": _texts(data)}
    return {str(name): _texts(value) for name, value in data.items()}


def _texts(value: Any, where: str = "") -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in _texts(item, f"{where}{key}: ")]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item, where)]
    return [f"{where}{value}"]


@csrf_exempt  # it does nothing, and says so in JSON
def not_found(request: HttpRequest) -> JsonResponse:
    """Answer an address below /api/ that there is not."""
    detail = "There is no such address. All of them end in a slash; /api/schema/ lists them."
    return JsonResponse(body(404, detail), status=404, content_type=CONTENT_TYPE)
