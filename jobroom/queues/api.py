"""Queues, messages, pauses and locks over REST: for staff, and changed by those who have the right to."""

from collections.abc import Callable, Sequence
from typing import Any

from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.permissions import BasePermission, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.queues import broker, held_locks, limits, operations, pauses, policies, queue_rows
from jobroom.queues.decoded import decode
from jobroom.queues.exceptions import NotKnowable, NotThere, Refused
from jobroom.queues.models import Pause
from jobroom.queues.serializers import (
    ActOnMessage,
    BreakRequest,
    Done,
    FreeRequest,
    LimitData,
    LockData,
    MessageData,
    MoveRequest,
    NextRequest,
    PageQuery,
    PauseData,
    PauseName,
    PauseRequest,
    Preview,
    PurgeRequest,
    QueueData,
)
from jobroom.queues.views.base import NEEDS
from jobroom.queues.views.queues import PAGE


class _MayOperate(BasePermission):
    """Lets staff look, and those with the right act."""

    message = NEEDS

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the person may do what the method says."""
        method = str(request.method)
        if method in {"GET", "HEAD", "OPTIONS"} or not hasattr(view, method.lower()):
            return policies.may_see(request.user)  # a method that the address does not take is answered as such
        return policies.may_operate(request.user)


class _Conflict(APIException):
    """It cannot be done now; the detail says why."""

    status_code = status.HTTP_409_CONFLICT


class _Away(APIException):
    """The broker or Redis does not answer."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The broker or Redis does not answer, so this cannot be done now. Try again in a minute."


class OperatorView(ApiView):
    """A view of the operator."""

    permission_classes: Sequence[type[BasePermission]] = (IsAdminUser, _MayOperate)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer our own errors as problems."""
        if isinstance(exc, Refused):
            exc = ValidationError({exc.field: [str(exc)]})
        elif isinstance(exc, NotThere):
            exc = NotFound(str(exc))
        elif isinstance(exc, NotKnowable):
            exc = _Conflict(str(exc))
        elif isinstance(exc, broker.AWAY):
            exc = _Away()
        return super().handle_exception(exc)


def _given(kind: type[serializers.Serializer[Any]], data: Any) -> Any:
    given = kind(data=data)
    given.is_valid(raise_exception=True)
    return given.validated_data


class QueueList(OperatorView):
    """All queues."""

    @extend_schema(operation_id="list_queues", responses={200: QueueData(many=True), **problems(401, 403, 503)})
    def get(self, request: Request) -> Response:
        """List every queue: what waits, since when, who takes it, and when it should be empty."""
        return Response(QueueData(queue_rows.rows(), many=True).data)


class MessageList(OperatorView):
    """The messages of one queue."""

    @extend_schema(
        operation_id="list_messages",
        parameters=[PageQuery],
        responses={200: MessageData(many=True), **problems(400, 401, 403, 409, 503)},
    )
    def get(self, request: Request, name: str) -> Response:
        """List fifty messages, the next one first."""
        given = _given(PageQuery, request.query_params)
        with broker.queues() as found:
            shown = [decode(stored) for stored in found.page(name, given["start"], PAGE)]
        return Response(MessageData(shown, many=True).data)

    @extend_schema(
        operation_id="act_on_message",
        request=ActOnMessage,
        responses={200: Done, **problems(400, 401, 403, 404, 409, 503)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Delete or move one message, or put it to the front or the back."""
        given = _given(ActOnMessage, request.data)
        kind, position, digest = given["action"], given["position"], given["digest"]
        said = operations.act_on_one(
            kind,
            name,
            position,
            digest,
            by=person(request).get_username(),
            reason=given["reason"],
            target=given["target"],
        )
        return Response({"detail": said})


def _many(name: str, given: Any, do: Callable[[list[int]], str]) -> Response:
    """Answer how many there are, or do it when the request has said how many."""
    if given.get("counts") is None:
        counts = operations.preview(name)
        return Response({"counts": counts, "number": sum(counts)})
    return Response({"detail": do(given["counts"])})


