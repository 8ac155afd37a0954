"""How numbers of assets look on a page."""

from django import template

register = template.Library()


@register.filter
def thousands(value: int | None) -> str:
    """Return a whole number with commas between the thousands."""
    return "—" if value is None else f"{value:,}"
