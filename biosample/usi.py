"""A client of EBI's Unified Submissions Interface: HAL+JSON over HTTP, with a token of the AAP.

HAL: https://datatracker.ietf.org/doc/html/draft-kelly-json-hal. The client only reads.
"""

import base64
import binascii
import dataclasses
import email.utils
import functools
import json
import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from biosample.conf import settings
from biosample.exceptions import UsiAccountRefused, UsiBadAnswer, UsiRefused, UsiUnavailable
from jobroom.arguments.redaction import HIDDEN

logger = logging.getLogger(__name__)

Document = dict[str, Any]

# A token is renewed so many seconds before its end, or a tenth of its life before if that is less.
TOKEN_MARGIN = 60.0
# Longest texts that we can store.
ALIAS_LENGTH = 200
ACCESSION_LENGTH = 50
STATUS_LENGTH = 50
# Shorter passwords are not searched for in texts: they would hit ordinary words.
SHORTEST_SECRET = 6


@dataclasses.dataclass(frozen=True)
class RemoteRecord:
    """An animal or sample as USI describes it."""

    alias: str
    is_animal: bool
    accession: str  # empty until the archive gave one
    status: str  # of its processing: Draft, Submitted, Processing, Completed, Error, …; empty when USI does not say
    message: str  # of its processing
    validation: str  # Pending or Complete; empty when USI does not say
    errors: list[str]  # what the validation found


@dataclasses.dataclass(frozen=True)
class RemoteSubmission:
    """A submission as USI describes it."""

    status: str
    records: list[RemoteRecord]


@dataclasses.dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Makes GET requests: bounded in time and size, tried again while the fault is on the way or in the server."""

    def __init__(self) -> None:
        self._http = httpx.Client(timeout=settings.USI_TIMEOUT, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, url: httpx.URL, **options: Any) -> Answer:
        """Return the answer, whatever its status below 500 except 429; raise UsiUnavailable when there is none."""
        attempts = max(1, settings.USI_ATTEMPTS)
        for attempt in range(1, attempts + 1):
            cause: httpx.TransportError | None = None
            pause: float | None = None
            try:
                answer = self._once(url, options)
            except httpx.TransportError as error:
                cause, reason = error, _plain(error)
            else:
                if answer.status < 500 and answer.status != 429:
                    return answer
                reason, pause = f"it answered {answer.status}", _retry_after(answer.headers)
            if attempt == attempts or (pause or 0) > settings.USI_PAUSE_LIMIT:
                raise UsiUnavailable(f"{_place(url)} does not answer now: {reason}.", pause) from cause
            logger.info("%s: %s; attempt %s of %s", _place(url), reason, attempt, attempts)
            time.sleep(_back_off(attempt) if pause is None else pause)
        raise AssertionError("unreachable")

    def _once(self, url: httpx.URL, options: dict[str, Any]) -> Answer:
        end = time.monotonic() + settings.USI_ANSWER_TIMEOUT
        body = bytearray()
        try:
            with self._http.stream("GET", url, **options) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > settings.USI_ANSWER_LIMIT:
                        raise UsiBadAnswer(f"{_place(url)} sent more than {settings.USI_ANSWER_LIMIT} bytes.")
                    if time.monotonic() > end:
                        raise httpx.ReadTimeout("the answer trickles")
        except (httpx.DecodingError, httpx.InvalidURL) as error:
            raise UsiBadAnswer(f"{_place(url)} sent an answer that cannot be decoded.") from error
        return Answer(response.status_code, response.headers, bytes(body))


def _plain(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else "the connection broke"


def _place(url: httpx.URL) -> str:
    """Return what of an address may be shown: no user, no password, no query."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}{url.path}"


