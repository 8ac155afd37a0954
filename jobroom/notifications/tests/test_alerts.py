"""Alerts: what a rule reports and when, who may have which, how it is sent, and what a failing channel may not do."""

import base64
import hashlib
import hmac
import http.client
import json
import re
import socket
import types
from datetime import UTC, datetime, time, timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.utils import timezone

from jobroom.arguments import WrongArguments
from jobroom.audit.models import Act
from jobroom.jobs.exceptions import NotAllowed
from jobroom.jobs.models import FailureGroup, Job, Lateness, State
from jobroom.notifications import alert_conditions, alert_delivery, alerts, webhook_client
from jobroom.notifications.alert_models import AlertDelivery, AlertRule
from jobroom.notifications.exceptions import NotNow, WrongAddress
from jobroom.notifications.models import Mail

pytestmark = [pytest.mark.django_db, pytest.mark.sql]


@pytest.fixture
def grace(db):
    return User.objects.create_superuser("grace", "grace@example.org", "hopper")


@pytest.fixture
def ada(db):
    return User.objects.create_user("ada", "ada@example.org", "lovelace")


def ended(pk, state=State.FAILED, cause="a" * 32, seconds=0, **fields):
    at = timezone.now() + timedelta(seconds=seconds)
    values = {"task": "demo.echo", "state": state, "fingerprint": cause if state == State.FAILED else "", **fields}
    return Job.objects.create(id=pk, created_at=at, finished_at=at, **values)


def make(by, what="task", of="demo.echo", **given):
    return alerts.add(given={"what": what, "of": of, **given}, by=by)[0]


class Rounds:
    """Looks again and again, each time long enough after the time before."""

    def __init__(self):
        self.now = timezone.now()

    def __call__(self):
        """Return what the next round reports: for each rule its changes, by key."""
        before = set(AlertDelivery.objects.values_list("pk", flat=True))
        self.now += timedelta(seconds=alerts.GROUPED + 1)
        alerts.look(self.now)
        new = AlertDelivery.objects.exclude(pk__in=before).order_by("rule")
        return [[(one["change"], one["key"]) for one in row.changes] for row in new]


@pytest.fixture
def rounds():
    return Rounds()


def test_first_changed_and_recovered_are_reported_once_each(grace, rounds):
    make(grace)
    assert rounds() == []
    ended("j1")
    assert rounds() == [[("first", "demo.echo")]]
    ended("j2", seconds=1)
    assert rounds() == [], "another job with the same cause is no news"
    ended("j3", cause="b" * 32, seconds=2)
    assert rounds() == [[("changed", "demo.echo")]]
    ended("j4", State.SUCCEEDED, seconds=3)
    assert rounds() == [[("recovered", "demo.echo")]]
    assert rounds() == []


def test_what_comes_and_goes_between_two_notifications_is_not_reported(grace, rounds):
    rule = make(grace)
    ended("j1")
    assert len(rounds()) == 1
    rule.refresh_from_db()
    ended("j2", State.SUCCEEDED, seconds=1)
    alerts.look(rule.notified_at + timedelta(seconds=1))
    ended("j3", seconds=2)
    assert rounds() == []


def test_two_recorders_report_once(grace, rounds):
    rule = make(grace)
    ended("j1")
    same = AlertRule.objects.select_related("owner").get(pk=rule.pk)
    alerts._look_at(rule, timezone.now())
    alerts._look_at(same, timezone.now())
    assert AlertDelivery.objects.count() == 1


def test_quiet_hours_hold_back_and_afterwards_report_what_is_then_different(grace, rounds):
    rule = make(grace, quiet_from="22:00", quiet_until="07:00")
    assert [alerts.is_quiet(rule, datetime(2026, 1, 1, hour, tzinfo=UTC)) for hour in (21, 22, 3, 7)] == [
        False, True, True, False,
    ]  # fmt: skip
    here = timezone.localtime(rounds.now)
    AlertRule.objects.update(quiet_from=time(0), quiet_until=time(23, 59, 59))
    ended("j1")
    assert rounds() == [] or here.time() >= time(23, 57)
    AlertRule.objects.update(quiet_from=None, quiet_until=None)
    assert len(rounds()) == 1


