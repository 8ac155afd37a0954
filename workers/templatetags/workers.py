"""How the states of workers and resources look."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# State → icon, colour (a job's state that means as much), word.
_LOOKS = {
    "alive": ("succeeded", "running", "Alive"),
    "starting": ("scheduled", "queued", "Starting"),
    "silent": ("lost", "lost", "Silent"),
    "ready": ("succeeded", "running", "Ready"),
    "loading": ("scheduled", "queued", "Loading"),
    "waiting": ("queued", "retrying", "Waiting"),
    "failed": ("failed", "failed", "Failed"),
    "unloaded": ("skipped", "skipped", "Unloaded"),
    "unknown": ("lost", "lost", "Unknown"),
}


@register.simple_tag
def worker_state(value: str) -> SafeString:
    """Return the badge of a worker's or a resource's state: an icon and the word, never colour alone."""
    icon, colour, word = _LOOKS[value]
    return format_html(
        '<span class="state state-{}"><svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>{}</span>',
        colour,
        icon,
        word,
    )
