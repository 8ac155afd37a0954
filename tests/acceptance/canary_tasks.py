"""Tasks that are given secrets and say them wherever a task can say something; `-A tests.acceptance.canary_tasks`."""

import logging
import os
import threading
from typing import Annotated, Any

from image.celery import app
from jobroom.arguments.redaction import Secret
from jobroom.tasks import BaseTask, NotifyAdminTaskMixin

__all__ = ["app"]

logger = logging.getLogger(__name__)


def _speak(task: Any, *secrets: Any) -> None:
    text = " and ".join(map(str, secrets))
    logger.warning("got %s", text)
    thread = threading.Thread(target=logger.warning, args=("a thread got %r", text))
    thread.start()
    thread.join()
    task.log("info", f"got {text}", obj=text)
    task.progress(1, 2, f"working with {text}")
    with task.stage(f"stage {text}"):
        task.progress(1, 1, text)


@app.task(bind=True, name="canary.speaks")
def speaks(
    self: Any, password: str = "", code: Annotated[str, Secret] = "", options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Say all it knows, and return it."""
    secrets = [value for value in (password, code) if value] + [
        value["api_key"] for value in (options or {}).values() if isinstance(value, dict)
    ]
    _speak(self, *secrets)
    return {"echo": secrets, "password": password, "text": f"with {secrets}", secrets[0]: 1}


@app.task(bind=True, name="canary.returns")
def returns(self: Any) -> Annotated[str, Secret]:
    """Return what its author marks as secret."""
    return os.environ["CANARY"]


class Fails(NotifyAdminTaskMixin, BaseTask):
    """Fail with a secret in the error, and have it mailed."""

    name = "canary.fails"

    def run(self, code: Annotated[str, Secret], password: str = "") -> None:
        """Fail."""
        try:
            _ = dict[str, str]()[code]
        except KeyError as error:
            raise ValueError(f"cannot log in with {code!r} {password}") from error


app.tasks.register(Fails())


@app.task(bind=True, name="canary.retries", max_retries=1)
def retries(self: Any, password: str) -> None:
    """Fail twice."""
    raise self.retry(countdown=0, exc=ValueError(f"no {password}"))


@app.task(bind=True, name="canary.passes")
def passes(self: Any, plain: Any = None, password: str = "") -> dict[str, Any]:
    """Return a secret for the next node of a workflow."""
    _speak(self, password or plain)
    return {"token": password or plain, "rest": f"x {password or plain}"}


@app.task(bind=True, name="canary.keeps", cache_for=600)
def keeps(self: Any, password: str) -> str:
    """Keep the answer."""
    return f"kept {password}"
