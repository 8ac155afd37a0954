"""The staff's pages of the mails, and the API."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse
from django.utils import timezone

from jobroom.jobs.lists import PAGE
from jobroom.notifications import content, failure_mails, submission
from jobroom.notifications.models import Attempt, Mail, State

pytestmark = pytest.mark.django_db

RESET = "https://room.example.org/reset/MQ/c8x9ab-0123456789abcdef0123456789abcdef/"


def posted(key="k", to="ada@example.org", **changes):
    message = EmailMultiAlternatives(
        "Hello <b>you</b>", f"Go to {RESET}\n<script>", None, [to], headers={content.KEY: key}
    )
    message.attach_alternative(f'<a href="{RESET}">here</a>', "text/html")
    message.attach("a.bin", b"123", "application/octet-stream")
    mail, _ = submission.post(message, job=f"job-{key}")
    Mail.objects.filter(pk=mail.pk).update(**changes)
    mail.refresh_from_db()
    return mail


def staff(*permissions):
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def page(client, **query):
    return client.get(reverse("jobroom:notifications:mails"), query).content.decode()


def test_the_empty_page_teaches(admin_client):
    text = page(admin_client)
    assert "No mail yet" in text
    assert "send_mail(" in text
    assert reverse("jobroom:jobs:launch", args=["jobroom.notifications.send_email"]) in text


def test_a_page_that_finds_nothing_says_so(admin_client):
    posted()
    assert "No mail matches" in page(admin_client, q="nobody@example.org")
    assert "No mail matches" in page(admin_client, state="failed")


def test_mails_are_listed_by_state_and_found_by_recipient_subject_and_id(admin_client):
    mail = posted()
    posted("k2", "bob@example.org", state=State.FAILED, error="550 no such user")
    both = page(admin_client)
    assert both.count("Hello &lt;b&gt;you&lt;/b&gt;") == 2
    assert "550 no such user" in both
    for query in ({"state": "waiting"}, {"q": "ADA@example"}, {"q": f"{mail.pk}"}, {"q": "job-k"}):
        assert "bob@example.org" not in page(admin_client, **query)
        assert "ada@example.org" in page(admin_client, **query)
    assert "bob@example.org" in page(admin_client, q="hello bob")
    assert page(admin_client, state="nonsense").count("Hello") >= 2
    for place in ("nonsense", "2026-01-01T00:00:00Z~no-uuid"):
        assert admin_client.get(reverse("jobroom:notifications:mails"), {"before": place}).status_code == 400


def test_pages_follow_each_other_without_a_gap(admin_client):
    now = timezone.now()
    Mail.objects.bulk_create(
        Mail(key=str(n), digest="d", sender="r@e.org", recipients=f"{n}@example.org", created_at=now)
        for n in range(PAGE * 2)
    )
    posted("last", created_at=now - timedelta(seconds=1))
    seen, link = [], "?"
    for _ in range(3):
        found = admin_client.get(reverse("jobroom:notifications:mails") + link).context["filter"]
        seen += [mail.pk for mail in found.rows]
        link = found.next_link
    assert len(set(seen)) == len(seen) == PAGE * 2 + 1
    assert link == ""


def test_a_mail_shows_its_way_and_hides_one_time_links(admin_client):
    mail = posted(state=State.FAILED, error="550 no", refused={"ada@example.org": "550 no"})
    Attempt.objects.create(mail=mail, number=1, outcome="failed", by="email@h", error="550 no")
    text = admin_client.get(mail.get_absolute_url()).content.decode()
    assert "email@h" in text
    assert "&lt;script&gt;" in text
    assert "&lt;a href=" in text
    assert "0123456789abcdef" not in text
    assert "/reset/MQ/••••••/" in text
    assert "a.bin" in text
    assert "/jobs/job-k/" in text


def test_the_text_is_for_those_who_may_read_it(client):
    mail = posted()
    client.force_login(staff())
    text = client.get(mail.get_absolute_url()).content.decode()
    assert "Can read the text of mails" in text
    assert "Go to" not in text
    User.objects.get().user_permissions.add(Permission.objects.get(codename="read_mail"))
    assert "Go to" in client.get(mail.get_absolute_url()).content.decode()


def test_ids_of_jobs_are_no_secret():
    job = "https://room/jobs/0f8fad5b-d9cb-469f-a165-70867728950e/"
    assert content.hidden(f"See {job} now") == f"See {job} now"
    assert content.hidden("https://x/?token=abc&next=/jobs/") == "https://x/?token=••••••&next=/jobs/"


@pytest.mark.parametrize("action", ["again", "give-up"])
def test_acting_needs_the_permission(client, action):
    mail = posted()
    address = reverse(f"jobroom:notifications:{action}", args=[mail.pk])
    client.force_login(staff("read_mail"))
    assert client.post(address).status_code == 403
    assert "disabled" not in client.get(mail.get_absolute_url()).content.decode()
    User.objects.get().user_permissions.add(Permission.objects.get(codename="resend_mail"))
    assert client.get(address).status_code == 405
    answer = client.post(address)
    assert (answer.status_code, answer.headers["Location"]) == (303, mail.get_absolute_url())
    mail.refresh_from_db()
    assert mail.state == (State.WAITING if action == "again" else State.STOPPED)


def test_what_cannot_be_done_says_why(admin_client):
    mail = posted(state=State.SENT, delivered=["ada@example.org"])
    text = admin_client.get(mail.get_absolute_url()).content.decode()
    assert 'disabled title="Everyone has got it."' in text
    answer = admin_client.post(reverse("jobroom:notifications:again", args=[mail.pk]), follow=True)
    assert "Everyone has got it." in answer.content.decode()


def test_people_who_are_no_staff_see_nothing(client):
    mail = posted()
    client.force_login(User.objects.create_user("bob"))
    for address in (reverse("jobroom:notifications:mails"), mail.get_absolute_url()):
        assert client.get(address).status_code == 403
    assert client.post(reverse("jobroom:notifications:again", args=[mail.pk])).status_code == 403
    assert client.get(reverse("jobroom:notifications:api-mails")).status_code == 403


def test_a_mail_about_a_failed_job_is_found_by_the_job_and_leads_to_it(admin_client):
    mail = posted(failed_job="j-failed", task="Weigh")
    posted("k2")
    found = admin_client.get(reverse("jobroom:notifications:api-mails"), {"q": "j-failed"}).json()["results"]
    assert [(row["id"], row["failed_job"], row["task"]) for row in found] == [(str(mail.pk), "j-failed", "Weigh")]
    assert 'href="/jobs/j-failed/">the failed job</a>' in admin_client.get(mail.get_absolute_url()).content.decode()


def test_a_mail_that_had_no_recipient_is_sent_to_those_who_are_admins_now(admin_client, settings):
    settings.ADMINS = []
    failure = {"id": "m1", "job": "j1", "task": "Weigh", "subject": "Error", "body": "trace", "fingerprint": "f"}
    assert failure_mails.take(failure)
    mail = Mail.objects.get()
    again = reverse("jobroom:notifications:again", args=[mail.pk])
    assert "ADMINS is still empty" in admin_client.post(again, follow=True).content.decode()
    settings.ADMINS = ["ada@example.org"]
    assert "On its way to 1 of 1" in admin_client.post(again, follow=True).content.decode()
    mail.refresh_from_db()
    assert (mail.state, mail.addresses, mail.failed_job) == (State.WAITING, ["ada@example.org"], "j1")
    assert b"To: ada@example.org" in content.read(mail)
    assert b"trace" in content.read(mail)


def test_a_mail_whose_file_is_gone_has_a_page(admin_client, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.JOBROOM = settings.JOBROOM | {"NOTIFICATIONS_MAIL_IN_DATABASE": 10}
    mail = posted()
    content.path_of(mail).unlink()
    assert "cannot be read" in admin_client.get(mail.get_absolute_url()).content.decode()


def test_the_admin_shows_a_mail_without_its_text(admin_client):
    mail = posted()
    text = admin_client.get(reverse("admin:jobroom_notifications_mail_change", args=[mail.pk])).content.decode()
    assert "Go to" not in text
    assert mail.get_absolute_url() in text
    assert (
        "Hello"
        in admin_client.get(reverse("admin:jobroom_notifications_mail_changelist"), {"q": "ada"}).content.decode()
    )


def test_the_api_lists_and_shows_without_the_text(admin_client):
    mail = posted()
    posted("k2", state=State.SENT, delivered=["ada@example.org"])
    Attempt.objects.create(mail=mail, number=1, outcome="later", by="email@h", error="451 later")
    listed = admin_client.get(reverse("jobroom:notifications:api-mails"), {"state": "waiting"}).json()
    assert [row["id"] for row in listed["results"]] == [str(mail.pk)]
    assert listed["next"] is None
    shown = admin_client.get(listed["results"][0]["url"]).json()
    assert (shown["recipients"], shown["attempt_list"][0]["error"]) == (["ada@example.org"], "451 later")
    assert "Go to" not in str(shown)
    wrong = admin_client.get(reverse("jobroom:notifications:api-mails"), {"state": "x", "before": "y"})
    assert (wrong.status_code, set(wrong.json()["errors"])) == (400, {"state", "before"})
    missing = admin_client.get(reverse("jobroom:notifications:api-mail", args=["00000000-0000-0000-0000-000000000000"]))
    assert missing.status_code == 404
