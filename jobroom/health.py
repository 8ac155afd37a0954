"""The registry of health checks: each app adds a check of its parts, and probes and the health page run them.

health.register("mails", probe)  # in `AppConfig.ready()`; a probe returns a `Part` and may raise the errors of its part
"""

import dataclasses
from collections.abc import Callable

from django.conf import settings


@dataclasses.dataclass(frozen=True)
class Part:
    """What a probe found: whether the part is in order, and a sentence that everyone may read, strangers too.

    `ok` decides over `/readyz`; a `warning` leaves the site ready, and people still see it.
    """

    ok: bool
    detail: str
    warning: bool = False
    since: float | None = None  # Unix time of when the trouble began, where the part knows it
    action: str = ""  # what to do next
    url: str = ""  # the name of the page that says more
    rows: str = ""  # which rows it is about: for staff and the terminal, as probes and pages are read by others too

    @property
    def troubled(self) -> bool:
        """Whether people should hear of it."""
        return self.warning or not self.ok


Probe = Callable[[], Part]
# Name → probe, in the order in which the apps have registered them.
probes: dict[str, Probe] = {}


def register(name: str, probe: Probe) -> None:
    """Ask `probe` whenever the parts are asked how they are."""
    probes[name] = probe


def celery_command(words: str) -> str:
    """Return the command line that runs Celery in this project: its app is found by the package of the settings."""
    return f"celery -A {str(settings.SETTINGS_MODULE).partition('.')[0]} {words}"