def _back_off(attempt: int) -> float:
    """Return a pause in seconds, doubled with each attempt, of which the upper half is left to chance."""
    pause = min(settings.USI_PAUSE_LIMIT, settings.USI_PAUSE * 2 ** (attempt - 1))
    return float(pause * random.uniform(0.5, 1.0))  # noqa: S311 — spreads load, keeps no secret


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110 §10.2.3); None without one."""
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


class Tokens:
    """The token of one account, shared by all clients of this process and kept until shortly before its end."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = httpx.URL(address)
        self.user = user
        self.password = password
        self._lock = threading.Lock()
        self._token = ""
        self._end = 0.0  # on the monotonic clock

    def get(self, transport: Transport) -> str:
        """Return a token that is valid for a while; ask for one if there is none."""
        with self._lock:
            if not self._token or time.monotonic() >= self._end:
                token = self._ask(transport)
                life = _lifetime(token)
                self._token, self._end = token, time.monotonic() + life - min(TOKEN_MARGIN, life / 10)
            return self._token

    def forget(self, token: str) -> None:
        """Drop `token`, unless a newer one took its place already."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _ask(self, transport: Transport) -> str:
        answer = transport.get(self.address, auth=httpx.BasicAuth(self.user, self.password))
        if answer.status in (401, 403):
            raise UsiAccountRefused
        if answer.status != 200:
            place = _place(self.address)
            raise UsiAccountRefused(f"{place} gave no token but status {answer.status}: check USI_AUTH_URL.")
        return answer.body.decode("utf-8", "replace").strip()


def _lifetime(token: str) -> float:
    """Return for how many seconds a fresh JWT is valid, by its own issue time where it has one: our clock may differ."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - float(claims.get("iat", time.time()))
    except (IndexError, KeyError, TypeError, AttributeError, ValueError, binascii.Error):
        # `from None`: the cause would carry pieces of the token into logs.
        message = "The token service answered something that is no token: check USI_AUTH_URL."
        raise UsiAccountRefused(message) from None


@functools.lru_cache(maxsize=4)
def _tokens(address: str, user: str, password: str) -> Tokens:
    return Tokens(address, user, password)


class Client:
    """Reads submissions from USI; use it as a context manager."""

    def __init__(self) -> None:
        self.root = httpx.URL(settings.USI_URL.rstrip("/") + "/api/")
        self._transport = Transport()
        self._tokens = _tokens(settings.USI_AUTH_URL, settings.USI_USER, settings.USI_PASSWORD)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def submission(self, name: str) -> RemoteSubmission:
        """Return the submission called `name` with all its records.

        Raises UsiUnavailable (later it may work), UsiRefused (it will not), UsiAccountRefused, UsiBadAnswer.
        """
        document = self.get(self.root.copy_with(path=f"{self.root.path}submissions/{_segment(name)}"))
        status = _text(document, "submissionStatus")
        if not status:
            status = _text(self.get(_link(document, "submissionStatus")), "status")
        contents = self.get(_link(document, "contents"))
        return RemoteSubmission(
            status[:STATUS_LENGTH], [self._record(sample) for sample in self.collection(contents, "samples")]
        )

    def collection(self, document: Document, relation: str) -> Iterator[Document]:
        """Yield the members of the collection that `document` links to, over all its pages."""
        url: httpx.URL | None = _link(document, relation)
        seen: set[str] = set()
        while url is not None:
            if str(url) in seen or len(seen) >= settings.USI_PAGES:
                raise UsiBadAnswer(f"{_place(url)} has more than {len(seen)} pages, or turns in a circle.")
            seen.add(str(url))
            page = self.get(url)
            yield from _members(page, relation)
            url = _next(page, url)

    def get(self, url: httpx.URL) -> Document:
        """Return one JSON document; an expired token is renewed once."""
        token = self._token_for(url)
        answer = self._transport.get(url, headers=_headers(token))
        if answer.status == 401:
            self._tokens.forget(token)
            token = self._token_for(url)
            answer = self._transport.get(url, headers=_headers(token))
        _accept(answer, url)
        text = answer.body.decode("utf-8", "replace")
        return _parse(_hide(text, token, self._tokens.password), url)

    def _token_for(self, url: httpx.URL) -> str:
        """Return the token, but only for the service it belongs to: a link elsewhere would give it away."""
        if (url.scheme, url.host, url.port) != (self.root.scheme, self.root.host, self.root.port):
            raise UsiBadAnswer(f"USI links to another site, {_place(url)}; USI_URL is {_place(self.root)}.")
        return self._tokens.get(self._transport)

    def _record(self, sample: Document) -> RemoteRecord:
        processing = self._related(sample, "processingStatus")
        validation = self._related(sample, "validationResult")
        alias, accession = _text(sample, "alias"), _text(sample, "accession")
        if not 0 < len(alias) <= ALIAS_LENGTH or len(accession) > ACCESSION_LENGTH:
            raise UsiBadAnswer("USI lists a sample whose alias or accession is missing or too long.")
        return RemoteRecord(
            alias=alias,
            is_animal=_is_animal(sample),
            accession=accession,
            status=_text(processing, "status"),
            message=_text(processing, "message"),
            validation=_text(validation, "validationStatus"),
            errors=_validation_errors(validation),
        )

    def _related(self, document: Document, relation: str) -> Document:
        """Return a related document: embedded if USI sent it along, else by its link, else empty."""
        embedded = _object(document.get("_embedded")).get(relation)
        if isinstance(embedded, dict):
            return embedded
        return self.get(_link(document, relation)) if relation in _object(document.get("_links")) else {}


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Accept": "application/hal+json, application/json"}


