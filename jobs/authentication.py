"""Who a program acts for: by API token, or by a JSON Web Token (RFC 7519) that a password was exchanged for."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError

from jobs.models import ApiToken

# Begins every API token, so that people and scanners of repositories recognise one.
PREFIX = "image_"
# The moment of the last use is written at most so often.
NOTED = timedelta(minutes=1)


def new_token(user: User, name: str) -> tuple[ApiToken, str]:
    """Make a token for `user`; return its row and the token itself, which cannot be shown again."""
    text = PREFIX + secrets.token_urlsafe(32)
    return ApiToken.objects.create(user=user, name=name, digest=_digest(text)), text


def _digest(text: str) -> str:
    # The token is random and long: nothing slower than one hash is needed.
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


# Written out, because every request of a program asks this, and making the statement anew takes ten times as long.
_OWNER = """
SELECT owner.*, token.id AS token, (token.last_used_at IS NULL OR token.last_used_at < %s) AS unnoted
FROM {tokens} token JOIN {users} owner ON owner.id = token.user_id
WHERE token.digest = %s AND token.revoked_at IS NULL
"""


def _user_of_api_token(text: str) -> User | None:
    now = timezone.now()
    statement = _OWNER.format(tokens=ApiToken._meta.db_table, users=User._meta.db_table)
    before = connection.ops.adapt_datetimefield_value(now - NOTED)
    owner: Any = next(iter(User.objects.raw(statement, [before, _digest(text)])), None)
    if owner is None or not owner.is_active:
        return None
    if owner.unnoted:
        ApiToken.objects.filter(pk=owner.token).update(last_used_at=now)
    return owner  # type: ignore[no-any-return]


def _user_of_jwt(text: str) -> User | None:
    checker = JWTAuthentication()
    try:
        user = checker.get_user(checker.get_validated_token(text.encode("utf-8", "replace")))
    except (AuthenticationFailed, InvalidToken, TokenError):
        return None
    return user if isinstance(user, User) else None


def user_of_token(text: str) -> User | None:
    """Return the active person whom an API token or a JSON Web Token speaks for, None for any other text."""
    return _user_of_api_token(text) if text.startswith(PREFIX) else _user_of_jwt(text)


class ApiTokenAuthentication(BaseAuthentication):
    """`Authorization: Token <token>`."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        """Return the token's owner; None when the header speaks of something else."""
        word, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if word.lower() != "token":
            return None
        user = _user_of_api_token(text.strip())
        if user is None:
            raise AuthenticationFailed("This token is unknown or revoked.")
        return user, None

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 asks for."""
        return "Token"


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the token in the API's description."""

    target_class = ApiTokenAuthentication
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the scheme as OpenAPI has it."""
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token <API token>`"}
