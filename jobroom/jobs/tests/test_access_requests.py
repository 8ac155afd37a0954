"""Who may not do something says so to the administrators with one click, and not a hundred times."""

import pytest
from django.contrib.auth.models import Group
from django.core import mail

from jobroom.audit.models import Act
from jobroom.jobs.models import Job, State, TaskRule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


@pytest.fixture(autouse=True)
def _site(settings):
    settings.ADMINS = [("Root", "root@example.org")]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def ask(client, what="launch demo.echo", page="/tasks/demo.echo/"):
    answer = client.post(
        "/ask-for-access/", {"what": what}, follow=True, headers={"referer": f"http://testserver{page}"}
    )
    return " ".join(str(message) for message in answer.context["messages"])


def test_one_click_is_one_mail_that_says_who_what_and_where(as_ada, ada):
    ada.email = "ada@example.org"
    ada.save()
    assert "The administrators were sent a mail" in ask(as_ada, page="/tasks/")
    (sent,) = mail.outbox
    assert (sent.to, sent.reply_to) == (["root@example.org"], ["ada@example.org"])
    assert sent.subject == "ada asks for access: launch demo.echo"
    assert "/tasks/" in sent.body
    act = Act.objects.get(action="asked")
    assert (act.who, act.kind, act.target) == ("ada", "access", "launch demo.echo")
    assert "a short time ago" in ask(as_ada, page="/tasks/")
    assert len(mail.outbox) == 1


def test_no_one_floods_the_administrators(as_ada):
    said = [ask(as_ada, what=f"thing {n}", page="/") for n in range(12)]
    assert len(mail.outbox) == 10
    assert "ask again later" in said[-1]


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example/",
        "http://testserver//evil.example/",
        "http://testserver/\\evil",
        "javascript:alert(1)",
        "",
    ],
)
def test_it_leads_to_no_other_site(as_ada, page):
    answer = as_ada.post("/ask-for-access/", {"what": "x\nBcc: all@example.org"}, headers={"referer": page})
    assert answer.headers["Location"] == "/"
    assert "\n" not in mail.outbox[0].subject


def test_without_administrators_it_says_so(as_ada, settings):
    settings.ADMINS = []
    assert "ADMINS" in ask(as_ada)
    assert not mail.outbox


def test_a_mail_that_cannot_be_sent_is_no_error_page(as_ada, settings):
    settings.EMAIL_BACKEND = "nowhere.Backend"
    assert "could not be sent" in ask(as_ada, page="/")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert "were sent a mail" in ask(as_ada, page="/")


def test_each_disabled_thing_says_whom_to_ask(as_ada, ada):
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    Job.objects.create(id="j1", task="demo.echo", state=State.RUNNING)
    for address in ("/jobs/", "/jobs/j1/", "/tasks/demo.echo/", "/nowhere/"):
        page = as_ada.get(address).content.decode()
        assert 'form="ask-for-access"' in page, address
        assert '<form id="ask-for-access" method="post"' in page
