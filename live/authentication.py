"""Who is at the other end of a socket: by session cookie, from a page of ours, or by bearer token, from anywhere.

A token comes as `Authorization: Bearer <token>`, or, as a browser cannot set that header, with the subprotocol pair
`image.live`, `bearer.<token>`. A page of another site can send our cookie but knows no token, so the origin is checked
for cookies alone.
"""

from collections.abc import Callable
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth.models import AnonymousUser, User

PROTOCOL = "image.live"
_PREFIX = "bearer."

Resolver = Callable[[str], User | None]
_resolvers: list[Resolver] = []


def register(resolver: Resolver) -> None:
    """Let `resolver` say whose token a text is; it returns None for one that it does not know."""
    if resolver not in _resolvers:
        _resolvers.append(resolver)


def user_of(token: str) -> User | AnonymousUser:
    """Return whose token it is; nobody's when no resolver knows it."""
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
        self.with_cookie = AllowedHostsOriginValidator(AuthMiddlewareStack(inner))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Put the user into the scope and go on; a token that nobody knows is not made up for by a cookie."""
        token = bearer(scope)
        if token is None:
            return await self.with_cookie(scope, receive, send)
        user = await database_sync_to_async(user_of)(token)
        return await self.inner({**scope, "user": user}, receive, send)
