"""The project's settings, with patience for mail servers: who waits for one waits until a test has seen it wait."""

from image.settings import *  # noqa: F403

EMAIL_TIMEOUT = 600
