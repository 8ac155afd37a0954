"""The project's settings, with times so short that anyone who misses a message sends it again at once, and rounds that are counted."""

from tests.acceptance.behind_settings import *  # noqa: F403

JOBROOM = JOBROOM | {"WORKFLOWS_SILENT_AFTER": 1.0}  # noqa: F405
INSTALLED_APPS = [*INSTALLED_APPS, "tests.acceptance.counting"]  # noqa: F405
