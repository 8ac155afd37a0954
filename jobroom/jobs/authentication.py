"""Authenticates programs: by API token, or by a JSON Web Token (RFC 7519) that a password was exchanged for."""

from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.tokens import RefreshToken

from jobroom.jobs import tokens
from jobroom.jobs.models import SignOut
from jobroom.users import User


class WebTokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <JSON Web Token>`, unless the password has changed since, or all tokens were ended."""

    def get_user(self, validated_token: Any) -> Any:
        """Return whose token it is; raise AuthenticationFailed where it is worth nothing any more."""
        user = super().get_user(validated_token)
        check_not_ended(user, validated_token)
        return user


def check_not_ended(user: Any, token: Any) -> None:
    """Raise AuthenticationFailed for a token that was made before its person ended all of them."""
    made = int(token.payload.get("iat") or 0)
    ended = SignOut.objects.filter(user=user).values_list("at", flat=True).first()
    if ended is not None and made <= int(ended.timestamp()):
        raise AuthenticationFailed("This token was ended. Log in again.", code="token_ended")


class RefreshTokens(TokenRefreshSerializer):
    """Exchanges a refresh token for an access token, by the same rules as any token is accepted."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        """Return the new token; raise AuthenticationFailed, or InvalidToken for what is none."""
        try:
            token = RefreshToken(attrs["refresh"])
        except TokenError as error:
            raise InvalidToken(error.args[0]) from error
        WebTokenAuthentication().get_user(token)
        return super().validate(attrs)


def _user_of_jwt(text: str) -> User | None:
    checker = WebTokenAuthentication()
    try:
        user = checker.get_user(checker.get_validated_token(text.encode("utf-8", "replace")))
    except (AuthenticationFailed, InvalidToken, TokenError):
        return None
    return user if isinstance(user, User) else None


def user_of_token(text: str) -> User | None:
    """Return the active person whom an API token or a JSON Web Token speaks for, None for any other text."""
    return tokens.user_of_api_token(text) if text.startswith(tokens.PREFIX) else _user_of_jwt(text)


class ApiTokenAuthentication(BaseAuthentication):
    """`Authorization: Token <token>`."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        """Return the token's owner; None when the header speaks of something else."""
        word, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if word.lower() != "token":
            return None
        user = tokens.user_of_api_token(text.strip())
        if user is None:
            raise AuthenticationFailed("This token is unknown or revoked.")
        return user, None

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 asks for."""
        return "Token"


class WebTokenScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]
    """Describes the JSON Web Token in the API's description."""

    target_class = "jobroom.jobs.authentication.WebTokenAuthentication"


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the token in the API's description."""

    target_class = ApiTokenAuthentication
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the scheme as OpenAPI has it."""
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token <API token>`"}
