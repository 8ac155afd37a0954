"""Template tags for the states of queues."""

from django import template
from django.utils.safestring import SafeString

from jobroom.ui.badges import badge

register = template.Library()

# State → icon, colour (a job's state that means as much), word.
_LOOKS = {
    "unserved": ("failed", "failed", "No worker"),
    "stuck": ("failed", "failed", "Stuck"),
    "paused": ("paused", "retrying", "Paused"),
    "resource": ("waiting", "retrying", "Waits"),
    "idle": ("skipped", "skipped", "Idle"),
    "served": ("succeeded", "running", "Served"),
}


@register.simple_tag
def queue_state(value: str) -> SafeString:
    """Return the badge of a queue's state: an icon and the word, never colour alone."""
    icon, colour, word = _LOOKS[value]
    return badge(word, colour=colour, icon=icon)


@register.filter
def per_minute(value: float | None) -> str:
    """Return a rate as text, a dash where that is unknown it."""
    if value is None:
        return "—"
    return f"{value:,.0f}/min" if value >= 10 or value == 0 else f"{value:.1f}/min"


@register.filter
def grouped(value: int | None) -> str:
    """Return a number with its thousands apart."""
    return "—" if value is None else f"{value:,}"
