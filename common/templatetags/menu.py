"""The menu of every page."""

from typing import Any

from django import template
from django.template.context import RequestContext

from common import menu

register = template.Library()


@register.inclusion_tag("parts/menu.html", takes_context=True)
def main_menu(context: RequestContext) -> dict[str, Any]:
    """Show what the person who looks finds in the menu."""
    request = context["request"]
    return {"groups": menu.groups(request.user, request.path)}
