"""Chats by Apprise: which addresses are taken, and what Microsoft Teams is sent."""

import json
import types

import pytest
import requests
from django.contrib.auth.models import User
from django.utils import timezone

from jobroom.arguments import WrongArguments
from jobroom.notifications import alert_delivery, alerts, chats
from jobroom.notifications.alert_models import AlertDelivery
from jobroom.notifications.tests.test_alerts import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(db):
    return User.objects.create_superuser("grace", "grace@example.org", "hopper")


def test_chats_need_the_extra_and_a_service_whose_server_no_one_chooses(grace, monkeypatch):
    monkeypatch.setattr(chats, "apprise", None)
    with pytest.raises(WrongArguments, match="pip install"):
        make(grace, way="apprise", address="slack://x")
    sent = []
    service = types.SimpleNamespace(notify=lambda **said: sent.append(said) or True)
    made = types.SimpleNamespace(instantiate=lambda address, **_: service if "token" in address else None)
    monkeypatch.setattr(chats, "apprise", types.SimpleNamespace(Apprise=made))
    for address in ("json://10.0.0.1/", "slack://nonsense", "slack://token?template=http://10.0.0.1/"):
        with pytest.raises(WrongArguments) as wrong:
            make(grace, way="apprise", address=address)
        assert list(wrong.value.errors) == ["address"]
    rule = make(grace, way="apprise", address="slack://token")
    alerts.try_out(rule=rule, by=grace)
    alert_delivery.send_due()
    assert sent[0]["title"].startswith("[Jobroom] Test: ")


@pytest.mark.parametrize(
    "address",
    [
        "workflows://10.0.0.1/abc123/signature",
        "workflows://prod-1.westus.logic.azure.com.example.org/abc123/signature",
        "workflows://xlogic.azure.com/abc123/signature",
        "workflows://prod-1.westus.logic.azure.com/",
    ],
)
def test_the_server_of_a_teams_workflow_is_its_makers(grace, address):
    with pytest.raises(WrongArguments) as wrong:
        make(grace, way="apprise", address=address)
    assert list(wrong.value.errors) == ["address"]


def test_teams_get_a_card_as_its_workflow_expects_it(grace, monkeypatch):
    asked = []

    def post(url, **said):
        asked.append((url, said))
        answer = requests.Response()
        answer.status_code = 202 if len(asked) > 1 else 503
        return answer

    monkeypatch.setattr("apprise.plugins.workflows.requests.post", post)
    rule = make(grace, way="apprise", address="workflows://prod-1.westus.logic.azure.com:443/abc123/sig-nature")
    alerts.try_out(rule=rule, by=grace)
    alert_delivery.send_due()
    delivery = AlertDelivery.objects.get(rule=rule)
    assert delivery.state != "sent"  # it is tried again
    AlertDelivery.objects.update(next_try=timezone.now())
    alert_delivery.send_due()
    delivery.refresh_from_db()
    assert delivery.state == "sent"
    url, said = asked[-1]
    assert url.startswith("https://prod-1.westus.logic.azure.com:443/workflows/abc123/triggers/manual/paths/invoke")
    assert said["params"]["sig"] == "sig-nature"
    assert said["headers"]["Content-Type"] == "application/json"
    assert said["verify"]
    assert said["allow_redirects"] is False
    body = json.loads(said["data"])
    assert body["type"] == "message"
    (card,) = body["attachments"]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["type"] == "AdaptiveCard"
    assert "[Jobroom] Test: " in json.dumps(card["content"]["body"])
