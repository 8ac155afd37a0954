"""Makes, finds and revokes API tokens, and ends all sessions of a person."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.utils import timezone

from jobroom.jobs.models import ApiToken, SignOut
from jobroom.live import access
from jobroom.users import User

# Begins every API token, so that people and scanners of repositories recognise one.
PREFIX = "image_"
# The moment of the last use is written at most so often.
NOTED = timedelta(minutes=1)
# Sessions that one statement deletes.
_PIECE = 500


def new_token(user: User, name: str) -> tuple[ApiToken, str]:
    """Make a token for `user`; return its row and the token itself, which cannot be shown again."""
    text = PREFIX + secrets.token_urlsafe(32)
    return ApiToken.objects.create(user=user, name=name, digest=_digest(text)), text


def _digest(text: str) -> str:
    # The token is random and long: nothing slower than one hash is needed.
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


# Written out, because every request of a program asks this, and making the statement again takes ten times as long.
_OWNER = """
SELECT owner.*, token.id AS token, (token.last_used_at IS NULL OR token.last_used_at < %s) AS unnoted
FROM {tokens} token JOIN {users} owner ON owner.{key} = token.user_id
WHERE token.digest = %s AND token.revoked_at IS NULL
"""


def user_of_api_token(text: str) -> User | None:
    """Return the active owner of an API token that is not revoked, None for any other text."""
    now = timezone.now()
    statement = _OWNER.format(tokens=ApiToken._meta.db_table, users=User._meta.db_table, key=User._meta.pk.column)
    before = connection.ops.adapt_datetimefield_value(now - NOTED)
    owner: Any = next(iter(User.objects.raw(statement, [before, _digest(text)])), None)
    if owner is None or not owner.is_active:
        return None
    if owner.unnoted:
        ApiToken.objects.filter(pk=owner.token).update(last_used_at=now)
    return owner  # type: ignore[no-any-return]


def end_all(user: User, *, but: str = "") -> None:
    """End all sessions and tokens of a person at once, but the session with that key."""
    now = timezone.now()
    with transaction.atomic():
        SignOut.objects.update_or_create(user=user, defaults={"at": now})
        ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
    # Looked for outside the transaction: all sessions are decoded, and all other writers would wait for it. And looked for
    # until there is none: one may have got another key meanwhile.
    while keys := _sessions_of(user, but):
        for number in range(0, len(keys), _PIECE):
            Session.objects.filter(pk__in=keys[number : number + _PIECE]).delete()
    access.changed(user.pk)


def _sessions_of(user: User, but: str) -> list[str]:
    """Return the keys of a person's sessions, but that one."""
    others = Session.objects.filter(expire_date__gt=timezone.now()).exclude(pk=but)
    return [one.pk for one in others.iterator() if str(one.get_decoded().get(SESSION_KEY)) == str(user.pk)]
