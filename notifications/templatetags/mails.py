"""How the states of mails look."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from notifications.models import Outcome, State

register = template.Library()

# The looks of jobs, whose icons and colours the eye knows already.
_LOOKS = {
    State.WAITING: "queued",
    State.SENDING: "running",
    State.SENT: "succeeded",
    State.FAILED: "failed",
    State.UNKNOWN: "lost",
    State.STOPPED: "cancelled",
    Outcome.LATER: "retrying",
    Outcome.ASKED: "retrying",
}


@register.simple_tag
def mail_state(value: str) -> SafeString:
    """Return the badge of a mail's state: an icon and the word, never colour alone."""
    return _badge(_LOOKS[State(value)], State(value).label)


@register.simple_tag
def attempt_outcome(value: str) -> SafeString:
    """Return the badge of an attempt's outcome."""
    return _badge(_LOOKS[value if value in _LOOKS else State(value)], Outcome(value).label)  # type: ignore[index]


def _badge(look: str, label: str) -> SafeString:
    return format_html(
        '<span class="state state-{0}"><svg class="icon" aria-hidden="true"><use href="#icon-{0}"/></svg>{1}</span>',
        look,
        label,
    )
