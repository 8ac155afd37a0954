"""How a state looks on every page: an icon and the word, never colour alone."""

from django.utils.html import format_html
from django.utils.safestring import SafeString


def badge(word: str, *, colour: str, icon: str = "") -> SafeString:
    """Return the badge of a state; without `icon`, the icon is named as the colour."""
    return format_html(
        '<span class="state state-{}"><svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>{}</span>',
        colour,
        icon or colour,
        word,
    )


def mark(word: str, *, colour: str, icon: str = "") -> SafeString:
    """Return the icon of a state alone, with its word for those who do not see it."""
    return format_html(
        '<span class="state state-{}"><svg class="icon" role="img" aria-label="{}"><use href="#icon-{}"/></svg></span>',
        colour,
        word,
        icon or colour,
    )
