"""Live pages for a project's ASGI server, in one line of its `asgi.py`.

    application = jobroom.asgi.with_live(get_asgi_application())

Without it pages ask every few seconds, and everything else works.
"""

from typing import Any

from channels.routing import ProtocolTypeRouter


def with_live(django: Any) -> Any:
    """Return an application that answers WebSockets at `/ws/live/` and leaves HTTP to `django`, which is set up already."""
    from jobroom.live.routing import websocket_application

    return ProtocolTypeRouter({"http": django, "websocket": websocket_application()})
