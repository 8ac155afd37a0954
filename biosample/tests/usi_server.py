"""A local HTTP server that speaks the interface of USI and of its token service, and misbehaves on demand."""

import base64
import dataclasses
import json
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

USER = "curator"
PASSWORD = "correct horse battery"


@dataclasses.dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path contains `path`."""

    path: str
    kind: str  # status, broken, html, list, slow, trickle, reset, redirect
    times: int = 1
    status: int = 500
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: str = "{}"


def sample(
    alias: str, status: str = "Draft", *, accession: str = "", validation: str = "Complete", **more: Any
) -> dict[str, Any]:
    """Return a sample as USI stores it; `errors` is {validator: [messages]}."""
    return {
        "alias": alias,
        "status": status,
        "accession": accession,
        "validation": validation,
        "message": more.get("message", ""),
        "errors": more.get("errors", {}),
        "material": "organism" if alias.startswith("animal") else "specimen from organism",
    }


class UsiServer(ThreadingHTTPServer):
    """Use as a context manager; `url` and `auth_url` are its addresses."""

    daemon_threads = False
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.submissions: dict[str, dict[str, Any]] = {}
        self.page_size = 20
        self.embed = True  # whether statuses travel inside the samples
        self.token_life = 3600.0
        self.tokens: set[str] = set()
        self.faults: list[Fault] = []
        self.requests: list[str] = []  # paths in the order they came
        self.authorizations: list[str] = []
        self.crashes: list[BaseException] = []
        self.stopping = threading.Event()
        self._guard = threading.Lock()
        self._issued = 0
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="usi")

    def add(self, name: str, *records: dict[str, Any], status: str = "Submitted") -> None:
        """Add a submission with its samples."""
        self.submissions[name] = {"status": status, "records": list(records)}

    def fail(self, path: str, kind: str, **more: Any) -> None:
        """Let the next requests of `path` go wrong."""
        self.faults.append(Fault(path, kind, **more))

    def revoke(self) -> None:
        """Let all tokens expire, whatever they say about themselves."""
        self.tokens.clear()

    def asked(self, path: str) -> int:
        """Return how many requests had `path` in their path."""
        return sum(path in request for request in self.requests)

    def next_fault(self, path: str) -> Fault | None:
        """Take the fault that is planned for this request."""
        with self._guard:
            for fault in self.faults:
                if fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def new_token(self) -> str:
        """Issue a token; only the middle part has a meaning."""
        with self._guard:
            self._issued += 1
            now = time.time()
            claims = {"sub": "usr-1", "iat": now, "exp": now + self.token_life, "number": self._issued}
            parts = ({"alg": "RS256"}, claims, {"signature": "none"})
            encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
            token = ".".join(encoded)
            self.tokens.add(token)
            return token

    @property
    def url(self) -> str:
        """The root of USI."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def auth_url(self) -> str:
        """The address of the token service."""
        return f"{self.url}/auth"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong in the server itself; a client that hangs up is no error."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError):
            self.crashes.append(error)

    def __enter__(self) -> "UsiServer":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        assert not self.crashes, self.crashes


