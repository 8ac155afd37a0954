"""What a mail server says decides what becomes of a mail; a real one says it here."""

from datetime import timedelta

import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils import timezone

from jobroom.notifications import content, delivery, submission, transport
from jobroom.notifications.models import STALE, Mail, Outcome, State
from jobroom.testing import refusing_port
from jobroom.testing.mail_server import mail_server

pytestmark = pytest.mark.django_db

ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture
def through_smtp(settings):
    """Let mails go to the server at a port."""

    def to(port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 60

    return to


def posted(*to, job="j1", **options):
    message = EmailMessage("Hello", "..dots\n.\nend", "room@example.org", list(to or (ADA, BOB)), **options)
    return submission.post(message, job=job)[0]


def attempts(mail):
    return [Outcome(outcome) for outcome in mail.attempt_set.values_list("outcome", flat=True)]


def due_now():
    Mail.objects.update(next_try=timezone.now())


def test_a_mail_is_sent_and_arrives_as_it_was_written(through_smtp):
    mail = posted(ADA, bcc=["Eve <eve@example.org>"], headers={"X-Own": "kept"})
    with mail_server() as server:
        through_smtp(server.port)
        assert delivery.deliver(mail=mail, by="w", job="j1")
    (received,) = server.mails
    assert (mail.state, mail.delivered, mail.attempts) == (State.SENT, [ADA, "eve@example.org"], 1)
    assert (received.sender, received.recipients) == ("room@example.org", [ADA, "eve@example.org"])
    assert received.content == content.read(mail) + b"\r\n"
    assert b"..dots\r\n.\r\nend" in received.content
    assert b"X-Own: kept" in received.content
    assert b"eve@" not in received.content
    assert attempts(mail) == [Outcome.SENT]


@pytest.mark.parametrize(
    "answers",
    [
        {"connect": ["421 too busy"]},
        {"connect": ["554 not now, says a proxy"]},
        {"connect": ["hang up"]},
        {"MAIL": ["451 later"]},
        {"MAIL": ["hang up"]},
        {"RCPT": ["450 later", "450 later"]},
        {"RCPT": ["421 going down"]},
        {"DATA": ["451 later"]},
        {"DATA": ["hang up"]},
        {"content": ["452 disk full"]},
    ],
)
def test_what_is_temporary_is_tried_again(through_smtp, answers):
    mail = posted()
    with mail_server(answers=answers) as server:
        through_smtp(server.port)
        delivery.deliver(mail=mail, by="w", job="j1")
        assert (mail.state, mail.delivered, mail.refused) == (State.WAITING, [], {})
        assert timedelta(seconds=20) < mail.next_try - timezone.now() < timedelta(seconds=40)
        assert mail.error
        assert not delivery.deliver(mail=mail, by="w", job="j1")  # its time has not come
        due_now()
        delivery.deliver(mail=mail, by="w", job="j1")
    assert (mail.state, mail.delivered, len(server.mails)) == (State.SENT, [ADA, BOB], 1)
    assert attempts(mail) == [Outcome.LATER, Outcome.SENT]


@pytest.fixture
def no_server(through_smtp):
    """Let mails go to a port at which no one listens."""
    with refusing_port() as port:
        through_smtp(port)
        yield


@pytest.mark.usefixtures("no_server")
def test_no_server_at_all_is_temporary():
    mail = posted()
    delivery.deliver(mail=mail, by="w", job="j1")
    assert mail.state == State.WAITING
    assert "ConnectionRefusedError" in mail.error


@pytest.mark.parametrize(
    "answers",
    [
        {"MAIL": ["550 not from you"]},
        {"RCPT": ["550 no such user", "550 no such user"]},
        {"DATA": ["554 no"]},
        {"content": ["554 spam"]},
    ],
)
def test_what_is_permanent_is_final_at_once(through_smtp, answers):
    mail = posted()
    with mail_server(answers=answers) as server:
        through_smtp(server.port)
        delivery.deliver(mail=mail, by="w", job="j1")
    assert (mail.state, mail.next_try, sorted(mail.refused)) == (State.FAILED, None, [ADA, BOB])
    assert mail.error.startswith(f"{ADA}: 55")
    assert attempts(mail) == [Outcome.FAILED]


def test_one_refused_recipient_does_not_keep_the_other_from_it(through_smtp):
    mail = posted()
    with mail_server(answers={f"RCPT {BOB}": ["550 no such user"]}) as server:
        through_smtp(server.port)
        delivery.deliver(mail=mail, by="w", job="j1")
    assert (mail.state, mail.delivered, mail.refused) == (State.SENT, [ADA], {BOB: "550 no such user"})
    assert mail.error == f"{BOB}: 550 no such user"
    assert server.mails[0].recipients == [ADA]


def test_a_recipient_who_is_put_off_gets_it_later_and_the_other_once(through_smtp):
    mail = posted()
    with mail_server(answers={f"RCPT {BOB}": ["451 greylisted"]}) as server:
        through_smtp(server.port)
        delivery.deliver(mail=mail, by="w", job="j1")
        assert (mail.state, mail.delivered) == (State.WAITING, [ADA])
        due_now()
        delivery.deliver(mail=mail, by="w", job="j1")
    assert mail.state == State.SENT
    assert [received.recipients for received in server.mails] == [[ADA], [BOB]]


@pytest.mark.parametrize("silence", ["hang up", "123 what"])
def test_no_answer_to_the_content_is_unknown_and_not_sent_again(through_smtp, silence):
    mail = posted()
    with mail_server(answers={"content": [silence]}) as server:
        through_smtp(server.port)
        delivery.deliver(mail=mail, by="w", job="j1")
        assert (mail.state, mail.next_try, mail.handed) == (State.UNKNOWN, None, [ADA, BOB])
        assert not delivery.deliver(mail=mail, by="w", job="j1")
    assert len(server.seen) == 1
    assert attempts(mail) == [Outcome.UNKNOWN]


def test_a_server_that_says_nothing_is_given_up_and_tried_later(through_smtp, settings):
    mail = posted()
    with mail_server(answers={"connect": ["silence"]}) as server:
        through_smtp(server.port)
        settings.EMAIL_TIMEOUT = 0.2
        delivery.deliver(mail=mail, by="w", job="j1")
        server.speak.set()
    assert (mail.state, attempts(mail)) == (State.WAITING, [Outcome.LATER])
    assert "timed out" in mail.error


def test_a_mail_that_may_arrive_twice_is_sent_again(through_smtp):
    mail = posted(headers={content.MAY_REPEAT: "yes"})
    with mail_server(answers={"content": ["hang up"]}) as server:
        through_smtp(server.port)
        delivery.deliver(mail=mail, by="w", job="j1")
        assert mail.state == State.WAITING
        due_now()
        delivery.deliver(mail=mail, by="w", job="j1")
    assert (mail.state, len(server.seen), len(server.mails)) == (State.SENT, 2, 1)
    assert content.MAY_REPEAT.encode() not in server.mails[0].content


@pytest.mark.usefixtures("no_server")
def test_the_tries_are_bounded(settings):
    settings.JOBROOM = settings.JOBROOM | {"NOTIFICATIONS_MAIL_TRIES": 3}
    mail = posted()
    for _ in range(4):
        due_now()
        delivery.deliver(mail=mail, by="w", job="j1")
    assert (mail.state, mail.attempts) == (State.FAILED, 3)
    assert mail.refused[ADA].startswith("Given up after 3 attempts: ConnectionRefusedError")


# Who dies, and who lives after all --------------------------------------------------------------------------------------
def test_a_claim_that_was_never_used_is_taken_up_by_the_same_job_alone():
    mail = posted()
    assert mail.take("w", "j1")
    other, same = Mail.objects.get(), Mail.objects.get()
    assert not other.take("w", "j2")
    assert same.take("w", "j1")
    assert not mail.hand_over([ADA])  # the first run lives after all: nothing is handed over
    assert same.hand_over([ADA])


def test_who_loses_the_claim_breaks_the_conversation_off(through_smtp):
    mail = posted()

    def lost(recipients):
        return False

    with mail_server() as server:
        through_smtp(server.port)
        mail.take("w", "j1")
        with pytest.raises(Exception, match="taken the mail over"):
            transport.send(mail, content.read(mail), lost)
    assert server.seen == []


@pytest.mark.parametrize(("repeat", "state"), [(False, State.UNKNOWN), (True, State.WAITING)])
def test_who_dies_after_handing_over_leaves_it_unknown(repeat, state):
    mail = posted(headers={content.MAY_REPEAT: str(repeat)})
    mail.take("w", "j1")
    mail.hand_over([ADA, BOB])
    other = Mail.objects.get()
    assert not other.forget_remains("j2")
    assert other.forget_remains("j1")
    assert other.state == state
    assert attempts(mail) == [Outcome.UNKNOWN]


def test_who_was_taken_for_dead_and_lives_is_believed():
    mail = posted()
    mail.take("w", "j1")
    mail.hand_over([ADA, BOB])
    Mail.objects.get().forget_remains("j1")
    assert mail.conclude(State.SENT, delivered=[ADA, BOB], error="")
    assert Mail.objects.get().state == State.SENT
    assert attempts(mail) == [Outcome.SENT]


def test_housekeeping_sends_what_no_worker_took_and_settles_what_died(settings):
    late, _young, dead, handed = (
        posted(f"{name}@example.org", job=name) for name in ("late", "young", "dead", "handed")
    )
    Mail.objects.filter(pk=late.pk).update(next_try=timezone.now() - timedelta(seconds=301))
    for mail in (dead, handed):
        mail.take("w", mail.job_id)
    handed.hand_over(handed.addresses)
    before = timezone.now() - STALE - timedelta(seconds=1)
    Mail.objects.filter(state=State.SENDING).update(claimed_at=before)
    Mail.objects.filter(pk=handed.pk).update(handed_at=before)
    assert delivery.send_left() == 2
    states = dict(Mail.objects.values_list("recipients", "state"))
    assert states == {
        "late@example.org": State.SENT, "young@example.org": State.WAITING,
        "dead@example.org": State.SENT, "handed@example.org": State.UNKNOWN,
    }  # fmt: skip
    assert not delivery.left().exists()
    assert {message.to[0] for message in django_mail.outbox} == {"late@example.org", "dead@example.org"}


@pytest.mark.usefixtures("no_server")
def test_housekeeping_asks_a_dead_server_once_a_round():
    for number in range(3):
        posted(f"{number}@example.org")
    Mail.objects.update(next_try=timezone.now() - timedelta(hours=1))
    assert delivery.send_left() == 0
    assert Mail.objects.filter(attempts=1).count() == 1


def test_a_mail_whose_file_is_gone_fails_and_says_so(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.JOBROOM = settings.JOBROOM | {"NOTIFICATIONS_MAIL_IN_DATABASE": 10}
    mail = posted()
    content.path_of(mail).unlink()
    delivery.deliver(mail=mail, by="w", job="j1")
    assert mail.state == State.FAILED
    assert "cannot be read" in mail.error


def test_other_backends_get_a_message_like_the_first(settings):
    message = EmailMultiAlternatives(
        "Grüße", "Text ✓", "Room <room@example.org>", ["Ada <ada@example.org>"], bcc=[BOB], cc=["cc@example.org"],
        reply_to=["r@example.org"], headers={"X-Own": "1"}, attachments=[("a.bin", b"\x00\x01", "application/x-own")],
    )  # fmt: skip
    message.attach_alternative("<b>HTML</b>", "text/html")
    mail = submission.post(message, job="j1")[0]
    delivery.deliver(mail=mail, by="w", job="j1")
    (sent,) = django_mail.outbox
    assert (sent.subject, sent.body, sent.from_email) == ("Grüße", "Text ✓", "Room <room@example.org>")
    assert (sent.to, sent.cc, sent.bcc, sent.reply_to) == (
        ["Ada <ada@example.org>"], ["cc@example.org"], [BOB], ["r@example.org"],
    )  # fmt: skip
    assert [tuple(part) for part in sent.alternatives] == [("<b>HTML</b>", "text/html")]
    assert [tuple(part) for part in sent.attachments] == [("a.bin", b"\x00\x01", "application/x-own")]
    assert sent.extra_headers["X-Own"] == "1"
    assert mail.state == State.SENT


def test_a_backend_that_breaks_is_asked_again(settings, monkeypatch):
    def broken(self, messages):
        raise ValueError("the provider is down")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", broken)
    mail = posted()
    delivery.deliver(mail=mail, by="w", job="j1")
    assert (mail.state, mail.error) == (State.WAITING, "ValueError: the provider is down")


def test_a_second_round_leaves_the_first_as_it_was(through_smtp):
    mail = posted()
    with mail_server(answers={"content": ["hang up"]}) as server:
        through_smtp(server.port)
        delivery.deliver(mail=mail, by="w", job="j1")
        mail.again("ada")
        delivery.deliver(mail=mail, by="w", job="j1")
    assert attempts(mail) == [Outcome.UNKNOWN, Outcome.ASKED, Outcome.SENT]
    assert list(mail.attempt_set.values_list("number", flat=True)) == [1, 0, 1]


def test_an_attempt_whose_sender_died_early_says_so():
    mail = posted()
    mail.take("w", "j1")
    delivery.deliver(mail=Mail.objects.get(), by="w", job="j1")
    assert attempts(mail) == [Outcome.LATER, Outcome.SENT]
    assert "died before" in mail.attempt_set.first().error
