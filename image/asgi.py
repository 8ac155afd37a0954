"""The ASGI entry point: `uvicorn image.asgi:application`."""

import gc
import os

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")

django.setup()

# Imported when Django is set up: the consumers use models.
from jobroom import file_permissions  # noqa: E402
from jobroom.asgi import with_live  # noqa: E402
from jobroom.web.body_limit import BodyLimit  # noqa: E402
from jobroom.web.handler import Handler  # noqa: E402
from jobroom.web.prefix import Prefix  # noqa: E402

file_permissions.set_umask()
application = Prefix(with_live(BodyLimit(Handler())), settings.FORCE_SCRIPT_NAME)

# What was imported stays: a collection that looks through it all would hold every request up for a fifth of a second.
gc.collect()
gc.freeze()
