"""The project's settings, with messages taken from Redis by kombu's own commands."""

from image.settings import *  # noqa: F403

JOBROOM = JOBROOM | {"TAKE_IN_ONE_STEP": False}  # noqa: F405
