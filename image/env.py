"""The only place that reads the environment. Every error names the variable and the remedy."""

import os
import re
import secrets
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
_env = environ.Env()


def _read(name: str, parse: str, default: Any, expected: str) -> Any:
    """Return variable `name` through django-environ's parser `parse`; an empty value counts as absent."""
    if not os.environ.get(name):
        return default
    try:
        return getattr(_env, parse)(name)
    except (ValueError, environ.ImproperlyConfigured) as error:
        raise ImproperlyConfigured(f"{name}={os.environ[name]!r} is not {expected} ({error}).") from error


def text(name: str, default: str = "") -> str:
    """Return the variable as it stands."""
    return os.environ.get(name) or default


def boolean(name: str, *, default: bool) -> bool:
    """Return the variable as a truth value: 1/0, true/false, yes/no, on/off."""
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={os.environ[name]!r} is not a truth value: write 1 or 0.")


def integer(name: str, default: int) -> int:
    """Return the variable as a whole number."""
    return int(_read(name, "int", default, "a whole number"))


def words(name: str, default: list[str]) -> list[str]:
    """Return a comma-separated variable as a list, blanks removed."""
    value = os.environ.get(name)
    return [word.strip() for word in value.split(",") if word.strip()] if value else default


def origin(address: str) -> str:
    """Return scheme, host and port of an address, without its path."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def site(name: str, default: str) -> str:
    """Return the address of the site, with its path and without a slash at its end."""
    address = text(name, default).strip().rstrip("/")
    if not re.fullmatch(r"https?://[^/?#@\s]+(/[\w.~-]+)*", address, re.ASCII):
        raise ImproperlyConfigured(
            f"{name}={address!r} is not the address of a site: write https://jobs.example.org, or https://example.org/jobs "
            "where a proxy shows the site below a path."
        )
    return address


def prefix(address: str) -> str:
    """Return the path of an address that `site` has read, such as `/jobs`; empty at the root of its host."""
    return address.removeprefix(origin(address))


def proxy_header(name: str) -> tuple[str, str] | None:
    """Return `X-Forwarded-Proto` or `X-Forwarded-Proto: https` as Django's SECURE_PROXY_SSL_HEADER; None without."""
    value = text(name)
    if not value:
        return None
    header, _, secure = (part.strip() for part in value.partition(":"))
    if not header.replace("-", "").isalnum() or not header.isascii():
        raise ImproperlyConfigured(f"{name}={value!r} is not the name of a header: write X-Forwarded-Proto.")
    return f"HTTP_{header.upper().replace('-', '_')}", secure or "https"


def people(name: str) -> list[tuple[str, str]]:
    """Return `Ada <ada@example.org>, bob@example.org` as Django's ADMINS pairs."""
    from email.utils import getaddresses

    pairs = [(who or address, address) for who, address in getaddresses([os.environ.get(name, "")]) if address or who]
    for _, address in pairs:
        if "@" not in address:
            raise ImproperlyConfigured(f'{name}: {address!r} is not an e-mail address; write "Ada <ada@example.org>".')
    return pairs


def var_folder() -> Path:
    """Return the data folder (`IMAGE_VAR`), absolute; it need not exist yet."""
    return Path(text("IMAGE_VAR", str(ROOT / "var"))).expanduser().resolve()


def database(var: Path) -> dict[str, Any]:
    """Return Django's entry for `DATABASE_URL`; without one, SQLite in the data folder.

    SQLite is tuned so that several processes never see "database is locked": a write-ahead log, and
    transactions that take the write lock when they begin, because one that reads first and writes
    later is refused at once whatever the time-out (https://www.sqlite.org/lang_transaction.html).
    """
    expected = "a database address such as postgres://user:password@host:5432/name or sqlite:////folder/file"
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{var / 'db.sqlite3'}"
    scheme = url.partition(":")[0]
    if scheme not in {"sqlite", "postgres", "postgresql"}:
        raise ImproperlyConfigured(f"DATABASE_URL={url!r} is not {expected}.")
    entry = dict(_read("DATABASE_URL", "db_url", {}, expected)) or {"NAME": str(var / "db.sqlite3")}
    if scheme == "sqlite":
        entry["ENGINE"] = "django.db.backends.sqlite3"
        # Opening the file and preparing the connection takes longer than most requests read.
        entry["CONN_MAX_AGE"] = 60
        entry["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        }
        entry.setdefault("TEST", {"NAME": str(var / "test.sqlite3")})
    else:
        entry.update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
        # An address where no one answers would otherwise hold up the start for more than two minutes.
        entry.setdefault("OPTIONS", {}).setdefault("connect_timeout", 10)
    return entry


def redis_url(var: Path) -> str:
    """Return `REDIS_URL`, else the address of the embedded server that `manage.py up` runs, else the standard port."""
    if os.environ.get("REDIS_URL"):
        return os.environ["REDIS_URL"]
    running = var / "run" / "redis-url"
    try:
        return running.read_text().strip()
    except OSError:
        return "redis://127.0.0.1:6379/0"


def secret_key(var: Path, *, development: bool) -> str:
    """Return `SECRET_KEY`; in development one is made once and kept in the data folder (mode 0600)."""
    if os.environ.get("SECRET_KEY"):
        return os.environ["SECRET_KEY"]
    if not development:
        raise ImproperlyConfigured(
            "SECRET_KEY is missing: set it to a long random text (ALLOWED_HOSTS names more than this machine)."
        )
    kept = var / "secret-key"
    try:
        return kept.read_text()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(f"{kept} cannot be read ({error.strerror}); set IMAGE_VAR or SECRET_KEY.") from error
    return _keep_secret(kept)


def _keep_secret(kept: Path) -> str:
    """Write a new key where two processes may try at once: the first link wins, both read the same."""
    try:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = kept.with_name(f"secret-key.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, kept)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return kept.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{kept.parent} cannot be written ({error.strerror}); set IMAGE_VAR to a folder of yours, or set SECRET_KEY."
        ) from error


def email(var: Path) -> dict[str, Any]:
    """Return Django's mail settings for `EMAIL_URL`; without one, mails become files in `mail/` of the data folder.

    They go through the queue to that backend, which is then `EMAIL_TRANSPORT`, unless `EMAIL_QUEUED` says no.
    """
    found: dict[str, Any] = {
        "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "EMAIL_FILE_PATH": str(var / "mail"),
    }
    if os.environ.get("EMAIL_URL"):
        found = _read("EMAIL_URL", "email_url", {}, "a mail address such as smtp+tls://user:password@host:587")
    queued = (
        "jobroom.notifications.backends.QueuedBackend"
        if boolean("EMAIL_QUEUED", default=True)
        else found["EMAIL_BACKEND"]
    )
    return {**found, "EMAIL_TRANSPORT": found["EMAIL_BACKEND"], "EMAIL_BACKEND": queued}
