"""Template tags for states, times and values."""

import functools
import inspect
import json
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import template
from django.template.defaultfilters import truncatechars
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

from jobroom.arguments.redaction import hide
from jobroom.jobs import control, error_kinds, estimates, policies, task_titles, times_bar
from jobroom.jobs.models import Job, State
from jobroom.jobs.number_formats import duration, number_of, percent, short
from jobroom.ui.badges import badge, mark

register = template.Library()
register.filter(duration)
register.filter(percent)
register.filter("error_kind", error_kinds.kind_of)
register.filter("task_title", task_titles.title)
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")

# Longest text of a value on a page, in characters.
LONGEST = 20_000
# So much of one argument is shown before it is asked for: what follows on the page matters more.
UNFOLDED_LINES, UNFOLDED_CHARACTERS = 24, 2000
_COMMAND = re.compile("`([^`\n]+)`")


@register.simple_tag
@functools.cache  # ten texts, a hundred times a page
def state(value: str) -> SafeString:
    """Return the badge of a state: an icon and the word, never colour alone."""
    known = State(value)
    return badge(known.label, colour=known.value)


@register.simple_tag
def state_of(job: Any) -> SafeString:
    """Return the badge of a job's or a workflow's state; who has asked to cancel it sees that it is on its way."""
    if job.cancel_by and not job.is_finished:
        return badge("Cancelling", colour="cancelling", icon="cancelled")
    return state(job.state)


@register.simple_tag
@functools.cache
def outcome_mark(value: str) -> SafeString:
    """Return the icon of a state alone, with its word for those who do not see it."""
    known = State(value)
    return mark(known.label, colour=known.value)


@register.simple_tag
def task_name(name: str) -> SafeString:
    """Return the dotted name of a task, small, to stand beside its title; nothing where the title is the name."""
    if not name or task_titles.title(name) == name:
        return SafeString("")
    return _small(name)


@functools.lru_cache(maxsize=4096)
def _small(name: str) -> SafeString:
    return format_html('<code class="task-name">{}</code>', name)


@register.simple_tag
def about(job: Any) -> SafeString:
    """Return what a row says of the job beside its task: its label, and why it failed, what it waits for or is doing."""
    # One call for what would be ten conditions of a template, fifty times a page.
    waiting = job.waiting
    if not job.readable:
        return _hint(f"of {job.owner or 'no one'}{f' · {waiting.line}' if waiting else ''}")
    label = format_html('<span class="label">{}</span> ', job.label) if job.label else SafeString("")
    return label + _remark(job, waiting)


def _remark(job: Job, waiting: Any) -> SafeString:
    if job.error:
        return format_html('<span class="error-line">{}</span>', truncatechars(job.error, 160))
    if job.lock:
        return _hint(f"the lock {job.lock} was busy" if job.is_finished else f"waits for the lock {job.lock}")
    if job.is_following:
        return _hint("waits for another job, which computes the same")
    if waiting:
        kind = "error-line" if waiting.unserved else "hint-line"
        return format_html('<span class="{}">{}</span>', kind, waiting.line)
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


@register.simple_tag(takes_context=True)
def may_touch(context: template.Context, job: Job) -> bool:
    """Return whether the person who looks may cancel and retry the job at all."""
    return policies.may_cancel(context["request"].user, job)


# A database knows the dotted names alone: titles are the code's, and no index has them in order.
BY_NAME = "by the task's dotted name"


@register.simple_tag
def sort_head(
    heads: dict[str, tuple[str, str]], column: str, title: str, started: tuple[str, str] | None = None
) -> SafeString:
    """Return the head of a column by which the list can be sorted; that of the times sorts by launch and by start."""
    link, direction = heads[column]
    if column == "task" and direction:
        title += f", {BY_NAME}"
    parts = [_sorting(link, title if started is None else "Launched", direction)]
    if started is not None:
        parts.append(_sorting(started[0], "started", started[1]))
        direction = direction or started[1]
    kind = SafeString("") if column == "task" else SafeString(' class="number"')
    aria = format_html(' aria-sort="{}"', direction) if direction else SafeString("")
    return format_html('<th scope="col"{}{}>{}</th>', kind, aria, SafeString(" · ".join(parts)))


def _sorting(link: str, title: str, direction: str) -> SafeString:
    arrow = {"ascending": " ↑", "descending": " ↓"}.get(direction, "")
    return format_html('<a class="sorts" href="{}">{}<span aria-hidden="true">{}</span></a>', link, title, arrow)


