"""The probes for machines, and the staff's page of workers."""

import dataclasses

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from common import redis
from workers import probes
from workers.overview import overview


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that this process is up; asks nobody else."""
    return JsonResponse({"ok": True})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every part is in order, else 503; the body names each part."""
    parts = probes.ready()
    ready = all(part.ok for part in parts.values())
    body = {"ready": ready, "parts": {name: dataclasses.asdict(part) for name, part in parts.items()}}
    return JsonResponse(body, status=200 if ready else 503)


@require_safe
@staff_member_required
def workers(request: HttpRequest) -> HttpResponse:
    """Show every worker that was seen and did not say good-bye."""
    try:
        found = overview()
    except (redis.Error, OSError):
        return render(request, "workers/workers.html", {"away": True, "rendered_at": timezone.now()}, status=503)
    return render(request, "workers/workers.html", {"found": found, "rendered_at": timezone.now()})
