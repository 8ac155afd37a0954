"""The client against a real local HTTP server."""

import logging
import socket
import time

import pytest

from biosample import usi
from biosample.exceptions import UsiAccountRefused, UsiBadAnswer, UsiRefused, UsiUnavailable
from biosample.tests.usi_server import PASSWORD, sample


@pytest.fixture
def server(usi_server):
    usi_server.add("sub-1", sample("animal_1", "Completed", accession="SAMEA1"), sample("sample_1", "Processing"))
    return usi_server


@pytest.fixture
def client(server):
    with usi.Client() as client:
        yield client


def test_reads_a_submission_with_its_records(client):
    submission = client.submission("sub-1")
    assert submission.status == "Submitted"
    animal, other = submission.records
    assert (animal.alias, animal.is_animal, animal.accession) == ("animal_1", True, "SAMEA1")
    assert (other.alias, other.is_animal, other.accession, other.status) == ("sample_1", False, "", "Processing")
    assert other.validation == "Complete"


def test_follows_links_where_nothing_is_embedded(client, server):
    server.embed = False
    assert [record.status for record in client.submission("sub-1").records] == ["Completed", "Processing"]


def test_a_submission_without_records_is_empty(client, server):
    server.add("empty")
    assert client.submission("empty").records == []


def test_reads_all_pages(client, server):
    server.page_size = 3
    server.add("long", *(sample(f"sample_{number}") for number in range(10)))
    assert [record.alias for record in client.submission("long").records] == [f"sample_{n}" for n in range(10)]
    assert server.asked("by-submission") == 4


def test_pages_have_a_bound(client, server, settings):
    settings.BIOSAMPLE_USI_PAGES = 2
    server.page_size = 1
    server.add("long", *(sample(f"sample_{number}") for number in range(5)))
    with pytest.raises(UsiBadAnswer, match="pages"):
        client.submission("long")


def test_pages_that_turn_in_a_circle_end(client, server):
    here = f"{server.url}/api/samples/search/by-submission?submissionId=sub-1"
    server.fail("by-submission", "other", body=f'{{"_links": {{"next": {{"href": "{here}"}}}}}}')
    with pytest.raises(UsiBadAnswer, match="circle"):
        client.submission("sub-1")


def test_a_missing_link_to_the_next_page_is_no_silent_end(client, server):
    server.fail("by-submission", "other", body='{"page": {"number": 0, "totalPages": 2}}')
    with pytest.raises(UsiBadAnswer, match="page 1 of 2"):
        client.submission("sub-1")


def test_names_what_the_validators_found(client, server):
    server.add("bad", sample("animal_1", errors={"Core": ["no taxon", "no date"], "Ena": []}))
    assert client.submission("bad").records[0].errors == ["Core: no taxon", "Core: no date"]


def test_the_token_is_asked_for_once_and_shared(client, server):
    client.submission("sub-1")
    with usi.Client() as other:
        other.submission("sub-1")
    assert server.asked("/auth") == 1


def test_a_token_near_its_end_is_renewed(client, server):
    server.token_life = 0
    client.submission("sub-1")
    assert server.asked("/auth") > 1


def test_a_token_that_expired_early_is_renewed_once(client, server):
    client.submission("sub-1")
    server.revoke()
    assert client.submission("sub-1").status == "Submitted"
    assert server.asked("/auth") == 2


def test_a_token_that_is_never_accepted_ends_in_a_refusal(client, server):
    server.fail("/api/", "status", status=401, times=100)
    with pytest.raises(UsiAccountRefused, match="USI_AUTH_URL"):
        client.submission("sub-1")
    assert server.asked("/api/") == 2


def test_a_wrong_password_names_the_settings(server, settings):
    settings.BIOSAMPLE_USI_PASSWORD = "wrong password"
    with usi.Client() as client, pytest.raises(UsiAccountRefused, match="USI_USER and USI_PASSWORD"):
        client.submission("sub-1")
    assert server.asked("/auth") == 1


@pytest.mark.parametrize("body", ["<html>Login</html>", "a.b.c", "", "a.eyJ4IjogMX0.c"])
def test_a_token_service_that_gives_no_token_is_named(client, server, body):
    server.fail("/auth", "other", body=body)
    with pytest.raises(UsiAccountRefused, match="USI_AUTH_URL"):
        client.submission("sub-1")


def test_rides_out_server_errors(client, server):
    server.fail("/api/submissions", "status", status=500, times=2)
    assert client.submission("sub-1").status == "Submitted"


def test_rides_out_a_broken_connection(client, server):
    server.fail("/api/submissions", "reset", times=2)
    assert client.submission("sub-1").status == "Submitted"


@pytest.mark.parametrize("status", [503, 429])
def test_waits_as_long_as_the_answer_says(client, server, status):
    client.submission("sub-1")
    server.fail("/api/submissions", "status", status=status, headers={"Retry-After": "0"})
    server.fail("/api/submissions", "status", status=status)
    assert client.submission("sub-1").status == "Submitted"


def test_a_long_wait_is_handed_to_the_caller(client, server):
    server.fail("/api/submissions", "status", status=503, headers={"Retry-After": "120"})
    with pytest.raises(UsiUnavailable) as caught:
        client.submission("sub-1")
    assert caught.value.retry_after == 120
    assert server.asked("/api/submissions") == 1


