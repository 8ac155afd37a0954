"""Notifies all web processes that a person's rights or session may have changed, so that open sockets are checked again.

What is changed past Django's signals (an update of many rows, a session store without a table) is found a little later,
by the look that every socket gets anyway, see LIVE_RECHECK_INTERVAL.
"""

import hashlib
import json
import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobroom import redis
from jobroom.live import topics

logger = logging.getLogger(__name__)

# A channel that every web process listens to as long as it has a socket.
TOPIC = "hub"


def changed(user: int | None = None, session: str = "") -> None:
    """Have the sockets of a person looked at, of everyone without one; those of a session (its key) end at once."""
    event = {"type": "access", "seq": 0, "user": user, "session": digest(session) if session else ""}
    transaction.on_commit(lambda: _publish(event), robust=True)


def digest(session: str) -> str:
    """Return what names a session without letting anyone use it."""
    return hashlib.sha256(session.encode()).hexdigest()


def _publish(event: dict[str, Any]) -> None:
    """Publish it, once: a command that makes a user must not wait for a Redis that is not there yet."""
    try:
        with redis.connect(retry=Retry(NoBackoff(), 0), socket_timeout=2, socket_connect_timeout=2) as client:
            client.publish(topics.channel(TOPIC), json.dumps(event))
    except (redis.Error, OSError) as error:
        logger.debug("Open sockets are looked at a little later, Redis is away: %s", error)


def connect() -> None:
    """Connect to what Django signals of people, groups and sessions; twice is the same as once."""
    users = get_user_model()
    user_logged_out.connect(_logged_out, dispatch_uid="jobroom.live.access")
    post_save.connect(_saved, sender=users, dispatch_uid="jobroom.live.access")
    post_delete.connect(_deleted, sender=users, dispatch_uid="jobroom.live.access")
    m2m_changed.connect(_member, sender=users.groups.through, dispatch_uid="jobroom.live.access")
    post_delete.connect(_anything, sender=Group, dispatch_uid="jobroom.live.access")


def watch(model: Any, *many: str) -> None:
    """Have all sockets looked at when a row of `model` changes, or one of its relations `many`: what grants rights."""
    name = f"jobroom.live.access.{model._meta.label}"
    post_save.connect(_anything, sender=model, dispatch_uid=name)
    post_delete.connect(_anything, sender=model, dispatch_uid=name)
    for field in many:
        m2m_changed.connect(_relation, sender=getattr(model, field).through, dispatch_uid=f"{name}.{field}")


def _logged_out(request: Any, user: Any, **_: Any) -> None:
    session = getattr(getattr(request, "session", None), "session_key", None)
    changed(getattr(user, "pk", None), str(session or ""))


def _saved(instance: Any, update_fields: Any = None, **_: Any) -> None:
    if update_fields is None or set(update_fields) - {"last_login"}:
        changed(instance.pk)


def _deleted(instance: Any, **_: Any) -> None:
    changed(instance.pk)


def _member(instance: Any, action: str, reverse: bool = False, **_: Any) -> None:
    if action.startswith("post_"):
        changed(None if reverse else instance.pk)


def _relation(action: str, **_: Any) -> None:
    if action.startswith("post_"):
        changed()


def _anything(**_: Any) -> None:
    changed()
