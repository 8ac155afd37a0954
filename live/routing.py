"""Addresses of the WebSockets, with who may connect: a session cookie, from a page of ours."""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path


def websocket_application() -> Any:
    """Return the ASGI application for WebSockets; Django must be set up."""
    from live.consumers import LiveConsumer

    return AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([path("ws/live/", LiveConsumer.as_asgi())])))