def _accept(answer: Answer, url: httpx.URL) -> None:
    if answer.status == 401:
        raise UsiAccountRefused(
            "USI does not accept the token of our account: check that USI_URL and USI_AUTH_URL fit."
        )
    if answer.status == 404:
        raise UsiRefused(f"USI knows nothing at {_place(url)} (404): check the name in USI, and USI_URL.")
    if 400 <= answer.status < 500:
        raise UsiRefused(f"USI refused {_place(url)} ({answer.status}).")
    if answer.status != 200:
        raise UsiBadAnswer(f"{_place(url)} answered {answer.status} instead of a document: check USI_URL.")


def _hide(text: str, *secrets: str) -> str:
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return text


def _parse(text: str, url: httpx.URL) -> Document:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsiBadAnswer(f"{_place(url)} did not answer JSON.") from error
    if not isinstance(document, dict):
        raise UsiBadAnswer(f"{_place(url)} answered JSON that is no object.")
    return document


def _segment(name: str) -> str:
    """Return a name as one segment of a path; a slash in it must not reach other resources."""
    if not name or name in {".", ".."} or set(name) & set("/\\?#%"):
        raise UsiRefused(f"“{name}” cannot be the name of a submission in USI: correct “name in USI”.")
    return name


def _link(document: Document, relation: str) -> httpx.URL:
    link = _object(document.get("_links")).get(relation)
    href = link.get("href") if isinstance(link, dict) else None
    if not isinstance(href, str):
        raise UsiBadAnswer(f"USI gave no link “{relation}”.")
    try:
        # Of a template ({?projection}) the variables are all optional here.
        return httpx.URL(href.partition("{")[0])
    except httpx.InvalidURL as error:
        raise UsiBadAnswer(f"The link “{relation}” of USI is no address.") from error


def _next(page: Document, url: httpx.URL) -> httpx.URL | None:
    """Return where the next page is; an answer that hides pages is an error, for we would miss records."""
    if "next" in _object(page.get("_links")):
        return _link(page, "next")
    numbers = _object(page.get("page"))
    total, number = numbers.get("totalPages"), numbers.get("number", 0)
    if isinstance(total, int) and isinstance(number, int) and number + 1 < total:
        raise UsiBadAnswer(f"{_place(url)} is page {number + 1} of {total} but does not link to the next.")
    return None


def _members(page: Document, relation: str) -> list[Document]:
    members = _object(page.get("_embedded")).get(relation, [])
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise UsiBadAnswer(f"The collection “{relation}” of USI is no list of objects.")
    return members


def _object(value: Any) -> Document:
    return value if isinstance(value, dict) else {}


def _text(document: Document, name: str) -> str:
    """Return a text, empty when absent; without NUL, which PostgreSQL cannot store."""
    value = document.get(name)
    return value.replace("\x00", "").strip() if isinstance(value, str) else ""


def _is_animal(sample: Document) -> bool:
    """Return whether the sample's material is the whole organism."""
    material = _object(sample.get("attributes")).get("material")
    return isinstance(material, list) and any(_object(entry).get("value") == "organism" for entry in material)


def _validation_errors(validation: Document) -> list[str]:
    """Return what the validators that said Error complain about, each with the validator's name."""
    outcomes = _object(validation.get("overallValidationOutcomeByAuthor"))
    messages = _object(validation.get("errorMessages"))
    found: list[str] = []
    for author in sorted({*outcomes, *messages}):
        if str(outcomes.get(author, "Error")).lower() != "error":
            continue
        texts = messages.get(author) or []
        listed = [str(text) for text in texts] if isinstance(texts, list) else [str(texts)]
        if not listed and author in outcomes:
            listed = ["an error without a message"]
        found += [f"{author}: {text}".replace("\x00", "") for text in listed]
    return found
