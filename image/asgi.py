"""The ASGI entry point: `uvicorn image.asgi:application`."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")

pages = get_asgi_application()

# Imported when Django is set up: the consumers use models.
from common.body_limit import BodyLimit  # noqa: E402
from live.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": BodyLimit(pages), "websocket": websocket_application()})
