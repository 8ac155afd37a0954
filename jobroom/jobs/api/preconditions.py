"""Requests that name what they have read: `ETag` in the answer, `If-Match` in what writes (RFC 9110, 13.1.1)."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from jobroom.jobs.exceptions import Changed

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of what was read; when it has changed since, nothing is written and the answer is 412.",
)


def etag(version: object) -> str:
    """Return a version as the header has it."""
    return f'"{version}"'


def named(request: Request) -> str | None:
    """Return the version that the request names; None where it names none, or any (`*`)."""
    given = request.headers.get("If-Match", "").strip()
    return None if given in ("", "*") else given.removeprefix("W/").strip('"')


def check(request: Request, version: object, what: str) -> None:
    """Raise Changed when the request names another version of `what` than the present one."""
    given = named(request)
    if given is not None and given != str(version):
        raise Changed(f"{what} has changed since you read it, and is {etag(version)} now. Read it again, and decide.")
