"""Tasks that put their message back into its queue, for ever or for a while."""

from typing import Any

from celery.exceptions import Reject

from image.celery import app
from jobroom import redis

__all__ = ["app"]


@app.task(name="rejecting.late", bind=True, acks_late=True)
def late(self: Any, times: int) -> str:
    """Put the message back so many times."""
    if redis.client().incr(f"rejecting:{self.request.id}") <= times:
        raise Reject("the machine is busy", requeue=True)
    return "done"


@app.task(name="rejecting.early", bind=True, acks_late=False)
def early(self: Any) -> None:
    """Put back a message that is acknowledged."""
    redis.client().incr(f"rejecting:{self.request.id}")
    raise Reject("not now", requeue=True)
