"""The check of waiting messages against the running code, as page and over REST."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import problems
from jobroom.queues.compatibility import KINDS, check_waiting
from jobroom.web.staff import staff_only

# So long a request looks at each kind of what waits.
SECONDS = 1.0


@staff_only
@never_cache
@require_safe
def waiting_page(request: HttpRequest) -> HttpResponse:
    """Show what waits and does not fit its task."""
    context = {"found": check_waiting(seconds=SECONDS), "rendered_at": timezone.now()}
    return render(request, "jobroom/queues/waiting.html", context)


class MisfitData(serializers.Serializer[object]):
    """One trouble, and how many have it."""

    kind = serializers.ChoiceField(list(KINDS))
    task = serializers.CharField()
    problem = serializers.CharField()
    count = serializers.IntegerField()
    examples = serializers.ListField(child=serializers.CharField(), help_text="Ids or names of the first.")


class WaitingData(serializers.Serializer[object]):
    """What was looked at, and what of it does not fit."""

    looked_at = serializers.DictField(child=serializers.IntegerField())
    misfits = MisfitData(many=True)
    unfinished = serializers.ListField(
        child=serializers.CharField(), help_text="Kinds of which there is more; the command looks at all."
    )


class WaitingView(ApiView):
    """What waits against the code; for staff."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="check_waiting", responses={200: WaitingData, **problems(401, 403)})
    def get(self, request: Request) -> Response:
        """Say which waiting jobs, schedules, presets, definitions and workflows do not fit the tasks."""
        return Response(WaitingData(check_waiting(seconds=SECONDS)).data)
