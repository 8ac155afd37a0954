"""Workers over REST: the list, commands to one, the doctor, the stack of a job."""

from django.http import Http404
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.models import Job
from jobroom.jobs.serializers import Problem
from jobroom.workers import acts, doctor, remote_control
from jobroom.workers.exceptions import NoSuchWorker, WrongCommand
from jobroom.workers.overview import overview
from jobroom.workers.serializers import WorkerData

_PROBLEM = OpenApiResponse(Problem, description="A problem (application/problem+json).")


class WorkerList(ApiView):
    """The workers, with their resources; for staff."""

    permission_classes = [IsAdminUser]

    @extend_schema(
        operation_id="list_workers",
        responses={
            200: WorkerData(many=True),
            **{(code, "application/problem+json"): _PROBLEM for code in (401, 403, 503)},
        },
    )
    def get(self, request: Request) -> Response:
        """List every worker that was seen and did not say good-bye."""
        return Response(WorkerData(overview().workers, many=True).data)


class FindingData(serializers.Serializer[object]):
    """What came of one check."""

    check = serializers.CharField()
    state = serializers.ChoiceField(list(doctor.STATES))
    detail = serializers.CharField(help_text="What was found; for trouble, its cause.")
    action = serializers.CharField(help_text="What to do next; empty where all is well.")


class Doctor(ApiView):
    """Everything that can be wrong; for staff."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="doctor", responses={200: FindingData(many=True), **problems(401, 403)})
    def get(self, request: Request) -> Response:
        """Run every check; the worst first."""
        return Response(FindingData(doctor.examine(), many=True).data)


class Command(serializers.Serializer[object]):
    """What a worker is asked to do."""

    worker = serializers.CharField(max_length=255, help_text="Its name, such as default@host.")
    action = serializers.ChoiceField(list(acts.WORDS))
    argument = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=255,
        help_text="A number of processes, a queue, or the worker that takes the queues over.",
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


class Answer(serializers.Serializer[object]):
    """What happened."""

    detail = serializers.CharField()


class StackData(serializers.Serializer[object]):
    """Where a job is."""

    job = serializers.CharField()
    stack = serializers.CharField()


class Control(ApiView):
    """Gives a worker a command."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="control_worker", request=Command, responses={200: Answer, **problems(400, 401, 403, 404, 503)}
    )
    def post(self, request: Request) -> Response:
        """Order a worker to be quiet, to stop, to grow or shrink, or which queues to consume; or replace a silent one."""
        by = person(request)
        if not remote_control.may_operate(by):
            raise PermissionDenied
        given = Command(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        try:
            done = acts.act(
                said["worker"], said["action"], said["argument"], by=by.get_username(), reason=said["reason"]
            )
        except NoSuchWorker as error:
            raise NotFound(str(error)) from error
        except WrongCommand as error:
            raise ValidationError({"argument": [str(error)]}) from error
        return Response({"detail": done})


class Stack(ApiView):
    """The stack of a running job."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="show_stack", responses={200: StackData, **problems(401, 403, 404, 503)})
    def get(self, request: Request, job_id: str) -> Response:
        """Show where in its code a running job is now."""
        by = person(request)
        if not remote_control.may_operate(by):
            raise PermissionDenied
        job = Job.objects.visible_to(by).filter(pk=job_id).first()
        if job is None:
            raise Http404("There is no such job.")
        try:
            return Response({"job": job.pk, "stack": remote_control.stack(job.pk)})
        except (NoSuchWorker, WrongCommand) as error:
            raise NotFound(str(error)) from error