@register.simple_tag
def bar_of_times(job: Job, attempts: Any) -> SafeString:
    """Return the times of a job as one bar."""
    return times_bar.picture(job, list(attempts))


@register.simple_tag
def expected(job: Job) -> str:
    """Return when the running job should end, by what earlier jobs took and its own pace; empty where no one can know."""
    left = estimates.remaining(job)
    if left is None:
        return ""
    low, high = left
    if high < 1:
        return "should end any moment"
    if low > 0.8 * high:
        return f"about {short(high)} left"
    return f"{short(low)} to {short(high)} left" if low >= 1 else f"at most {short(high)} left"


@register.simple_tag
def ago(at: datetime | None) -> SafeString:
    """Return a moment as a time relative to now; the browser keeps it up to date."""
    if at is None:
        return SafeString('<span class="none">—</span>')
    seconds = (timezone.now() - at).total_seconds()
    text = f"{short(abs(seconds))} ago" if seconds >= 0 else f"in {short(-seconds)}"
    # Not by format_html: nothing of a moment needs to be escaped, and a page has a hundred.
    local = timezone.localtime(at)
    return SafeString(f'<time datetime="{at.isoformat()}" title="{local:%Y-%m-%d %H:%M:%S %Z}" data-ago>{text}</time>')


@register.simple_tag
def when(job: Job) -> SafeString:
    """Return the time of a job's row in a list, with the word for what it is of."""
    word, at = job.moment
    return SafeString(f'<span class="when-word">{word}</span> {ago(at)}')


@register.simple_tag
def took(job: Job) -> SafeString:
    """Return how long the current attempt took; while it runs, the browser counts on."""
    if job.state == State.RUNNING and job.started_at is not None:
        return since(job.started_at)
    return SafeString(duration(job.runtime))  # made of numbers and units


@register.simple_tag
def since(at: datetime | None) -> SafeString:
    """Return how long ago something began that still goes on; the browser counts on."""
    if at is None:
        return SafeString("—")
    seconds = max(timezone.now() - at, timedelta())
    return SafeString(f'<span data-since="{at.isoformat()}">{duration(seconds)}</span>')


@register.simple_tag
def clock(at: datetime | None) -> SafeString:
    """Return a moment as date and time to the second."""
    if at is None:
        return SafeString('<span class="none">—</span>')
    local = timezone.localtime(at)
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), local.strftime("%Y-%m-%d %H:%M:%S"))


@register.filter
def between(end: datetime | None, start: datetime | None) -> timedelta | None:
    """Return the time from `start` to `end`, None when one is not known."""
    return max(end - start, timedelta()) if start and end else None


@register.filter
def urlquery(parts: dict[str, str]) -> str:
    """Return the parts of a query as the end of an address."""
    return urlencode(parts)


@register.filter
def pretty(value: Any) -> str:
    """Return a JSON value over several lines, secrets hidden."""
    text = value if isinstance(value, str) else json.dumps(hide(value), indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


@register.filter
def fold(text: str) -> str:
    """Return how much text there is where it is too much to be shown unasked, else nothing."""
    lines = text.count("\n") + 1
    if lines > UNFOLDED_LINES:
        return number_of(lines, "line", "lines")
    return number_of(len(text), "character", "characters") if len(text) > UNFOLDED_CHARACTERS else ""


@register.filter
@functools.lru_cache(maxsize=512)  # the catalogue shows the same hundred texts each time
def prose(text: str) -> SafeString:
    """Return a description, written in Markdown, as HTML; HTML in it is shown as text."""
    return SafeString(_markdown.render(inspect.cleandoc(text)))  # the renderer escapes everything that it is given


@register.filter
def commands(text: str) -> SafeString:
    """Return a sentence whose words between backticks are commands as HTML; all else is shown as it is."""
    return SafeString(_COMMAND.sub(r"<code>\1</code>", escape(text)))


@register.filter
def bar(fraction: float | None) -> SafeString:
    """Return the bar of a running job, which messages of its topic move; without a share it only says that it runs."""
    value = SafeString("") if fraction is None else format_html(' value="{}"', f"{fraction:.3f}")
    return format_html(
        '<progress data-progress max="1"{}>{}</progress> <span data-progress-share>{}</span>',
        value, percent(fraction), percent(fraction),
    )  # fmt: skip