def test_queues_workers_causes_and_lateness(grace, rounds, monkeypatch):
    make(grace, "depth", "heavy", threshold=3)
    make(grace, "age", "heavy", threshold=60)
    make(grace, "worker", "")
    make(grace, "failure", "")
    make(grace, "late", "")
    workers = [types.SimpleNamespace(name="a@h", alive=True)]
    monkeypatch.setattr("jobroom.events.heartbeat.workers", lambda: workers)
    assert rounds() == []
    at = timezone.now() - timedelta(seconds=90)
    for n in range(3):
        Job.objects.create(id=f"w{n}", task="demo.echo", state=State.QUEUED, queue="heavy", queued_at=at)
    workers[0].alive = False
    FailureGroup.objects.create(id="c" * 32, error_type="ValueError", number=1)
    Lateness.objects.create(job_id="w0", kind="late", deadline=timezone.now() + timedelta(hours=1))
    assert rounds() == [[("first", key)] for key in ("heavy", "heavy", "a@h", "c" * 32, "w0")]
    assert rounds() == []
    Job.objects.filter(pk="w0").update(state=State.SUCCEEDED)
    Lateness.objects.update(deadline=timezone.now() - timedelta(seconds=1))
    workers.clear()
    FailureGroup.objects.update(state="resolved")
    found = rounds()
    assert [("recovered", "heavy")] in found, "below four fifths of the threshold"
    assert [("changed", "w0")] in found, "its deadline has passed"
    assert [("recovered", "c" * 32)] in found
    assert [("recovered", "a@h")] not in found, "it is not back, Redis has only forgotten it"
    workers.append(types.SimpleNamespace(name="a@h", alive=True))
    assert rounds() == [[("recovered", "a@h")]]


def test_a_rule_sees_what_its_owner_sees(ada, grace, rounds):
    ended("before", State.SUCCEEDED, owner=ada, seconds=-60)
    make(ada)
    ended("theirs", owner=grace)
    assert rounds() == []
    ended("mine", owner=ada, seconds=1)
    assert rounds() == [[("first", "demo.echo")]]
    for what in alert_conditions.FOR_STAFF:
        with pytest.raises(NotAllowed):
            make(ada, what, "x", threshold=1)
    rule = make(grace, "depth", "heavy", threshold=1)
    Job.objects.create(id="w", task="t", state=State.QUEUED, queue="heavy")
    User.objects.filter(pk=grace.pk).update(is_staff=False)
    assert alert_conditions.holding(AlertRule.objects.get(pk=rule.pk)) == {}


def test_mail_goes_to_the_owner_and_to_those_of_the_team_who_may_see_the_same(grace, ada, rounds):
    team = Group.objects.create(name="night")
    clerk = User.objects.create_user("clerk", "clerk@example.org", is_staff=True)
    for person in (grace, ada, clerk):
        person.groups.add(team)
    make(grace, team="night")
    ended("j1")
    rounds()
    alert_delivery.send_due()
    mail = Mail.objects.get()
    assert sorted(mail.addresses) == ["clerk@example.org", "grace@example.org"]
    assert mail.subject == "[Jobroom] First: The latest job of demo.echo failed: j1"
    assert AlertDelivery.objects.get().state == "sent"
    assert list(AlertRule.objects.visible_to(ada)) == list(AlertRule.objects.visible_to(clerk)) != []


def test_a_webhook_is_signed_and_tried_again(grace, rounds, monkeypatch):
    rule, secret = alerts.add(
        given={"what": "task", "of": "demo.echo", "way": "webhook", "address": "https://example.org/hook"}, by=grace
    )
    ended("j1")
    rounds()
    posted, answers = [], [500, 204]
    monkeypatch.setattr(webhook_client, "post", lambda *given: posted.append(given) or answers.pop(0))
    alert_delivery.send_due()
    row = AlertDelivery.objects.get()
    assert (row.state, row.error, row.attempts) == ("waiting", "OSError: It answered 500.", 1)
    alert_delivery.send_due()
    assert len(posted) == 1, "not before its time"
    AlertDelivery.objects.update(next_try=timezone.now())
    alert_delivery.send_due()
    assert AlertDelivery.objects.get().state == "sent"
    address, body, headers = posted[1]
    assert address == "https://example.org/hook"
    assert json.loads(body)["data"]["changes"][0]["change"] == "first"
    text = f"{row.pk}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), text, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert secret not in json.dumps(rule.secret)