@pytest.mark.parametrize("text", ["Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 -0000"])
def test_a_wait_may_be_a_date(client, server, text):
    server.fail("/api/submissions", "status", status=503, headers={"Retry-After": text})
    with pytest.raises(UsiUnavailable) as caught:
        client.submission("sub-1")
    assert (caught.value.retry_after or 0) > 1e6


def test_gives_up_after_so_many_attempts(client, server):
    server.fail("/api/submissions", "status", status=500, times=100)
    with pytest.raises(UsiUnavailable, match="500"):
        client.submission("sub-1")
    assert server.asked("/api/submissions") == 4


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_never_repeats_what_was_refused(client, server, status):
    server.fail("/api/submissions", "status", status=status, times=100)
    with pytest.raises(UsiRefused, match=str(status)):
        client.submission("sub-1")
    assert server.asked("/api/submissions") == 1


def test_an_unknown_name_is_a_refusal_that_names_it(client):
    with pytest.raises(UsiRefused, match="submissions/nowhere"):
        client.submission("nowhere")


@pytest.mark.parametrize("name", ["../user/teams", "a/b", "a?x=1", "..", ""])
def test_a_name_reaches_no_other_resource(client, server, name):
    with pytest.raises(UsiRefused, match="name in USI"):
        client.submission(name)
    assert server.requests == []


@pytest.mark.parametrize("kind", ["broken", "html", "list", "redirect"])
def test_what_is_no_document_is_a_bad_answer(client, server, kind):
    server.fail("/api/submissions", kind, status=302, headers={"Location": "/elsewhere"})
    with pytest.raises(UsiBadAnswer):
        client.submission("sub-1")
    assert server.asked("/api/submissions") == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"submissionStatus": "Draft"}',
        '{"submissionStatus": "Draft", "_links": {"contents": "x"}}',
        '{"submissionStatus": "Draft", "_links": {"contents": {"href": 5}}}',
        '{"submissionStatus": "Draft", "_links": {"contents": {"href": "http://[::1"}}}',
        '{"submissionStatus": "Draft", "_links": []}',
    ],
)
def test_a_missing_or_odd_link_is_a_bad_answer(client, server, body):
    server.fail("/api/submissions", "other", body=body)
    with pytest.raises(UsiBadAnswer):
        client.submission("sub-1")


@pytest.mark.parametrize("members", ['"x"', "[1]", '[{"title": "no alias"}]', '[{"alias": "' + "x" * 201 + '"}]'])
def test_odd_samples_are_a_bad_answer(client, server, members):
    server.fail("by-submission", "other", body=f'{{"_embedded": {{"samples": {members}}}}}')
    with pytest.raises(UsiBadAnswer):
        client.submission("sub-1")


def test_the_token_is_never_sent_to_another_site(client, server):
    body = '{"submissionStatus": "Draft", "_links": {"contents": {"href": "http://localhost:1/api/contents"}}}'
    server.fail("/api/submissions", "other", body=body)
    with pytest.raises(UsiBadAnswer, match="another site"):
        client.submission("sub-1")


def test_a_slow_answer_ends_in_time(client, server, settings):
    client.submission("sub-1")
    settings.BIOSAMPLE_USI_TIMEOUT = 0.1
    settings.BIOSAMPLE_USI_ATTEMPTS = 2
    server.fail("/api/submissions", "slow", body="30", times=2)
    began = time.monotonic()
    with usi.Client() as impatient, pytest.raises(UsiUnavailable, match="in time"):
        impatient.submission("sub-1")
    assert time.monotonic() - began < 28, "it would be there after thirty seconds"


def test_a_trickling_answer_ends_in_time(client, server, settings):
    settings.BIOSAMPLE_USI_ANSWER_TIMEOUT = 0.2
    settings.BIOSAMPLE_USI_ATTEMPTS = 1
    server.fail("/api/submissions", "trickle")
    with pytest.raises(UsiUnavailable, match="in time"):
        client.submission("sub-1")


def test_an_endless_answer_is_cut_off(client, server, settings):
    settings.BIOSAMPLE_USI_ANSWER_LIMIT = 3000
    client.submission("sub-1")
    server.fail("/api/submissions", "other", body=" " * 5000)
    with pytest.raises(UsiBadAnswer, match="3000 bytes"):
        client.submission("sub-1")


def test_no_one_there_is_unavailable(settings, usi_server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.BIOSAMPLE_USI_AUTH_URL = f"http://127.0.0.1:{free.getsockname()[1]}/auth"
        with usi.Client() as client, pytest.raises(UsiUnavailable, match="no connection"):
            client.submission("sub-1")


def test_secrets_stay_out_of_errors_and_logs(client, server, caplog):
    caplog.set_level(logging.DEBUG)
    client.submission("sub-1")
    token = next(iter(server.tokens))
    server.fail("/api/submissions", "status", status=500, body=f'"{token} {PASSWORD}"', times=100)
    with pytest.raises(UsiUnavailable) as caught:
        client.submission("sub-1")
    said = caplog.text + str(caught.getrepr(chain=True, showlocals=False)) + str(caught.value)
    assert token not in said
    assert PASSWORD not in said


def test_an_echoed_secret_is_hidden(client, server):
    client.submission("sub-1")
    token = next(iter(server.tokens))
    server.add("echo", sample("animal_1", "Error", message=f"bad header: Bearer {token} of {PASSWORD}"))
    message = client.submission("echo").records[0].message
    assert message == "bad header: Bearer •••••• of ••••••"
