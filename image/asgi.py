"""The ASGI entry point: `uvicorn image.asgi:application`."""

import gc
import os

import django
from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")

django.setup(set_prefix=False)

# Imported when Django is set up: the consumers use models.
from common.body_limit import BodyLimit  # noqa: E402
from common.serving import Handler  # noqa: E402
from live.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": BodyLimit(Handler()), "websocket": websocket_application()})

# What was imported stays: a collection that looks through it all would hold every request up for a fifth of a second.
gc.collect()
gc.freeze()
