"""What is sent compressed, to whom, and what must not be: parts, pictures, downloads, answers that come later."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.staticfiles import finders
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.urls import path

from jobroom.audit.models import Act
from jobroom.web.compression import Compression, is_text, takes_gzip
from jobroom.web.handler import Handler, answer_later

GZIP = {"accept-encoding": "gzip, deflate, br, zstd"}
LONG = "A page with words in it. " * 200
SCRIPT = "/static/jobroom/js/main.js"


def through(answer, headers=GZIP):
    return Compression(lambda request: answer)(RequestFactory().get("/", headers=headers))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True), ("br, gzip", True), ("deflate, gzip;q=0.5", True), ("gzip; q=1.0", True), ("gzip;q=0", False),
        ("br, gzip; q=0.000", False), ("x-gzip", False), ("identity", False), ("", False),
    ],
)  # fmt: skip
def test_clients_say_what_they_read(header, expected):
    assert takes_gzip(RequestFactory().get("/", headers={"accept-encoding": header})) is expected
    assert through(HttpResponse(LONG), {"accept-encoding": header}).has_header("Content-Encoding") is expected


@pytest.mark.parametrize(
    "kind", ["text/html; charset=utf-8", "application/json", "application/problem+json", "text/csv", "image/svg+xml"]
)
def test_texts_are_compressed_and_are_the_same_afterwards(kind):
    answer = through(HttpResponse(LONG, content_type=kind, headers={"ETag": '"7"'}))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["ETag"] == 'W/"7"', "a strong one would promise the same bytes"
    assert int(answer.headers["Content-Length"]) == len(answer.content) < len(LONG) / 4
    assert gzip.decompress(answer.content).decode() == LONG


def test_the_length_of_an_answer_says_nothing_of_what_is_in_it():
    """Who lets a browser ask again and again with guesses, and sees lengths alone, learns no secret by them (BREACH)."""
    assert len({len(through(HttpResponse(LONG)).content) for _ in range(50)}) > 5


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse("short"),
        HttpResponse(LONG, content_type="image/png"),
        HttpResponse(LONG, content_type="application/octet-stream"),
        HttpResponse(LONG, content_type="application/zip"),
        HttpResponse(LONG, content_type="text/event-stream"),
        HttpResponse(LONG, status=206, headers={"Content-Range": "bytes 0-4999/9999"}),
        HttpResponse(LONG, headers={"Cache-Control": "no-transform"}),
        HttpResponse(LONG, headers={"Content-Encoding": "br"}),
    ],
    ids=["short", "picture", "download", "archive", "events", "part", "not to be changed", "encoded"],
)
def test_what_is_left_alone(answer):
    before = (answer.content, dict(answer.headers))
    assert (through(answer).content, dict(answer.headers)) == before


def test_a_shared_cache_learns_that_others_get_it_compressed():
    assert through(HttpResponse(LONG), {}).headers["Vary"] == "Accept-Encoding"


def test_a_stream_of_rows_stays_a_stream():
    asked = 0

    def rows():
        nonlocal asked
        for asked in range(1, 20_001):
            yield f"{asked},a row of an export\n"

    pieces = iter(through(StreamingHttpResponse(rows(), content_type="text/csv")))
    first = next(pieces) + next(pieces)
    assert 0 < asked < 20_000, "all was read before something was sent"
    assert gzip.decompress(first + b"".join(pieces)).count(b"\n") == 20_000


@pytest.mark.django_db
def test_an_export_arrives_whole(client, admin_user):
    client.force_login(admin_user)
    Act.objects.bulk_create(
        Act(who=f"person {number}", action="cancel", kind="job", target="x") for number in range(3000)
    )
    whole = b"".join(client.get("/audit/export.csv").streaming_content)
    sent = b"".join(client.get("/audit/export.csv", headers=GZIP).streaming_content)
    assert gzip.decompress(sent) == whole
    assert len(sent) < len(whole) / 5


def test_types_of_texts():
    assert [
        kind for kind in ("font/woff2", "model/gltf-binary", "model/3mf", "application/gzip", "") if is_text(kind)
    ] == []


def late(request):
    async def later():
        return JsonResponse({"text": LONG})

    now = JsonResponse({"text": LONG, "only": "for now"})
    answer_later(request, now, later)
    return now


urlpatterns = [path("late", late)]


@pytest.mark.parametrize("middleware", ["jobroom.web.compression.Compression", "django.middleware.gzip.GZipMiddleware"])
async def test_an_answer_that_comes_later_is_what_its_headers_say(settings, middleware):
    """With ours it is compressed; with Django's, in a project of others, nothing says so of an answer that it has not seen."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, [middleware]
    handler = Handler()
    headers = [(b"host", b"localhost"), (b"accept-encoding", b"gzip")]
    scope = {"type": "http", "method": "GET", "path": "/late", "query_string": b"", "headers": headers}
    wire = ApplicationCommunicator(handler, scope)
    await wire.send_input({"type": "http.request", "body": b""})
    start, body = await wire.receive_output(20), await wire.receive_output(20)
    await wire.wait(20)
    handler.close()
    said = {name.decode(): value.decode() for name, value in start["headers"]}
    content = body["body"]
    assert int(said.get("Content-Length", len(content))) == len(content)
    assert ("Content-Encoding" in said) is middleware.startswith("jobroom")
    assert json.loads(gzip.decompress(content) if "Content-Encoding" in said else content) == {"text": LONG}


def sent(answer):
    """Return the content of a static file's answer, streamed or not."""
    if not answer.streaming:
        return answer.content

    async def read():
        return b"".join([piece async for piece in answer.streaming_content])

    return asyncio.run(read())


def test_static_texts_are_compressed_once_for_those_who_take_it(client):
    whole = Path(finders.find("jobroom/js/main.js")).read_bytes()
    plain = client.get(SCRIPT)
    assert (sent(plain), plain.headers["Vary"]) == (whole, "Accept-Encoding")
    packed = client.get(SCRIPT, headers=GZIP)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == whole
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    assert packed.headers["Last-Modified"] == plain.headers["Last-Modified"]
    assert client.get(SCRIPT, headers=GZIP).content is packed.content, "it was compressed again"


def test_a_static_file_that_the_browser_has_is_not_sent_again(client):
    for headers in (GZIP, {}):
        tag = client.get(SCRIPT, headers=headers).headers["ETag"]
        assert client.get(SCRIPT, headers={**GZIP, "if-none-match": tag}).status_code == 304
    assert client.get(SCRIPT, headers={**GZIP, "if-none-match": 'W/"other"'}).status_code == 200


def test_a_part_of_a_static_file_is_a_part_of_the_file_itself(client):
    part = client.get(SCRIPT, headers={**GZIP, "range": "bytes=0-99"})
    assert (part.status_code, part.has_header("Content-Encoding")) == (206, False)
    assert sent(part) == sent(client.get(SCRIPT))[:100]


@pytest.mark.parametrize("name", ["vendor/inter/inter-5.3.0-latin.woff2", "img/icon.svg"])
def test_static_files_that_would_not_be_shorter(client, name):
    assert not client.get(f"/static/jobroom/{name}", headers=GZIP).has_header("Content-Encoding")
