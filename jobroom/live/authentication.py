"""Authenticates a WebSocket: by session cookie, from a page of ours, or by bearer token, from anywhere.

A token comes as `Authorization: Bearer <token>`, or, as a browser cannot set that header, with the subprotocol pair
`image.live`, `bearer.<token>`. A page of another site can send our cookie but knows no token, so the origin is checked
for cookies alone.
"""

from collections.abc import Callable
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.security.websocket import WebsocketDenier
from django.conf import settings as django_settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.module_loading import import_string

from jobroom.live import origins
from jobroom.users import User

PROTOCOL = "image.live"
_PREFIX = "bearer."

Resolver = Callable[[str], User | None]
_resolvers: list[Resolver] = []


def register(resolver: Resolver) -> None:
    """Let `resolver` say whose token a text is; it returns None for one that it does not know."""
    if resolver not in _resolvers:
        _resolvers.append(resolver)


def user_of(token: str) -> User | AnonymousUser:
    """Return whose token it is; no one's when no resolver knows it."""
    return next((user for resolver in _resolvers if (user := resolver(token))), AnonymousUser())


def bearer(scope: dict[str, Any]) -> str | None:
    """Return the token that the request carries, None if it carries none."""
    for name, value in scope["headers"]:
        word, _, token = value.decode("latin-1").partition(" ")
        if name == b"authorization" and word.lower() == "bearer":
            return str(token.strip())
    offered = scope.get("subprotocols") or []
    if PROTOCOL in offered:
        return next((str(text[len(_PREFIX) :]) for text in offered if text.startswith(_PREFIX)), None)
    return None


class TokenOrCookie:
    """ASGI application in front of the sockets that finds out who connects."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.with_cookie = AuthMiddlewareStack(inner)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Put the user into the scope and go on; a token that is unknown is not made up for by a cookie."""
        token = bearer(scope)
        if token is None:
            if not origins.is_allowed(scope):
                return await WebsocketDenier()(scope, receive, send)
            return await self.with_cookie(scope, receive, send)
        user = await database_sync_to_async(user_of)(token)
        return await self.inner({**scope, "user": user, "token": token}, receive, send)


def user_now(scope: dict[str, Any]) -> User | AnonymousUser:
    """Return who a socket belongs to as the database knows it now; no one when session or token has ended meanwhile.

    A session ends with a log-out, a change of the password and its time; a token with its revocation and its time.
    """
    if "token" in scope:
        return user_of(scope["token"])
    key = session_key(scope)
    if not key:
        return AnonymousUser()
    request = HttpRequest()
    request.session = import_string(f"{django_settings.SESSION_ENGINE}.SessionStore")(session_key=key)
    user = auth.get_user(request)
    return user if isinstance(user, User) and user.is_active else AnonymousUser()


def session_key(scope: dict[str, Any]) -> str:
    """Return the key of the session that came with the cookie, "" without one."""
    return str(getattr(scope.get("session"), "session_key", None) or "")
