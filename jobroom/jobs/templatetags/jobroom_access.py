"""The button with which someone asks the administrators for a right; its form stands once in every page."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def ask_for_access(what: str) -> SafeString:
    """Return a button that asks to be allowed to do `what`, in words that begin with a verb."""
    return format_html(
        '<button class="ask" type="submit" form="ask-for-access" name="what" value="{}" title="Sends a mail to the '
        'administrators of this site">Ask for access</button>',
        what[:200],
    )