class Purge(OperatorView):
    """Removes all messages of a queue."""

    @extend_schema(
        operation_id="purge_queue",
        request=PurgeRequest,
        responses={200: Preview, **problems(400, 401, 403, 409, 503)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Say how many there are; with `counts`, remove so many, the oldest first. Their jobs end as cancelled."""
        given, by = _given(PurgeRequest, request.data), person(request).get_username()
        return _many(name, given, lambda counts: operations.purge(name, counts, by=by, reason=given["reason"]))


class Move(OperatorView):
    """Moves all messages of a queue to another one."""

    @extend_schema(
        operation_id="move_messages",
        request=MoveRequest,
        responses={200: Preview, **problems(400, 401, 403, 409, 503)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Say how many there are; with `counts`, move so many, the oldest first."""
        given, by = _given(MoveRequest, request.data), person(request).get_username()

        def do(counts: list[int]) -> str:
            return operations.move(name, given["target"], counts, by=by, reason=given["reason"])

        return _many(name, given, do)


class PauseList(OperatorView):
    """What is paused."""

    @extend_schema(operation_id="list_pauses", responses={200: PauseData(many=True), **problems(401, 403)})
    def get(self, request: Request) -> Response:
        """List the queues and tasks that are paused."""
        rows = [row.as_workers_read_it for row in Pause.objects.order_by("kind", "name")]
        return Response(PauseData(rows, many=True).data)

    @extend_schema(operation_id="pause", request=PauseRequest, responses={200: Done, **problems(400, 401, 403, 503)})
    def post(self, request: Request) -> Response:
        """Pause a queue or a task, until it is resumed; workers hold it also when they are started later."""
        given = _given(PauseRequest, request.data)
        said = pauses.pause(given["kind"], given["name"], by=person(request).get_username(), reason=given["reason"])
        return Response({"detail": said})

    @extend_schema(
        operation_id="resume", parameters=[PauseName], responses={200: Done, **problems(400, 401, 403, 404, 503)}
    )
    def delete(self, request: Request) -> Response:
        """Resume a queue or a task."""
        given = _given(PauseName, request.query_params)
        return Response({"detail": pauses.resume(given["kind"], given["name"], by=person(request).get_username())})


class NextTurn(OperatorView):
    """Lets a job be the next of its limit or fair queue."""

    @extend_schema(
        operation_id="let_be_next", request=NextRequest, responses={200: Done, **problems(400, 401, 403, 404, 503)}
    )
    def post(self, request: Request) -> Response:
        """Put a job that waits for a limit or for its turn before all others."""
        given, by = _given(NextRequest, request.data), person(request).get_username()
        return Response({"detail": limits.let_be_next(given["job"], by=by, reason=given["reason"])})


class LockList(OperatorView):
    """The locks that are held."""

    @extend_schema(operation_id="list_locks", responses={200: LockData(many=True), **problems(401, 403, 503)})
    def get(self, request: Request) -> Response:
        """List the locks that are held, the oldest first."""
        return Response(LockData(held_locks.held(), many=True).data)

    @extend_schema(
        operation_id="break_lock", request=BreakRequest, responses={200: Done, **problems(400, 401, 403, 404, 503)}
    )
    def post(self, request: Request) -> Response:
        """Break a lock: take it away from its holder."""
        given = _given(BreakRequest, request.data)
        by = person(request).get_username()
        return Response({"detail": held_locks.break_lock(given["name"], by=by, reason=given["reason"])})


class LimitList(OperatorView):
    """Limits of tasks and fair queues."""

    @extend_schema(operation_id="list_limits", responses={200: LimitData(many=True), **problems(401, 403, 503)})
    def get(self, request: Request) -> Response:
        """List the limits and fair queues that a job has a place in or waits for."""
        return Response(LimitData(limits.limits(), many=True).data)

    @extend_schema(
        operation_id="free_place", request=FreeRequest, responses={200: Done, **problems(400, 401, 403, 404, 503)}
    )
    def post(self, request: Request) -> Response:
        """Take the place of a job away, so that the next one may start."""
        given = _given(FreeRequest, request.data)
        by = person(request).get_username()
        return Response({"detail": limits.free(given["name"], given["job"], by=by, reason=given["reason"])})
