"""Addresses of the WebSockets, with who may connect."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path

from jobroom.live.authentication import TokenOrCookie

# Below the prefix of the site.
PATH = "ws/live/"


def websocket_application() -> Any:
    """Return the ASGI application for WebSockets; Django must be set up."""
    from jobroom.live.consumers import LiveConsumer

    return TokenOrCookie(URLRouter([path(PATH, LiveConsumer.as_asgi())]))
