"""Serves the site below a path, such as `https://example.org/jobs/`: the one place that splits a request's path.

The prefix is the path of `SITE_URL`, which Django knows as FORCE_SCRIPT_NAME. Requests that begin with it came through the
proxy as they were; others were asked for at the server itself (probes), or the proxy took the prefix away. Django and Channels
see both alike: with the prefix in `path` and in `root_path`, as the ASGI specification describes
(https://asgi.readthedocs.io/en/stable/specs/www.html#http-connection-scope).
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from celery import signals
from django.conf import settings
from django.urls import set_script_prefix

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class Prefix:
    """ASGI application around `inner` that serves it below `prefix`, such as `/jobs`; empty: at the root."""

    def __init__(self, inner: Application, prefix: str | None) -> None:
        self.inner = inner
        self.prefix = (prefix or "").rstrip("/")

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Hand the request or socket on."""
        await self.inner(self._placed(scope) if self.prefix and "path" in scope else scope, receive, send)

    def _placed(self, scope: Scope) -> Scope:
        set_script_prefix(f"{self.prefix}/")  # for sockets too; Django does so for requests alone
        placed = {**scope, "root_path": self.prefix}
        if not is_below(scope["path"], self.prefix):
            placed["path"] = self.prefix + scope["path"]
            if scope.get("raw_path"):
                placed["raw_path"] = quote(self.prefix).encode("ascii") + scope["raw_path"]
        return placed


def is_below(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or an address below it; `/jobsheet` is not below `/jobs`."""
    return path == prefix or path.startswith(f"{prefix}/")


def connect() -> None:
    """Let jobs that run in a pool of threads build addresses below the prefix; twice is the same as once."""
    signals.task_prerun.connect(_know_prefix, dispatch_uid="jobroom.web.prefix")


def _know_prefix(**_: Any) -> None:
    # Django sets it in the thread that starts the process, and keeps it for each thread.
    if settings.FORCE_SCRIPT_NAME:
        set_script_prefix(f"{settings.FORCE_SCRIPT_NAME.rstrip('/')}/")
