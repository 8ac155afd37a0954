"""Rules of alerts: made, dropped and tried by people; and the round that reports what has changed.

A rule reports three things of each thing that it watches: that it holds (*first*), that it is another one (*changed*), that it is over
(*recovered*). What was reported is in the database, so each is reported once, and what comes and goes between two notifications is not reported at
all. All changes of one rule are one notification. While it is quiet, nothing is sent; afterwards, what is then different.
"""

import base64
import dataclasses
import getpass
import secrets
import zoneinfo
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from celery import current_app
from django.contrib.auth.models import Group
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from jobroom import absolute_urls, housekeeping_loops
from jobroom.arguments import WrongArguments
from jobroom.arguments.encryption import seal
from jobroom.jobs import policies as job_policies
from jobroom.jobs import time_zones
from jobroom.jobs.exceptions import NotAllowed
from jobroom.jobs.models import FailureGroup, Job
from jobroom.notifications import addresses, alert_conditions, chats, policies, webhook_client
from jobroom.notifications.alert_conditions import FOR_STAFF, Condition
from jobroom.notifications.alert_models import AlertDelivery, AlertRule, AlertState, DeliveryState, Way, What
from jobroom.notifications.exceptions import NotNow, WrongAddress
from jobroom.signals import acted
from jobroom.users import User

# Seconds between two housekeeping_loops, and between two notifications of one rule.
PAUSE, GROUPED = 15.0, 60.0
# Rules of one person, and days for which notifications are kept.
MOST, KEPT = 50, 30
# What is watched by name alone, and what needs a number.
NAMED = frozenset({What.TASK, What.DEPTH, What.AGE})
COUNTED = frozenset({What.DEPTH, What.AGE})
GREATEST = 31_536_000


# What people do ---------------------------------------------------------------------------------------------------------
def add(*, given: Mapping[str, Any], by: User) -> tuple[AlertRule, str]:
    """Make a rule of `by`; return it, and the secret that signs its webhooks, which is shown this once.

    `given` has what, of, threshold, way, address, team (a name), quiet_from and quiet_until (as 22:00). Raises NotAllowed and
    WrongArguments, which names the field.
    """
    wrong: dict[str, list[str]] = {}
    rule = AlertRule(owner=by, what=str(given.get("what", "")), way=str(given.get("way") or Way.MAIL))
    rule.of = str(given.get("of") or "").strip()[:255]
    wrong |= _wrong_what(rule, given, by) | _wrong_way(rule, str(given.get("address") or "").strip(), by)
    wrong |= _wrong_quiet(rule, given) | _wrong_team(rule, str(given.get("team") or "").strip(), by)
    if AlertRule.objects.filter(owner=by).count() >= MOST:
        wrong["what"] = [f"You have {MOST} rules, which is all that one may have: drop one first."]
    if wrong:
        raise WrongArguments(wrong)
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}" if rule.way == Way.WEBHOOK else ""
    rule.secret = seal(secret) if secret else {}
    rule.save()
    _note(rule, "made", by)
    return rule, secret


def _wrong_what(rule: AlertRule, given: Mapping[str, Any], by: User) -> dict[str, list[str]]:
    if rule.what not in What.values:
        return {"what": [f"Choose one of {', '.join(What.values)}."]}
    if rule.what in FOR_STAFF and not job_policies.sees_all(by):
        raise NotAllowed("Alerts on queues, workers and causes of failures are for staff.")
    if rule.what in NAMED and not rule.of:
        return {"of": ["Name the task or the queue."]}
    if not _is_known(rule, by):
        return {"of": [f"There is nothing called “{rule.of[:100]}” to watch: look for the right name."]}
    if rule.what not in COUNTED:
        return {}
    threshold = str(given.get("threshold") or "")
    if not (threshold.isascii() and threshold.isdigit() and 1 <= int(threshold[:12]) <= GREATEST):
        return {"threshold": ["Give a whole number: of jobs for depth, of seconds for age."]}
    rule.threshold = int(threshold)
    return {}


