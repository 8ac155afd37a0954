"""Addresses of the WebSockets, with who may connect."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path

from live.authentication import TokenOrCookie


def websocket_application() -> Any:
    """Return the ASGI application for WebSockets; Django must be set up."""
    from live.consumers import LiveConsumer

    return TokenOrCookie(URLRouter([path("ws/live/", LiveConsumer.as_asgi())]))
