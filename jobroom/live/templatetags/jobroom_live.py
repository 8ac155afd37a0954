"""A template tag for the address of the page's WebSocket."""

from django import template
from django.urls import get_script_prefix

from jobroom.live.routing import PATH

register = template.Library()


@register.simple_tag
def live_address() -> str:
    """Return the path of the socket, below the prefix of the site."""
    return get_script_prefix() + PATH