def test_a_channel_that_fails_holds_up_no_other_and_is_given_up(grace, rounds, monkeypatch):
    alerts.add(given={"what": "task", "of": "demo.echo", "way": "webhook", "address": "https://example.org/"}, by=grace)
    make(grace)
    ended("j1")
    rounds()

    def broken(*_):
        raise RuntimeError("x" * 5000)

    monkeypatch.setattr(webhook_client, "post", broken)
    for _ in range(len(alert_delivery.PAUSES) + 2):
        alert_delivery.send_due()
        AlertDelivery.objects.exclude(next_try=None).update(next_try=timezone.now())
    states = dict(AlertDelivery.objects.values_list("rule__way", "state"))
    assert states == {"webhook": "failed", "mail": "sent"}
    assert AlertDelivery.objects.get(rule__way="webhook").attempts == len(alert_delivery.PAUSES) + 1


def test_one_whose_sender_died_is_sent_again(grace):
    rule = make(grace)
    row = rule.deliveries.create(changes=[])
    assert alert_delivery._claimed(row)
    assert not alert_delivery.due()
    AlertDelivery.objects.update(next_try=timezone.now())
    assert alert_delivery.due()


@pytest.mark.parametrize(
    "address",
    ["http://example.org/", "https://user:x@example.org/", "https://example.org:22/", "file:///etc/passwd", "https://a b/",
     "https:///x", "https://[::1", "gopher://example.org/"],
)  # fmt: skip
def test_an_address_that_is_none_names_the_remedy(address, grace):
    with pytest.raises(WrongArguments) as wrong:
        make(grace, way="webhook", address=address)
    assert list(wrong.value.errors) == ["address"]


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.9", "0.0.0.0", "100.64.0.1", "::1", "fe80::1%eth0", "fd00::1",
     "::ffff:127.0.0.1", "2002:7f00:1::", "224.0.0.1", "64:ff9b::7f00:1", "::127.0.0.1"],
)  # fmt: skip
def test_nothing_is_posted_into_a_network_whatever_the_name_says(ip, monkeypatch):
    seen = []
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, **k: [(0, 0, 0, "", ("93.184.216.34", 443)), (0, 0, 0, "", (ip, 443))]
    )
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: seen.append(a))
    with pytest.raises(WrongAddress, match="inside a network"):
        webhook_client.post("https://harmless.example.org/", b"", {})
    assert seen == []


def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [(0, 0, 0, "", ("93.184.216.34", 443))])

    def refuse(address, *_a, **_k):
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(ConnectionRefusedError):
        webhook_client.post("https://example.org/", b"", {})
    assert asked == [("93.184.216.34", 443)]


def test_the_last_week_of_a_rule_on_failures(grace):
    for n, (state, cause) in enumerate(
        [("failed", "a"), ("failed", "a"), ("failed", "b"), ("succeeded", ""), ("failed", "b")]
    ):
        ended(f"j{n}", state, cause * 32, seconds=n - 9999)
    ended("old", seconds=-9 * 86_400)
    week = alert_conditions.last_week(make(grace))
    assert [one["change"] for one in week] == ["first", "changed", "recovered", "first"]
    assert alert_conditions.last_week(make(grace, "late", "")) is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"what": "x"}, "what"),
        ({"of": ""}, "of"),
        ({"of": "no.such"}, "of"),
        ({"what": "depth", "of": "q"}, "threshold"),
        ({"way": "pigeon"}, "way"),
        ({"quiet_from": "25:00", "quiet_until": "07:00"}, "quiet_from"),
        ({"quiet_from": "22:00"}, "quiet_until"),
        ({"team": "others"}, "team"),
    ],
)
def test_what_makes_no_sense_names_the_field(given, field, grace):
    with pytest.raises(WrongArguments) as wrong:
        make(grace, **given)
    assert list(wrong.value.errors) == [field]


