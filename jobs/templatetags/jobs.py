"""How states, times and values look on every page."""

import functools
import inspect
import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.template.defaultfilters import truncatechars
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

from jobs import control, history
from jobs.models import Job, State

register = template.Library()
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")

# Longest text of a value on a page, in characters.
LONGEST = 20_000


@register.simple_tag
@functools.cache  # ten texts, a hundred times a page
def state(value: str) -> SafeString:
    """Return the badge of a state: an icon and the word, never colour alone."""
    known = State(value)
    return format_html(
        '<span class="state state-{0}"><svg class="icon" aria-hidden="true"><use href="#icon-{0}"/></svg>{1}</span>',
        known.value,
        known.label,
    )


@register.simple_tag
@functools.cache
def outcome_mark(value: str) -> SafeString:
    """Return the icon of a state alone, with its word for those who do not see it."""
    known = State(value)
    return format_html(
        '<span class="state state-{0}"><svg class="icon" role="img" aria-label="{1}"><use href="#icon-{0}"/></svg></span>',
        known.value,
        known.label,
    )


@register.simple_tag
def about(job: Any) -> SafeString:
    """Return what a row says of the job beside its task: its label, and why it failed, what it waits for or is doing."""
    # One call for what would be ten conditions of a template, fifty times a page.
    waiting = job.waiting
    if not job.readable:
        return _hint(f"of {job.owner or 'nobody'}{f' · {waiting.short}' if waiting else ''}")
    label = format_html('<span class="label">{}</span> ', job.label) if job.label else SafeString("")
    return label + _remark(job, waiting)


def _remark(job: Job, waiting: Any) -> SafeString:
    if job.error:
        return format_html('<span class="error-line">{}</span>', truncatechars(job.error, 160))
    if job.lock:
        return _hint(f"waits for the lock {job.lock}")
    if job.is_following:
        return _hint("waits for another job, which computes the same")
    if waiting:
        kind = "error-line" if waiting.unserved else "hint-line"
        return format_html('<span class="{}">{}</span>', kind, waiting.short)
    message = job.progress.get("message") if job.state == State.RUNNING and job.progress else None
    if message:
        return format_html('<span class="hint-line" data-progress-text-of="job:{}">{}</span>', job.pk, message)
    return SafeString("")


def _hint(text: str) -> SafeString:
    return format_html('<span class="hint-line">{}</span>', text)


@register.simple_tag(takes_context=True)
def why_not(context: template.Context, action: str, job: Job) -> str:
    """Return why the person who looks cannot `cancel`, `retry` or `note` the job; empty if nothing is against it."""
    ask = {"cancel": control.why_not_cancel, "retry": control.why_not_retry, "note": control.why_not_note}[action]
    return ask(job, context["request"].user)


@register.simple_tag
def expected(job: Job) -> str:
    """Return when the running job should end, by its own progress or by what earlier jobs took; empty if unknown."""
    seconds = history.remaining(job)
    return "" if seconds is None else f"about {_short(seconds)} left" if seconds > 0 else "should end any moment"


@register.simple_tag
def ago(at: datetime | None) -> SafeString:
    """Return a moment as a time relative to now; the browser keeps it up to date."""
    if at is None:
        return SafeString('<span class="none">—</span>')
    seconds = (timezone.now() - at).total_seconds()
    text = f"{_short(abs(seconds))} ago" if seconds >= 0 else f"in {_short(-seconds)}"
    # Not by format_html: nothing of a moment needs to be escaped, and a page has a hundred.
    local = at.astimezone(timezone.get_default_timezone())
    return SafeString(f'<time datetime="{at.isoformat()}" title="{local:%Y-%m-%d %H:%M:%S %Z}" data-ago>{text}</time>')


@register.simple_tag
def clock(at: datetime | None) -> SafeString:
    """Return a moment as date and time to the second."""
    if at is None:
        return SafeString('<span class="none">—</span>')
    local = timezone.localtime(at)
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), local.strftime("%Y-%m-%d %H:%M:%S"))


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Return a duration in the two largest units, with milliseconds where it is short."""
    if value is None:
        return "—"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 60 else _short(seconds)


@register.filter
def between(end: datetime | None, start: datetime | None) -> timedelta | None:
    """Return the time from `start` to `end`, None when one is not known."""
    return max(end - start, timedelta()) if start and end else None


@register.filter
def pretty(value: Any) -> str:
    """Return a JSON value over several lines."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


@register.filter
@functools.lru_cache(maxsize=512)  # the catalogue shows the same hundred texts each time
def prose(text: str) -> SafeString:
    """Return a description, written in Markdown, as HTML; HTML in it is shown as text."""
    return SafeString(_markdown.render(inspect.cleandoc(text)))  # the renderer escapes everything that it is given


@register.filter
def percent(fraction: float | None) -> str:
    """Return a share of 1 in whole percent."""
    return "" if fraction is None else f"{min(1.0, max(0.0, fraction)):.0%}"


@register.filter
def bar(fraction: float | None) -> SafeString:
    """Return the bar of a running job, which messages of its topic move; without a share it only says that it runs."""
    value = SafeString("") if fraction is None else format_html(' value="{}"', f"{fraction:.3f}")
    return format_html(
        '<progress data-progress max="1"{}>{}</progress> <span data-progress-share>{}</span>',
        value, percent(fraction), percent(fraction),
    )  # fmt: skip


def _short(seconds: float) -> str:
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60)} s" if minutes < 10 else f"{int(minutes)} min"
    if hours < 24:
        return f"{int(hours)} h {int(minutes % 60)} min"
    return f"{int(days)} d {int(hours % 24)} h" if days < 10 else f"{int(days)} d"
