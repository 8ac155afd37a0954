"""The staff's list of failure mails."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from jobroom.notifications.models import AdminMail, MailState

pytestmark = pytest.mark.django_db
LIST = "admin:jobroom_notifications_adminmail_changelist"


@pytest.fixture
def mails():
    for state in (MailState.SENT, MailState.FAILED, MailState.NOBODY):
        AdminMail.objects.create(
            id=state, state=state, subject=f"Error in {state}", body="<b>bold</b>", job_id="j1", attempts=10
        )


def staff(*permissions):
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def send_again(client):
    data = {"action": "send_again", "_selected_action": ["sent", "failed", "nobody"]}
    return client.post(reverse(LIST), data, follow=True)


@pytest.mark.usefixtures("mails")
def test_failed_mails_are_sent_again_and_others_left_alone(client):
    client.force_login(staff("view_adminmail", "resend_adminmail"))
    page = send_again(client).content.decode()
    assert "Sent again within a minute: 2." in page
    assert "Left alone, because only a mail that failed can be sent again: 1." in page
    assert set(AdminMail.objects.due(timezone.now()).values_list("pk", "attempts")) == {("failed", 0), ("nobody", 0)}


@pytest.mark.usefixtures("mails")
def test_who_may_only_look_cannot_send(client):
    client.force_login(staff("view_adminmail"))
    assert "Send again" not in client.get(reverse(LIST)).content.decode()
    send_again(client)
    assert not AdminMail.objects.due(timezone.now()).exists()


@pytest.mark.usefixtures("mails")
def test_a_mail_is_shown_and_cannot_be_changed(admin_client):
    address = reverse("admin:jobroom_notifications_adminmail_change", args=["failed"])
    page = admin_client.get(address).content.decode()
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert '<a href="/jobs/j1/">j1</a>' in page
    assert admin_client.post(address, {"subject": "x"}).status_code == 403
    assert admin_client.get(reverse("admin:jobroom_notifications_adminmail_add")).status_code == 403
    assert (
        admin_client.post(reverse("admin:jobroom_notifications_adminmail_delete", args=["failed"])).status_code == 403
    )


@pytest.mark.usefixtures("mails")
def test_the_list_can_be_filtered_and_searched(admin_client):
    page = admin_client.get(reverse(LIST), {"state__exact": "failed", "q": "j1"}).content.decode()
    assert "Error in failed" in page
    assert "Error in sent" not in page


def test_without_staff_rights_there_is_nothing(client):
    client.force_login(User.objects.create_user("bob"))
    assert client.get(reverse(LIST)).status_code == 302
