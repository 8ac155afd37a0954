"""Bringing submissions up to date, against a real local HTTP server."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from django.core import mail
from django.utils import timezone

from biosample import services, usi
from biosample.exceptions import UsiAccountRefused, UsiNotConfigured, UsiUnavailable
from biosample.models import Record, Submission
from biosample.services.mails import shorten
from biosample.services.verdicts import judge, judge_record
from biosample.states import State
from biosample.tests.usi_server import PASSWORD, sample
from biosample.usi import RemoteRecord, RemoteSubmission
from jobroom.exceptions import JobFailed

pytestmark = [pytest.mark.django_db, pytest.mark.sql]


def long_ago(days: float = 6) -> datetime:
    return timezone.now() - timedelta(days=days)


def states(submission: Submission) -> dict[str, State]:
    return {record.alias: State(record.state) for record in submission.records.all()}


def test_a_completed_submission_gets_its_accessions(usi_server, make_submission):
    submission = make_submission(records=["animal_1", "sample_1"])
    usi_server.page_size = 1
    usi_server.add(
        "sub-1",
        sample("animal_1", "Completed", accession="SAMEA1"),
        sample("sample_1", "Completed", accession="SAMEA2"),
        status="Completed",
    )
    result = services.fetch_statuses()
    submission.refresh_from_db()
    assert submission.state == State.COMPLETED
    assert submission.usi_status == "Completed"
    assert dict(submission.records.values_list("alias", "accession")) == {"animal_1": "SAMEA1", "sample_1": "SAMEA2"}
    assert set(states(submission).values()) == {State.COMPLETED}
    assert (result["summary"], mail.outbox) == ("1 checked: 1 completed.", [])


def test_records_that_only_usi_knows_are_added(usi_server, make_submission):
    submission = make_submission()
    usi_server.add("sub-1", sample("animal_1", "Completed", accession="SAMEA1"), sample("sample_1", "Processing"))
    services.fetch_statuses()
    assert {(r.alias, r.kind, r.accession, r.state) for r in submission.records.all()} == {
        ("animal_1", Record.Kind.ANIMAL, "SAMEA1", State.COMPLETED),
        ("sample_1", Record.Kind.SAMPLE, "", State.SUBMITTED),
    }


def test_while_usi_works_nothing_is_decided(usi_server, make_submission):
    submission = make_submission()
    usi_server.add(
        "sub-1",
        sample("animal_1", "Completed", accession="SAMEA1"),
        sample("sample_1", "Error", message="no such taxon"),
        sample("sample_2", "Processing"),
    )
    assert services.fetch_statuses()["running"] == 1
    submission.refresh_from_db()
    assert submission.state == State.SUBMITTED
    assert submission.checked_at is not None
    assert states(submission)["animal_1"] == State.COMPLETED
    assert mail.outbox == []


def test_validation_errors_go_to_the_owner_once(usi_server, make_submission):
    submission = make_submission(records=["animal_1"])
    usi_server.add(
        "sub-1",
        sample("animal_1", errors={"Core": ["the taxon is missing"], "Biosamples": ["unknown breed"]}),
        sample("sample_1"),
        status="Draft",
    )
    first, second = services.fetch_statuses(), services.fetch_statuses()
    submission.refresh_from_db()
    assert submission.state == State.NEED_REVISION
    assert submission.records.get(alias="animal_1").errors == [
        "Biosamples: unknown breed",
        "Core: the taxon is missing",
    ]
    assert states(submission) == {"animal_1": State.NEED_REVISION, "sample_1": State.SUBMITTED}
    assert (first["need_revision"], first["mails"], second["checked"], second["mails"]) == (1, 1, 0, 0)
    (sent,) = mail.outbox
    assert sent.to == ["olga@example.org"]
    assert sent.subject == "Need revision: your submission “Goats sub-1”"
    assert "animal_1\n  - Biosamples: unknown breed\n  - Core: the taxon is missing" in sent.body
    assert "Shortened" not in sent.body
    assert submission.mail_due_at is None


def test_an_error_of_the_archive_goes_to_the_owner(usi_server, make_submission):
    submission = make_submission()
    usi_server.add(
        "sub-1",
        sample("animal_1", "Rejected", message="no such taxon"),
        sample("sample_1", "Completed", accession="S2"),
    )
    assert services.fetch_statuses()["error"] == 1
    submission.refresh_from_db()
    assert submission.state == State.ERROR
    assert "1 of 2 records have errors" in submission.message
    assert "  - no such taxon" in mail.outbox[0].body
    assert submission.records.get(alias="sample_1").accession == "S2"


def test_a_corrected_submission_is_taken_up_again_and_may_fail_again(usi_server, make_submission):
    submission = make_submission()
    usi_server.add("sub-1", sample("animal_1", errors={"Core": ["the taxon is missing"]}))
    services.fetch_statuses()
    submission.refresh_from_db()
    submission.submit()
    services.fetch_statuses()
    assert len(mail.outbox) == 2
    submission.refresh_from_db()
    submission.submit()
    usi_server.add("sub-1", sample("animal_1", "Completed", accession="SAMEA1"))
    services.fetch_statuses()
    record = submission.records.get()
    assert (record.state, record.errors, record.accession) == (State.COMPLETED, [], "SAMEA1")


def test_gives_up_after_max_days(usi_server, make_submission, settings):
    late = make_submission("late", changed_at=long_ago())
    young = make_submission("young", changed_at=long_ago(4.9))
    done = make_submission("done", changed_at=long_ago())
    for name in ("late", "young"):
        usi_server.add(name, sample("animal_1", "Processing"), status="Processing")
    usi_server.add("done", sample("animal_1", "Completed", accession="SAMEA1"))
    services.fetch_statuses()
    for submission in (late, young, done):
        submission.refresh_from_db()
    assert (late.state, young.state, done.state) == (State.ERROR, State.SUBMITTED, State.COMPLETED)
    assert "not done after 5 days" in late.message
    assert "“Processing”" in late.message
    assert [sent.subject for sent in mail.outbox] == ["Error: your submission “Goats late”"]
    settings.BIOSAMPLE_MAX_DAYS = 4
    services.fetch_statuses()
    young.refresh_from_db()
    assert young.state == State.ERROR


def test_a_record_that_usi_lost_keeps_the_submission_open(usi_server, make_submission):
    submission = make_submission(records=["animal_1", "animal_2"])
    usi_server.add("sub-1", sample("animal_1", "Completed", accession="SAMEA1"), status="Completed")
    services.fetch_statuses()
    submission.refresh_from_db()
    assert (submission.state, submission.problem) == (State.SUBMITTED, "USI does not list: animal_2.")
    Submission.objects.update(changed_at=long_ago())
    services.fetch_statuses()
    submission.refresh_from_db()
    assert submission.state == State.ERROR
    assert "animal_2" in submission.message


@pytest.mark.parametrize("kind", ["broken", "html", "list", "status"])
def test_one_that_cannot_be_read_does_not_stop_the_others(usi_server, make_submission, kind):
    bad, good = make_submission("bad"), make_submission("good")
    for name in ("bad", "good"):
        usi_server.add(name, sample("animal_1", "Completed", accession="SAMEA1"))
    usi_server.fail("submissions/bad", kind, status=500, times=4)
    result = services.fetch_statuses()
    assert (result["unreadable"], result["completed"]) == (1, 1)
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, good.state) == (State.SUBMITTED, State.COMPLETED)
    assert "submissions/bad" in bad.problem
    usi_server.faults.clear()
    services.fetch_statuses()
    bad.refresh_from_db()
    assert (bad.state, bad.problem) == (State.COMPLETED, "")


def test_one_that_can_never_be_read_is_given_up(usi_server, make_submission):
    bad, good = make_submission("bad", changed_at=long_ago()), make_submission("good")
    usi_server.add("good", sample("animal_1", "Processing"))
    assert services.fetch_statuses()["error"] == 1
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, good.state) == (State.ERROR, State.SUBMITTED)
    assert "404" in bad.message


def test_a_bug_met_in_one_comes_out_after_the_others_had_their_turn(usi_server, make_submission, monkeypatch, caplog):
    bad, good = make_submission("bad"), make_submission("good")
    usi_server.add("good", sample("animal_1", "Completed", accession="SAMEA1"))
    fetch_status = services.fetch.fetch_status

    def buggy(*, pk, client):
        if pk == bad.pk:
            raise ZeroDivisionError("a bug")
        return fetch_status(pk=pk, client=client)

    monkeypatch.setattr(services.fetch, "fetch_status", buggy)
    with pytest.raises(ZeroDivisionError):
        services.fetch_statuses()
    good.refresh_from_db()
    assert good.state == State.COMPLETED
    assert f"Submission {bad.pk} could not be brought up to date" in caplog.text


def test_an_outage_stops_the_walk_and_changes_nothing(usi_server, make_submission):
    for number in range(6):
        make_submission(f"sub-{number}", changed_at=long_ago())
    usi_server.fail("/api/", "status", status=503, times=1000)
    with pytest.raises(UsiUnavailable, match="503"):
        services.fetch_statuses()
    assert usi_server.asked("/api/") == 3 * 4
    assert set(Submission.objects.values_list("state", flat=True)) == {State.SUBMITTED}
    assert mail.outbox == []


def test_one_submission_without_an_answer_is_an_outage_too(usi_server, make_submission):
    make_submission()
    usi_server.fail("/auth", "reset", times=1000)
    with pytest.raises(UsiUnavailable):
        services.fetch_statuses()


def test_a_refused_account_stops_the_walk(usi_server, make_submission, settings):
    settings.BIOSAMPLE_USI_PASSWORD = "wrong password"
    for number in range(3):
        make_submission(f"sub-{number}")
    with pytest.raises(UsiAccountRefused):
        services.fetch_statuses()
    assert usi_server.asked("/auth") == 1


def test_when_nothing_at_all_can_be_read_an_operator_is_notified_once(usi_server, make_submission):
    for number in range(4):
        make_submission(f"sub-{number}")
    with pytest.raises(JobFailed, match=r"any submission, for example: .*submissions/sub-0 \(404\)"):
        services.fetch_statuses()
    assert services.fetch_statuses()["summary"] == "4 checked: 4 unreadable."
    assert "submissions/sub-3 (404)" in Submission.objects.get(usi_name="sub-3").problem
    make_submission("sub-4")
    with pytest.raises(JobFailed):
        services.fetch_statuses()


def test_without_an_account_nothing_is_asked(usi_server, make_submission, settings):
    settings.BIOSAMPLE_USI_USER = ""
    assert services.fetch_statuses()["summary"] == "Nothing to fetch: no submission is submitted."
    make_submission()
    with pytest.raises(UsiNotConfigured, match="USI_USER and USI_PASSWORD"):
        services.fetch_statuses()
    assert usi_server.requests == []


def test_an_operator_is_notified_once(make_submission):
    assert services.stop(reason="No account.") == {"summary": "Still: No account.", "waiting": 0}
    submission = make_submission()
    with pytest.raises(JobFailed, match="No account"):
        services.stop(reason="No account.")
    submission.refresh_from_db()
    assert submission.problem == "No account."
    assert services.stop(reason="No account.")["waiting"] == 1
    with pytest.raises(JobFailed, match="Another"):
        services.stop(reason="Another.")


def test_a_submission_that_someone_changed_meanwhile_is_left_alone(usi_server, make_submission):
    submission = make_submission()
    usi_server.add("sub-1", sample("animal_1", "Error"))

    def track(rows, message):
        for row in rows:
            Submission.objects.update(state=State.READY)
            yield row

    assert services.fetch_statuses(track=track)["changed"] == 1
    submission.refresh_from_db()
    assert submission.state == State.READY
    assert not submission.records.exists()


def test_changed_while_usi_was_asked_is_left_alone_too(usi_server, make_submission, monkeypatch):
    submission = make_submission()
    usi_server.add("sub-1", sample("animal_1", "Error"))
    read = usi.Client.submission

    def slowly(client, name):
        remote = read(client, name)
        Submission.objects.update(state=State.READY)
        return remote

    monkeypatch.setattr(usi.Client, "submission", slowly)
    assert services.fetch_statuses()["changed"] == 1
    assert not submission.records.exists()
    assert mail.outbox == []


def test_a_mail_that_cannot_be_sent_is_tried_again(usi_server, make_submission, settings, caplog):
    submission = make_submission()
    usi_server.add("sub-1", sample("animal_1", "Error", message="no such taxon"))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert services.fetch_statuses()["mails"] == 0
    assert "the mail to its owner waits" in caplog.text
    submission.refresh_from_db()
    assert (submission.state, submission.mail_due_at > timezone.now()) == (State.ERROR, True)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert services.send_due_mails() == 0
    Submission.objects.update(mail_due_at=timezone.now())
    assert services.send_due_mails() == 1
    assert services.send_due_mails() == 0
    assert len(mail.outbox) == 1


def test_two_senders_send_one_mail(make_submission, monkeypatch):
    submission = make_submission()
    submission.fail("wrong")
    put_off = []

    def meanwhile(message, fail_silently=False):
        put_off.append(services.send_due_mails())
        return 1

    monkeypatch.setattr("biosample.services.mails.EmailMessage.send", meanwhile)
    assert services.send_due_mails() == 1
    assert put_off == [0]


def test_a_mail_whose_sender_died_has_the_same_key_and_a_new_failure_another(make_submission, owner):
    submission = make_submission()
    submission.fail("wrong")

    def send_again():
        Submission.objects.update(mail_due_at=timezone.now())  # as if no one had struck it off
        services.send_due_mails()
        return mail.outbox[-1].extra_headers["X-Mail-Key"]

    first = send_again()
    assert send_again() == first
    owner.email = "corrected@example.org"
    owner.save()
    corrected = send_again()
    submission.submit()
    submission.fail("wrong")
    assert len({first, corrected, send_again()}) == 3


def test_an_owner_without_an_address_gets_nothing_and_stops_nothing(make_submission, owner, caplog):
    owner.email = ""
    owner.save()
    submission = make_submission()
    submission.fail("wrong")
    assert services.send_due_mails() == 0
    submission.refresh_from_db()
    assert submission.mail_due_at is None
    assert "no e-mail address" in caplog.text


def test_a_title_over_two_lines_makes_one_subject(make_submission):
    make_submission(title="Goats\nBcc: everybody@example.org").fail("wrong")
    services.send_due_mails()
    assert mail.outbox[0].subject == "Error: your submission “Goats Bcc: everybody@example.org”"


def test_a_long_mail_says_how_much_is_missing(usi_server, make_submission, settings):
    settings.BIOSAMPLE_MAIL_LIMIT = 200
    submission = make_submission()
    usi_server.add("sub-1", *(sample(f"s_{number}", "Error", message="x" * 50) for number in range(20)))
    services.fetch_statuses()
    submission.refresh_from_db()
    missing = len(submission.message) - 200
    assert f"(Shortened: {missing} more characters are kept with the submission.)" in mail.outbox[0].body
    assert len(mail.outbox[0].body) < 400
    assert "s_19" in submission.message


def test_a_text_that_just_fits_is_not_touched():
    assert shorten("12345", 5) == "12345"
    assert shorten("123456", 5).startswith("12345…\n")


def test_no_secret_reaches_a_mail(usi_server, make_submission):
    make_submission()
    usi_server.token_life = 3600
    usi_server.add("sub-1", sample("animal_1", "Error", message=f"Basic {PASSWORD} refused"))
    services.fetch_statuses()
    assert PASSWORD not in mail.outbox[0].body
    assert "Basic •••••• refused" in mail.outbox[0].body


def test_the_number_of_queries_does_not_grow_with_the_records(
    usi_server, make_submission, django_assert_max_num_queries
):
    make_submission()
    usi_server.page_size = 50
    usi_server.add("sub-1", *(sample(f"s_{number}", "Completed", accession=f"A{number}") for number in range(100)))
    with django_assert_max_num_queries(15):
        services.fetch_statuses()
    assert Record.objects.exclude(accession="").count() == 100


def remote(
    status: str = "Draft",
    validation: str = "Complete",
    accession: str = "",
    errors: Iterable[str] = (),
    message: str = "",
) -> RemoteRecord:
    return RemoteRecord("a", True, accession, status, message, validation, list(errors))


@pytest.mark.parametrize(
    ("record", "state", "settled"),
    [
        (remote("Completed", accession="SAMEA1"), State.COMPLETED, True),
        (remote("Completed"), State.SUBMITTED, False),
        (remote("Completed", accession="SAMEA1", errors=["Ena: x"]), State.COMPLETED, True),
        (remote("Processing"), State.SUBMITTED, False),
        (remote("Processing", errors=["Ena: x"]), State.SUBMITTED, False),
        (remote("something new"), State.SUBMITTED, False),
        (remote("Draft", validation="Pending", errors=["Core: x"]), State.SUBMITTED, False),
        (remote("Draft"), State.SUBMITTED, True),
        (remote("Draft", errors=["Core: x"]), State.NEED_REVISION, True),
        (remote("", errors=["Core: x"]), State.NEED_REVISION, True),
        (remote("ActionRequired", message="add a date"), State.NEED_REVISION, True),
        (remote("Error"), State.ERROR, True),
        (remote("rejected"), State.ERROR, True),
    ],
)
def test_one_record_is_judged(record, state, settled):
    verdict = judge_record(record)
    assert (verdict.state, verdict.settled) == (state, settled)
    assert bool(verdict.errors) == (state in {State.ERROR, State.NEED_REVISION})


def test_of_many_missing_records_ten_are_named(usi_server, make_submission):
    submission = make_submission(records=[f"animal_{number:02}" for number in range(12)])
    usi_server.add("sub-1")
    services.fetch_statuses()
    submission.refresh_from_db()
    assert submission.problem.endswith("animal_08, animal_09 and 2 more.")


def test_nothing_is_never_complete():
    assert judge(RemoteSubmission("Completed", []), set()).state == State.SUBMITTED