class _Handler(BaseHTTPRequestHandler):
    server: UsiServer

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer one request."""
        parts = urlsplit(self.path)
        self.server.requests.append(self.path)
        self.server.authorizations.append(self.headers.get("Authorization", ""))
        fault = self.server.next_fault(self.path)
        if fault is not None and self._misbehave(fault):
            return
        if parts.path == "/auth":
            self._token()
        elif self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.tokens:
            self._answer(401, json.dumps({"error": "unauthorized", "seen": self.headers.get("Authorization")}))
        else:
            document = self._document(parts.path, parse_qs(parts.query))
            self._answer(200, json.dumps(document)) if document else self._answer(404, '{"status": 404}')

    def _misbehave(self, fault: Fault) -> bool:
        """Do what the fault says; return whether the request is dealt with."""
        if fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            self.wfile = self.rfile = _Closed()  # type: ignore[assignment]
        elif fault.kind == "slow":
            return self.server.stopping.wait(float(fault.body))
        elif fault.kind == "trickle":
            self._trickle()
        else:
            bodies = {"broken": '{"alias": ', "html": "<html>Login</html>", "list": "[1, 2]"}
            status = fault.status if fault.kind in {"status", "redirect"} else 200
            self._answer(status, bodies.get(fault.kind, fault.body), fault.headers)
        return True

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.server.stopping.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()

    def _token(self) -> None:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {expected}":
            self._answer(200, self.server.new_token(), {"Content-Type": "text/plain"})
        else:
            self._answer(401, '{"error": "Bad credentials"}')

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/hal+json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _document(self, path: str, query: dict[str, list[str]]) -> dict[str, Any] | None:
        parts = [part for part in path.split("/") if part]
        if parts == ["api", "samples", "search", "by-submission"]:
            return self._samples(query)
        if parts[:2] == ["api", "samples"] and len(parts) == 5:
            return self._part(*parts[2:])
        stored = self.server.submissions.get(parts[2]) if parts[:2] == ["api", "submissions"] and parts[2:] else None
        if stored is None:
            return None
        base = f"{self.server.url}/api/submissions/{parts[2]}"
        if parts[3:] == ["submissionStatus"]:
            return {"status": stored["status"]}
        if parts[3:] == ["contents"]:
            samples = f"{self.server.url}/api/samples/search/by-submission?submissionId={quote(parts[2])}"
            return {"_links": {"samples": {"href": samples}}}
        return {
            "submissionDate": "2026-01-01",
            "_links": {
                "self": {"href": base + "{?projection}", "templated": True},
                "submissionStatus": {"href": f"{base}/submissionStatus"},
                "contents": {"href": f"{base}/contents{{?projection}}", "templated": True},
            },
        }

    def _samples(self, query: dict[str, list[str]]) -> dict[str, Any] | None:
        name, number = query["submissionId"][0], int(query.get("page", ["0"])[0])
        size = self.server.page_size
        records = self.server.submissions[name]["records"]
        total = -(-len(records) // size)
        here = f"{self.server.url}/api/samples/search/by-submission?submissionId={quote(name)}"
        links = {"self": {"href": f"{here}&page={number}"}}
        if number + 1 < total:
            links["next"] = {"href": f"{here}&page={number + 1}"}
        page: dict[str, Any] = {
            "_links": links,
            "page": {"size": size, "totalElements": len(records), "totalPages": total, "number": number},
        }
        if records:
            chosen = list(enumerate(records))[number * size : (number + 1) * size]
            page["_embedded"] = {"samples": [self._sample(name, index, record) for index, record in chosen]}
        return page

    def _sample(self, name: str, index: int, record: dict[str, Any]) -> dict[str, Any]:
        base = f"{self.server.url}/api/samples/{quote(name)}/{index}"
        document: dict[str, Any] = {
            "alias": record["alias"],
            "attributes": {"material": [{"value": record["material"], "terms": []}]},
            "_links": {
                "processingStatus": {"href": f"{base}/processingStatus"},
                "validationResult": {"href": f"{base}/validationResult"},
            },
        }
        if record["accession"]:
            document["accession"] = record["accession"]
        if self.server.embed:
            document["_embedded"] = {
                "processingStatus": _processing(record),
                "validationResult": _validation(record),
            }
        return document

    def _part(self, name: str, index: str, part: str) -> dict[str, Any]:
        record = self.server.submissions[name]["records"][int(index)]
        return _processing(record) if part == "processingStatus" else _validation(record)


def _processing(record: dict[str, Any]) -> dict[str, Any]:
    return {"alias": record["alias"], "status": record["status"], "message": record["message"] or None}


def _validation(record: dict[str, Any]) -> dict[str, Any]:
    errors: dict[str, list[str]] = record["errors"]
    return {
        "validationStatus": record["validation"],
        "overallValidationOutcomeByAuthor": {
            author: "Error" if errors.get(author) else "Pass" for author in ("Core", "Taxonomy", *errors)
        },
        "errorMessages": {"Core": [], "Taxonomy": [], **errors},
    }


class _Closed:
    """Stands in for the streams of a connection that is gone."""

    closed = True

    def close(self) -> None:
        """Nothing is open."""

    def flush(self) -> None:
        """Nothing is held."""
