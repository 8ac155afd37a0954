"""A template tag for the menu."""

from typing import Any

from django import template
from django.conf import settings
from django.shortcuts import resolve_url
from django.template.context import RequestContext

from jobroom.ui import menu

register = template.Library()


@register.simple_tag
def login_address() -> str:
    """Return the path of the page where people log in, which may be the project's own."""
    return resolve_url(settings.LOGIN_URL)


@register.inclusion_tag("jobroom/parts/menu.html", takes_context=True)
def main_menu(context: RequestContext) -> dict[str, Any]:
    """Show what the person who looks finds in the menu."""
    request = context["request"]
    return {"groups": menu.groups(request.user, request.path)}
