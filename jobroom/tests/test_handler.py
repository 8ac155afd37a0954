"""Django in a few threads: what it answers, and that an answer that comes later holds none of them."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from jobroom.audit.models import Act
from jobroom.web.handler import Handler, answer_later, has_threads, in_thread

gate: asyncio.Event
seen: list[str] = []


def plain(request):
    seen.append(threading.current_thread().name)
    return HttpResponse("plain")


def late(request):
    async def later():
        assert has_threads()
        await gate.wait()
        name = await in_thread(lambda: threading.current_thread().name)
        return JsonResponse({"thread": name})

    now = HttpResponse("now", headers={"Location": "/there", "X-Own": "kept"})
    answer_later(request, now, later)
    return now


def broken(request):
    async def later():
        raise ValueError("broken later")

    now = HttpResponse("now")
    answer_later(request, now, later)
    return now


def streamed(request):
    def rows():
        try:
            for number in range(30_000):
                assert no_loop(), "the event loop makes the rows"
                seen.append(threading.current_thread().name)
                yield f"row {number}\n"
        finally:
            seen.append("closed")

    return StreamingHttpResponse(rows(), content_type="text/csv")


def no_loop():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


urlpatterns = [path("plain", plain), path("late", late), path("broken", broken), path("streamed", streamed)]


@pytest.fixture
def handler(settings):
    settings.ROOT_URLCONF = __name__
    settings.JOBROOM = settings.JOBROOM | {"SERVER_THREADS": 2}
    seen.clear()
    made = Handler()
    yield made
    made.close()


def request(handler, address, *headers):
    scope = {
        "type": "http", "method": "GET", "path": address, "query_string": b"", "headers": [(b"host", b"localhost"), *headers],
    }  # fmt: skip
    return ApplicationCommunicator(handler, scope)


async def answer(wire):
    start = await wire.receive_output(20)
    body = await wire.receive_output(20)
    await wire.wait(20)
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


async def asked(handler, address):
    wire = request(handler, address)
    await wire.send_input({"type": "http.request", "body": b""})
    return wire


async def test_requests_share_the_threads(handler):
    wires = [await asked(handler, "/plain") for _ in range(8)]
    assert [(await answer(wire))[2] for wire in wires] == [b"plain"] * 8
    assert len(set(seen)) <= 2
    assert all(name.startswith("request") for name in seen)


async def test_an_answer_that_comes_later_holds_no_thread_and_carries_what_the_middleware_says(handler):
    global gate  # noqa: PLW0603 — an event belongs to the loop of its test
    gate = asyncio.Event()
    waiting = [await asked(handler, "/late") for _ in range(6)]
    plain = await answer(await asked(handler, "/plain"))
    assert plain[2] == b"plain", "more wait than there are threads"
    gate.set()
    for wire in waiting:
        status, headers, body = await answer(wire)
        assert (status, headers["X-Own"], headers["Content-Type"]) == (200, "kept", "application/json")
        assert "Content-Security-Policy" in headers
        assert "Location" not in headers
        assert b'"late' in body


async def test_what_goes_wrong_later_is_an_answer_too(handler, caplog):
    status, _, _ = await answer(await asked(handler, "/broken"))
    assert status == 500
    assert "broken later" in caplog.text


async def test_who_hangs_up_ends_the_wait(handler):
    global gate  # noqa: PLW0603
    gate = asyncio.Event()
    wire = await asked(handler, "/late")
    await answer(await asked(handler, "/plain"))
    await wire.send_input({"type": "http.disconnect"})
    await wire.wait(20)
    assert wire.output_queue.empty()


def test_elsewhere_nothing_is_answered_later(rf):
    async def later():
        raise AssertionError

    assert not answer_later(rf.get("/"), HttpResponse(), later)


async def pieces_of(wire):
    while (piece := await wire.receive_output(20)).get("more_body"):
        yield piece["body"]


async def test_a_stream_is_made_in_one_thread_as_it_is_read(handler):
    wire = await asked(handler, "/streamed")
    assert (await wire.receive_output(20))["status"] == 200
    body = [piece async for piece in pieces_of(wire)]
    await wire.wait(20)
    assert b"".join(body).count(b"\n") == 30_000
    assert 2 < len(body) < 100
    assert seen.pop() == "closed"
    assert len(set(seen)) == 1
    assert seen[0].startswith("stream")


async def test_who_hangs_up_ends_a_stream(handler):
    wire = await asked(handler, "/streamed")
    await wire.receive_output(20)
    await wire.receive_output(20)
    await wire.send_input({"type": "http.disconnect"})
    await wire.wait(20)
    assert seen[-1] == "closed"


@pytest.mark.django_db(transaction=True)
async def test_an_export_of_the_database_arrives_from_the_server_itself(settings, client, admin_user):
    await sync_to_async(client.force_login)(admin_user)
    await sync_to_async(acts)(3000)
    handler = Handler()
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()
    wire = request(handler, "/audit/export.csv", (b"cookie", cookie))
    await wire.send_input({"type": "http.request", "body": b""})
    assert (await wire.receive_output(20))["status"] == 200
    body = b"".join([piece async for piece in pieces_of(wire)])
    await wire.wait(20)
    handler.close()
    assert body.count(b"\n") == 3001


def acts(number):
    Act.objects.bulk_create(Act(who="ada", action="cancel", kind="job", target=str(one)) for one in range(number))
