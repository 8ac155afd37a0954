"""The block tag for what a page says where there is nothing to show, so that all say it in one shape."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_block_tag
def empty_state(content: SafeString, title: str = "", icon: str = "", heading: str = "h2") -> SafeString:
    """Return the block: an icon's name such as `queued`, the title, and below it what stands in the block."""
    picture = format_html('<svg class="icon" aria-hidden="true"><use href="#icon-{}" /></svg>', icon) if icon else ""
    head = format_html("<{0}>{1}</{0}>", heading, title) if title else ""
    return format_html('<div class="empty">{}{}{}</div>', picture, head, content)
