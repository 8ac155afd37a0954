"""Sends what rules of alerts report: by mail through the outbox, by signed webhook, by chat. Runs beside the recorder's own work.

A notification is claimed before it is sent; one whose sender died is sent again, so it may arrive twice, under the same id.
"""

import base64
import hashlib
import hmac
import json
import logging
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from jobroom import absolute_urls, housekeeping_loops, safe_text, truncation
from jobroom.arguments.encryption import opened
from jobroom.control_characters import escaped
from jobroom.notifications import alerts, chats, submission, webhook_client
from jobroom.notifications.alert_models import AlertDelivery, DeliveryState, Way
from jobroom.notifications.exceptions import MailError, WrongAddress

logger = logging.getLogger(__name__)

# Seconds before each further attempt; then it is given up. So many are sent in one round.
PAUSES, MOST = (30, 120, 600, 1800, 3600), 20
# A sender that has not said how it went after so long is dead.
STALE = timedelta(minutes=3)
# Things that one message names.
NAMED = 20


def due() -> bool:
    """Return whether something waits to be sent."""
    return AlertDelivery.objects.filter(next_try__lte=timezone.now()).exists()


def send_due() -> None:
    """Send what is due, each by itself: a channel that fails holds up no other."""
    rows = AlertDelivery.objects.filter(next_try__lte=timezone.now()).select_related("rule__owner", "rule__team")
    for row in rows.order_by("next_try")[:MOST]:
        with housekeeping_loops.isolated("sending alerts", f"notification {row.pk}"):
            if _claimed(row):
                _deliver(row)


def _claimed(row: AlertDelivery) -> bool:
    mine = AlertDelivery.objects.filter(pk=row.pk, next_try=row.next_try, attempts=row.attempts)
    stale = timezone.now() + STALE
    done = mine.update(state=DeliveryState.SENDING, attempts=F("attempts") + 1, next_try=stale)
    row.attempts += 1
    return bool(done)


def _deliver(row: AlertDelivery) -> None:
    try:
        _send(row)
    except (WrongAddress, MailError) as error:
        _ended(row, DeliveryState.FAILED, str(error))
    except Exception as error:  # noqa: BLE001 — the boundary: what a channel raises is shown with the rule
        said = f"{safe_text.error_type(error)}: {safe_text.error_text(error)}"
        if row.attempts > len(PAUSES):
            _ended(row, DeliveryState.FAILED, said)
            return
        again = timezone.now() + timedelta(seconds=PAUSES[row.attempts - 1])
        values = {"state": DeliveryState.WAITING, "error": truncation.shorten(said, 500)[:500], "next_try": again}
        AlertDelivery.objects.filter(pk=row.pk).update(**values)
    else:
        _ended(row, DeliveryState.SENT, "")


def _ended(row: AlertDelivery, state: DeliveryState, error: str) -> None:
    values = {"state": state, "error": error[:500], "next_try": None, "ended_at": timezone.now()}
    AlertDelivery.objects.filter(pk=row.pk).update(**values)


def _send(row: AlertDelivery) -> None:
    rule = row.rule
    if rule.way == Way.MAIL:
        to = alerts.recipients(rule)
        if not to:
            raise WrongAddress("No one of them has an e-mail address.")
        submission.post(submission.compose(to=to, subject=title(row), text=text(row), key=f"alert-{row.pk}"))
    elif rule.way == Way.WEBHOOK:
        body = payload(row)
        status = webhook_client.post(opened(rule.address), body, signed(row, body, opened(rule.secret)))
        if not 200 <= status < 300:
            raise OSError(f"It answered {status}.")
    else:
        chats.send(opened(rule.address), title(row), text(row))


def title(row: AlertDelivery) -> str:
    """Return what a notification is about, in one line."""
    first = row.changes[0] if row.changes else {"change": "test", "sentence": "Nothing"}
    more = f" and {len(row.changes) - 1} more" if len(row.changes) > 1 else ""
    return truncation.shorten(escaped(f"[Jobroom] {first['change'].capitalize()}: {first['sentence']}{more}"), 200)


def text(row: AlertDelivery) -> str:
    """Return a notification as people read it."""
    lines = [
        f"{one['change'].capitalize()}: {escaped(one['sentence'])}\n{one.get('url', '')}" for one in row.changes[:NAMED]
    ]
    more = [f"And {len(row.changes) - NAMED} more."] if len(row.changes) > NAMED else []
    rule = f"By the rule “{row.rule}” of {row.rule.owner.get_username()}: {absolute_urls.full(row.rule.get_absolute_url())}"
    return "\n\n".join([*lines, *more, rule]) + "\n"


def payload(row: AlertDelivery) -> bytes:
    """Return a notification as programs read it."""
    rule = {"id": row.rule_id, "what": row.rule.what, "of": row.rule.of}
    found = {"type": "alert.test" if row.is_test else "alert", "timestamp": row.created_at.isoformat()}
    return json.dumps(
        {**found, "data": {"rule": rule, "changes": row.changes[:NAMED], "number": len(row.changes)}}
    ).encode()


def signed(row: AlertDelivery, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a webhook, signed as Standard Webhooks describes it."""
    at = str(int(timezone.now().timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{row.pk}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": str(row.pk),
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
