"""Template tags for workflows and their nodes."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobroom.jobs.number_formats import duration
from jobroom.jobs.templatetags.jobroom_jobs import ago, since
from jobroom.ui.badges import badge, mark
from jobroom.workflows import explanations, policies, progress
from jobroom.workflows.engine.keys import ENDED
from jobroom.workflows.explanations import LOOKS, ORDER, STATES, Look
from jobroom.workflows.models import State, StoredWorkflow

register = template.Library()


@register.simple_tag
def workflow_state(value: str) -> SafeString:
    """Return the badge of a workflow's state: an icon and the word, never colour alone."""
    return _badge(STATES[State(value)])


@register.simple_tag
def node_state(state: str) -> SafeString:
    """Return the badge of a node's state."""
    return _badge(LOOKS[state])


def _badge(look: Look) -> SafeString:
    return badge(look.word, colour=look.css, icon=look.icon)


@register.simple_tag
def segments(counts: dict[str, int]) -> SafeString:
    """Return the bar of a workflow: a piece for each state, as long as its share; its text says the numbers."""
    total, x = sum(counts.values()), 0.0
    parts = []
    for node_state in ORDER:
        width = 1000 * counts.get(node_state, 0) / total if total else 0
        if width:
            parts.append((LOOKS[node_state].css, f"{x:.1f}", f"{width:.1f}"))
            x += width
    return format_html(
        '<svg class="segments" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        explanations.counted(counts) or "no nodes",
        format_html_join("", '<rect class="segment state-{}" x="{}" width="{}" height="10"/>', parts),
    )


@register.simple_tag
def nodes_counted(stored: StoredWorkflow) -> dict[str, int]:
    """Return how many nodes are in which state, as the page of the workflow counts them."""
    return progress.counts_of(stored)


@register.simple_tag
def nodes_ended(counts: dict[str, int]) -> int:
    """Return how many of the counted nodes have ended."""
    return sum(number for node_state, number in counts.items() if node_state in ENDED)


@register.simple_tag
def workflow_when(stored: StoredWorkflow) -> SafeString:
    """Return the time of a workflow's row in a list, with the word for what it is of."""
    word, at = stored.moment
    return SafeString(f'<span class="when-word">{word}</span> {ago(at)}')


@register.simple_tag
def workflow_took(stored: StoredWorkflow) -> SafeString:
    """Return how long it ran; while it runs, the browser counts on."""
    if stored.started_at is not None and not stored.is_finished:
        return since(stored.started_at + stored.idle)
    return SafeString(duration(stored.runtime))


@register.filter
def counted(counts: dict[str, int]) -> str:
    """Return numbers by state in words."""
    return explanations.counted(counts)


@register.simple_tag(takes_context=True)
def why_not_workflow(context: template.Context, action: str, stored: StoredWorkflow) -> str:
    """Return why the person who looks cannot do something with the workflow; empty if nothing is against it."""
    return policies.why_not(action, context["request"].user, stored)


@register.simple_tag
def workflow_mark(value: str) -> SafeString:
    """Return the icon of a workflow's state alone, with its word for those who do not see it."""
    look = STATES[State(value)]
    return mark(look.word, colour=look.css, icon=look.icon)


@register.filter
def look_css(node_state: str) -> str:
    """Return the class of a node's state."""
    return LOOKS[node_state].css


@register.filter
def look_word(node_state: str) -> str:
    """Return the word of a node's state."""
    return LOOKS[node_state].word


@register.filter
def look_icon(node_state: str) -> str:
    """Return the icon of a node's state."""
    return LOOKS[node_state].icon


@register.simple_tag(takes_context=True)
def page_link(context: template.Context, name: str, number: int) -> str:
    """Return the query string of this page with another page of one of its lists."""
    query = context["request"].GET.copy()
    query.pop("part", None)
    query[name] = str(number)
    return f"?{query.urlencode()}"
