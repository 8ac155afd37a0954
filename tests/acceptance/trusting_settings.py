"""The project's settings, with a recorder that rescues nothing: a test does it itself."""

from image.settings import *  # noqa: F403

JOBROOM = JOBROOM | {"WORKERS_RESCUE_MARGIN": 600.0}  # noqa: F405
