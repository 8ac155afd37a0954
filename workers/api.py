"""The API's view of workers."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs.serializers import Problem
from workers.overview import overview
from workers.serializers import WorkerData

_PROBLEM = OpenApiResponse(Problem, description="A problem (application/problem+json).")


class WorkerList(APIView):
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
