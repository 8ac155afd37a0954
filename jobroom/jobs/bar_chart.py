"""The frame that charts share: a column for each step of time, which says its numbers when one points at it."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

# The picture in units of its own.
WIDE, HIGH = 960, 120


def frame(
    columns: Sequence[tuple[str, SafeString]], title: str, *, kind: str = "", behind: SafeString | str = ""
) -> SafeString:
    """Return a chart as SVG: each column in words, with what is drawn in it; `behind` is drawn below all of them."""
    width = WIDE / len(columns)
    rows = [(f"{n * width:.1f}", f"{width:.1f}", HIGH, words, drawn) for n, (words, drawn) in enumerate(columns)]
    return format_html(
        '<svg class="chart{}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}{}</svg>',
        f" {kind}" if kind else "", WIDE, HIGH, title, behind,
        format_html_join("", '<g><rect class="chart-hour" x="{}" y="0" width="{}" height="{}"/><title>{}</title>{}</g>', rows),
    )  # fmt: skip