def _is_known(rule: AlertRule, by: User) -> bool:
    if "\x00" in rule.of:
        return False
    if rule.what in (What.TASK, What.LATE) and rule.of:
        there = rule.of in current_app.tasks and job_policies.may_know_of(by, rule.of)
        return there or Job.objects.visible_to(by).filter(task=rule.of).exists()
    if rule.what == What.FAILURE and rule.of:
        return FailureGroup.objects.visible_to(by).filter(pk=rule.of).exists()
    return True


def _wrong_way(rule: AlertRule, address: str, by: User) -> dict[str, list[str]]:
    if rule.way not in Way.values:
        return {"way": [f"Choose one of {', '.join(Way.values)}."]}
    if rule.way == Way.MAIL:
        return {} if by.email else {"way": ["Your account has no e-mail address: ask an administrator for one."]}
    if not policies.may_send_out(by):
        raise NotAllowed("You may not do this: it needs “Can send alerts to webhooks and chats”.")
    try:
        webhook_client.check(address) if rule.way == Way.WEBHOOK else chats.check(address)
    except WrongAddress as error:
        return {"address": [str(error)]}
    rule.address = seal(address)
    return {}


def _wrong_quiet(rule: AlertRule, given: Mapping[str, Any]) -> dict[str, list[str]]:
    wrong = {}
    for name in ("quiet_from", "quiet_until"):
        text = str(given.get(name) or "").strip()
        try:
            setattr(rule, name, time.fromisoformat(text).replace(tzinfo=None) if text else None)
        except ValueError:
            wrong[name] = ["Give a time such as 22:00."]
    if not wrong and (rule.quiet_from is None) != (rule.quiet_until is None):
        wrong["quiet_until"] = ["Give both times, or none."]
    return wrong


def _wrong_team(rule: AlertRule, name: str, by: User) -> dict[str, list[str]]:
    if name:
        rule.team = Group.objects.filter(name=name, user=by.pk).first()
    return {"team": ["Name one of your own groups."]} if name and rule.team is None else {}


def drop(*, rule: AlertRule, by: User) -> None:
    """Delete a rule. Raises NotAllowed for anyone but its owner."""
    _own(rule, by)
    _note(rule, "dropped", by)
    rule.delete()


def try_out(*, rule: AlertRule, by: User) -> AlertDelivery:
    """Have a rule send something now, so that one sees whether it arrives; at most once in ten seconds."""
    _own(rule, by)
    since = timezone.now() - timedelta(seconds=10)
    if rule.deliveries.filter(is_test=True, created_at__gte=since).exists():
        raise NotNow("It was tested a moment ago: look what became of that.")
    change = {
        "change": "test",
        "sentence": f"This is a test of the rule “{rule}”.",
        "url": absolute_urls.full(rule.get_absolute_url()),
    }
    _note(rule, "tested", by)
    return rule.deliveries.create(changes=[change], is_test=True)


def _own(rule: AlertRule, by: User) -> None:
    if rule.owner_id != by.pk:
        raise NotAllowed(f"Only {rule.owner.get_username()}, whose rule it is, may do that.")


def _note(rule: AlertRule, action: str, by: User | None) -> None:
    who = by.get_username() if by is not None else f"{getpass.getuser()} (command line)"
    acted.send(
        sender=AlertRule, who=who, action=action, kind="alert", target=str(rule.pk), outcome=f"{rule}, by {rule.way}"
    )


# The round --------------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Change:
    """What is different from what was reported."""

    change: str  # first, changed or recovered
    key: str
    condition: Condition


