"""Template tags for the states of workers and resources."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.safestring import SafeString

from jobroom import health
from jobroom.ui.badges import badge

register = template.Library()
register.simple_tag(health.celery_command)

# State → icon, colour (a job's state that means as much), word.
_LOOKS = {
    "alive": ("succeeded", "running", "Alive"),
    "starting": ("scheduled", "queued", "Starting"),
    "silent": ("lost", "lost", "Silent"),
    "stuck": ("failed", "failed", "Stuck"),
    "quiet": ("paused", "retrying", "Quiet"),
    "ready": ("succeeded", "running", "Ready"),
    "loading": ("scheduled", "queued", "Loading"),
    "waiting": ("queued", "retrying", "Waiting"),
    "failed": ("failed", "failed", "Failed"),
    "unloaded": ("skipped", "skipped", "Unloaded"),
    "unknown": ("lost", "lost", "Unknown"),
    "error": ("failed", "failed", "Error"),
    "warning": ("lost", "retrying", "Warning"),
}


@register.filter
def of(found: Mapping[str, list[Any]] | None, name: str) -> list[Any]:
    """Return what a mapping has under a name, nothing where it has none."""
    return (found or {}).get(name, [])


@register.simple_tag
def worker_state(value: str) -> SafeString:
    """Return the badge of a worker's or a resource's state: an icon and the word, never colour alone."""
    icon, colour, word = _LOOKS[value]
    return badge(word, colour=colour, icon=icon)
