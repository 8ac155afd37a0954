"""Template tags for the states of mails."""

from django import template
from django.utils.safestring import SafeString

from jobroom.notifications.models import Outcome, State
from jobroom.ui.badges import badge

register = template.Library()

# The looks of jobs, whose icons and colours the eye knows already.
_LOOKS = {
    State.WAITING: "queued",
    State.SENDING: "running",
    State.SENT: "succeeded",
    State.FAILED: "failed",
    State.UNKNOWN: "lost",
    State.STOPPED: "cancelled",
    State.NOBODY: "skipped",
    Outcome.LATER: "retrying",
    Outcome.ASKED: "retrying",
}


@register.simple_tag
def mail_state(value: str) -> SafeString:
    """Return the badge of a mail's state: an icon and the word, never colour alone."""
    return badge(State(value).label, colour=_LOOKS[State(value)])


@register.simple_tag
def attempt_outcome(value: str) -> SafeString:
    """Return the badge of an attempt's outcome."""
    return badge(Outcome(value).label, colour=_LOOKS[value if value in _LOOKS else State(value)])  # type: ignore[index]