def differences(reported: Mapping[str, AlertState], now: Mapping[str, Condition]) -> list[Change]:
    """Return what is to be reported, where `reported` holds as it was reported last and `now` holds now."""
    first = [Change("first", key, condition) for key, condition in now.items() if key not in reported]
    changed = [
        Change("changed", key, condition)
        for key, condition in now.items()
        if key in reported and reported[key].mark != condition.mark[:255]
    ]
    over = [
        Change("recovered", key, Condition(f"Over: {state.sentence}"))
        for key, state in reported.items()
        if key not in now
    ]
    return [*first, *changed, *over]


def there_are_rules() -> bool:
    """Return whether anyone has made a rule."""
    return AlertRule.objects.exists()


def look(now: datetime | None = None) -> None:
    """Look at all rules, and write down what is to be reported."""
    now = now or timezone.now()
    for rule in AlertRule.objects.select_related("owner").order_by("pk"):
        with housekeeping_loops.isolated("alerts", f"rule {rule.pk}"):
            if is_quiet(rule, now) or (rule.notified_at and now - rule.notified_at < timedelta(seconds=GROUPED)):
                continue
            _look_at(rule, now)


def is_quiet(rule: AlertRule, now: datetime) -> bool:
    """Return whether it is quiet for a rule, by the clock of its owner; a time that begins in the evening ends in the morning."""
    if rule.quiet_from is None or rule.quiet_until is None:
        return False
    name = time_zones.zone_of(rule.owner)
    here = timezone.localtime(now, zoneinfo.ZoneInfo(name) if name else None).time()
    if rule.quiet_from <= rule.quiet_until:
        return rule.quiet_from <= here < rule.quiet_until
    return here >= rule.quiet_from or here < rule.quiet_until


def _look_at(rule: AlertRule, now: datetime) -> None:
    reported = {state.key: state for state in rule.states.all()}
    holds = {key[:255]: one for key, one in alert_conditions.holding(rule, frozenset(reported)).items()}
    found = differences(reported, holds)
    if not found:
        return
    with transaction.atomic():
        # Two recorders that look at the same moment: one of them writes.
        if not AlertRule.objects.filter(pk=rule.pk, notified_at=rule.notified_at).update(notified_at=now):
            return
        for one in found:
            _keep(rule, one, now)
        rule.deliveries.create(changes=[_written(one) for one in found])


def _keep(rule: AlertRule, one: Change, now: datetime) -> None:
    if one.change == "recovered":
        rule.states.filter(key=one.key).delete()
        return
    values = {"mark": one.condition.mark[:255], "sentence": one.condition.sentence[:500]}
    rule.states.update_or_create(key=one.key, defaults=values, create_defaults={**values, "since": now})


def _written(one: Change) -> dict[str, str]:
    page = one.condition.page
    url = absolute_urls.full(reverse(page[0], args=page[1:])) if page else ""
    return {"change": one.change, "key": one.key, "sentence": one.condition.sentence[:500], "url": url}


def forget_old() -> None:
    """Delete notifications that are long over."""
    before = timezone.now() - timedelta(days=KEPT)
    AlertDelivery.objects.filter(ended_at__lt=before, state__in=[DeliveryState.SENT, DeliveryState.FAILED]).delete()


def recipients(rule: AlertRule) -> list[str]:
    """Return to whom its mails go: its owner, and those of its team who may see the same themselves."""
    people = [rule.owner]
    if rule.team_id is not None:
        people += list(User.objects.filter(groups=rule.team_id, is_active=True).exclude(pk=rule.owner_id)[:200])
    heard = [person for person in people if person.is_active and person.email and may_hear(rule, person)]
    return addresses.split(list(dict.fromkeys(person.email for person in heard)))[0]


def may_hear(rule: AlertRule, person: User) -> bool:
    """Return whether a person may be notified of what a rule reports."""
    if person.pk == rule.owner_id or job_policies.sees_all(person):
        return True
    if rule.what == What.TASK or (rule.what == What.LATE and rule.of):
        return job_policies.may_see_task(person, rule.of)
    return False