def test_what_one_round_has_found_stands_in_one_order(client, grace, capsys):
    """A round gives all it finds the same time; without another rule a database gives them in any order."""
    rule, since = make(grace), timezone.now()
    names = [f"cause {number}" for number in (2, 0, 1)]
    for name in names:
        rule.states.create(key=name, sentence=name, since=since)
    client.force_login(grace)
    assert client.get(f"/api/alerts/{rule.pk}/").json()["holding"] == names[::-1]
    call_command("alerts", "show", str(rule.pk), "--as", "grace")
    shown = client.get(rule.get_absolute_url()).content.decode()
    for text in (capsys.readouterr().out, shown):
        assert re.findall(r"cause \d", text) == names[::-1]


def test_pages_api_and_command(client, ada, grace, capsys):
    client.force_login(ada)
    ada.user_permissions.add(Permission.objects.get(codename="view_mail"))
    Job.objects.create(id="j", task="demo.echo", state=State.SUCCEEDED, owner=ada)
    made = client.post("/alerts/", {"what": "task", "of": "demo.echo", "way": "mail"})
    assert made.status_code == 303
    rule = AlertRule.objects.get()
    assert "The latest job of a task failed: demo.echo" in client.get("/alerts/").content.decode()
    client.post(f"/alerts/{rule.pk}/test/")
    assert "test: This is a test" in client.get(made.url).content.decode()
    assert (
        client.post(
            "/alerts/", {"what": "task", "of": "demo.echo", "way": "webhook", "address": "https://a.org"}
        ).status_code
        == 403
    )
    assert "Of: " in client.post("/alerts/", {"what": "task", "of": "no.such"}).content.decode()
    assert client.post(f"/api/alerts/{rule.pk}/test/").status_code == 409
    shown = client.get(f"/api/alerts/{rule.pk}/").json()
    assert (shown["of"], len(shown["deliveries"]), shown["last_week"]) == ("demo.echo", 1, [])
    client.force_login(grace)
    assert client.get(made.url).status_code == 404, "not even staff see the rules of others"
    assert client.get("/api/alerts/").json() == []
    call_command("alerts", "add", "depth", "heavy", "--threshold", "5", "--as", "grace")
    call_command("alerts", "list", "--as", "grace")
    number = AlertRule.objects.get(owner=grace).pk
    call_command("alerts", "test", str(number), "--as", "grace")
    call_command("alerts", "show", str(number), "--as", "grace")
    call_command("alerts", "drop", str(number), "--as", "grace")
    said = capsys.readouterr().out
    assert f"Made rule {number}." in said
    assert "Dropped." in said
    acts = Act.objects.filter(kind="alert").order_by("pk").values_list("who", "action")
    assert list(acts) == [
        ("ada", "made"),
        ("ada", "tested"),
        ("grace", "made"),
        ("grace", "tested"),
        ("grace", "dropped"),
    ]


def test_a_team_may_look_and_its_owner_alone_may_act(grace, ada):
    team = Group.objects.create(name="night")
    grace.groups.add(team)
    ada.groups.add(team)
    rule = make(grace, team="night")
    with pytest.raises(NotAllowed, match="Only grace"):
        alerts.drop(rule=rule, by=ada)
    alerts.try_out(rule=rule, by=grace)
    with pytest.raises(NotNow, match="a moment ago"):
        alerts.try_out(rule=rule, by=grace)


def test_an_answer_that_cannot_be_read_is_an_error_like_others(monkeypatch):
    monkeypatch.setattr(webhook_client, "public_addresses", lambda *_: ["93.184.216.34"])

    def broken(*_a, **_k):
        raise http.client.BadStatusLine("x")

    monkeypatch.setattr(webhook_client._Pinned, "request", broken)
    with pytest.raises(OSError, match="BadStatusLine"):
        webhook_client.post("https://example.org/", b"", {})
