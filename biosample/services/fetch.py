"""Brings submitted submissions up to date with USI."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from biosample.conf import settings
from biosample.exceptions import (
    InvalidTransition,
    UsiAccountRefused,
    UsiError,
    UsiNotConfigured,
    UsiUnavailable,
)
from biosample.models import Record, Submission
from biosample.services.mails import send_due_mails
from biosample.services.verdicts import Verdict, judge
from biosample.states import State
from jobroom.exceptions import JobFailed

if TYPE_CHECKING:
    from biosample import usi

logger = logging.getLogger(__name__)

Outcome = Literal["completed", "need_revision", "error", "running", "unreadable", "changed"]
Tracker = Callable[[list[int], str], Iterable[int]]

# Records that one transaction writes.
_PIECE = 200

OUTCOMES: dict[State, Outcome] = {
    State.COMPLETED: "completed",
    State.NEED_REVISION: "need_revision",
    State.ERROR: "error",
    State.SUBMITTED: "running",
}


@dataclasses.dataclass
class Counts:
    """What became of the submissions that were asked about."""

    checked: int = 0
    completed: int = 0
    need_revision: int = 0
    error: int = 0
    running: int = 0
    unreadable: int = 0  # USI gave no usable answer
    changed: int = 0  # someone else changed it meanwhile
    mails: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one submission."""
        setattr(self, outcome, getattr(self, outcome) + 1)

    def result(self) -> dict[str, Any]:
        """Return the numbers and a sentence made of them."""
        numbers = dataclasses.asdict(self)
        if not self.checked:
            return {"summary": "Nothing to fetch: no submission is submitted.", **numbers}
        outcomes = {name: count for name, count in numbers.items() if count and name not in {"checked", "mails"}}
        said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in outcomes.items())
        mailed = f" Mails to owners: {self.mails}." if self.mails else ""
        return {"summary": f"{self.checked} checked: {said}.{mailed}", **numbers}


def untracked(rows: list[int], message: str) -> Iterable[int]:
    """Stand in for a task's `track` where there is no job."""
    return rows


def fetch_statuses(*, track: Tracker = untracked) -> dict[str, Any]:
    """Ask USI about every submitted submission, mail the owners, and return the counts.

    Raises UsiNotConfigured and UsiAccountRefused when an operator has to act, UsiUnavailable when USI is down, and
    after the whole walk JobFailed when nothing could be read, or the first unforeseen error.
    """
    counts = Counts()
    try:
        waiting = dict(Submission.objects.submitted().values_list("pk", "problem"))
        if waiting:
            if not (settings.USI_USER and settings.USI_PASSWORD):
                raise UsiNotConfigured
            _fetch_all(waiting, counts, track)
    finally:
        counts.mails = send_due_mails()
    return counts.result()


def _fetch_all(waiting: dict[int, str], counts: Counts, track: Tracker) -> None:
    from biosample import usi  # its HTTP client is loaded by the job that asks, and not by each process of the site

    with usi.Client() as client:
        walk = _Walk(client, counts)
        for pk in track(list(waiting), "Asking USI"):
            walk.visit(pk)
    walk.end()
    if counts.unreadable == counts.checked and not all(waiting.values()):
        # Like `stop`: an operator is notified when this is new, not every quarter of an hour.
        example = Submission.objects.submitted().exclude(problem="").values_list("problem", flat=True).first()
        raise JobFailed(f"USI gave no usable answer about any submission, for example: {example}")


class _Walk:
    """One walk over the submitted submissions: what goes wrong with one does not stop the others."""

    def __init__(self, client: usi.Client, counts: Counts) -> None:
        self.client = client
        self.counts = counts
        self.silent: dict[int, UsiUnavailable] = {}
        self.in_a_row = 0  # how many of the last had no answer
        self.crash: Exception | None = None

    def visit(self, pk: int) -> None:
        """Bring one submission up to date; raise only what concerns all of them."""
        self.counts.checked += 1
        try:
            self.counts.add(fetch_status(pk=pk, client=self.client))
            self.in_a_row = 0
        except UsiUnavailable as error:
            self.silent[pk] = error
            self.in_a_row += 1
            if self.in_a_row >= settings.OUTAGE_AFTER:
                raise
        except (UsiAccountRefused, SoftTimeLimitExceeded):
            raise
        except Exception as error:  # the boundary between submissions; log lines carry the job id
            logger.exception("Submission %s could not be brought up to date", pk)
            self.crash = self.crash or error

    def end(self) -> None:
        """Note who got no answer; raise if that was everyone, or if there was a bug."""
        if len(self.silent) == self.counts.checked:
            raise next(iter(self.silent.values()))
        for pk, error in self.silent.items():
            _note(pk, str(error))
            self.counts.add("unreadable")
        if self.crash is not None:
            raise self.crash


def fetch_status(*, pk: int, client: usi.Client) -> Outcome:
    """Bring one submission up to date and return what became of it; twice is the same as once.

    Raises UsiUnavailable and UsiAccountRefused, which say nothing about this submission.
    """
    submission = Submission.objects.filter(pk=pk, state=State.SUBMITTED).first()
    if submission is None:
        return "changed"
    try:
        remote = client.submission(submission.usi_name)
    except (UsiUnavailable, UsiAccountRefused):
        raise
    except UsiError as error:
        logger.warning("Submission %s: %s", pk, error)
        return _unreadable(submission, str(error))
    try:
        return _apply(submission, remote)
    except InvalidTransition as error:
        logger.info("%s", error)
        return "changed"


def stop(*, reason: str) -> dict[str, Any]:
    """Note on every waiting submission why nothing was fetched.

    Raises JobFailed the first time, so that someone is notified; returns a result when the reason stands there already,
    because a mail every quarter of an hour teaches no one anything new.
    """
    waiting = Submission.objects.submitted()
    known = waiting.filter(problem=reason).exists()
    count = waiting.order_by().update(problem=reason)
    if count and not known:
        raise JobFailed(reason)
    return {"summary": f"Still: {reason}", "waiting": count}


def _note(pk: int, problem: str) -> None:
    Submission.objects.filter(pk=pk, state=State.SUBMITTED).update(problem=problem)


def _unreadable(submission: Submission, problem: str) -> Outcome:
    """Note the problem; give up if it lasts too long."""
    _note(submission.pk, problem)
    if not _is_late(submission):
        return "unreadable"
    try:
        submission.fail(_gave_up(submission, f"The last problem was: {problem}"))
    except InvalidTransition:
        return "changed"
    return "error"


def _apply(submission: Submission, remote: usi.RemoteSubmission) -> Outcome:
    known = {record.alias: record for record in submission.records.all()}
    verdict = judge(remote, set(known))
    problem = _not_listed(verdict)
    _save_records(submission, _changed_records(submission, known, remote, verdict))
    # What USI said of the whole comes last: until then the submission is under way, however many records are written.
    with transaction.atomic():
        _while_submitted(submission, usi_status=remote.status, checked_at=timezone.now(), problem=problem)
        return OUTCOMES[_move(submission, remote, verdict)]


def _while_submitted(submission: Submission, **fields: Any) -> None:
    """Write fields of the submission, whose row is then locked; raise InvalidTransition where it is not submitted any more."""
    if not Submission.objects.filter(pk=submission.pk, state=State.SUBMITTED).update(**fields):
        raise InvalidTransition(f"Submission {submission.pk} is no longer submitted.")


def _move(submission: Submission, remote: usi.RemoteSubmission, verdict: Verdict) -> State:
    count = len(verdict.records)
    if verdict.state == State.COMPLETED:
        submission.complete(f"BioSamples took all records ({count}) and gave each an accession.")
    elif verdict.state == State.NEED_REVISION:
        submission.ask_revision(f"“{submission}” needs revision: {_complaints(verdict)}")
    elif verdict.state == State.ERROR:
        submission.fail(f"BioSamples could not take all of “{submission}”: {_complaints(verdict)}")
    elif _is_late(submission):
        detail = f"USI still says “{remote.status or 'nothing'}”. {_not_listed(verdict)}"
        submission.fail(_gave_up(submission, detail.strip()))
    return State(submission.state)


def _not_listed(verdict: Verdict) -> str:
    """Return which of our records USI does not know, at most ten of them by name; empty when it knows all."""
    if not verdict.missing:
        return ""
    more = f" and {len(verdict.missing) - 10} more" if len(verdict.missing) > 10 else ""
    return f"USI does not list: {', '.join(verdict.missing[:10])}{more}."


def _complaints(verdict: Verdict) -> str:
    wrong = {alias: record.errors for alias, record in sorted(verdict.records.items()) if record.errors}
    lines = [f"{len(wrong)} of {len(verdict.records)} records have errors."]
    for alias, errors in wrong.items():
        lines += ["", alias, *(f"  - {error}" for error in errors)]
    return "\n".join(lines)


def _is_late(submission: Submission) -> bool:
    return timezone.now() - submission.changed_at > timedelta(days=settings.MAX_DAYS)


def _gave_up(submission: Submission, detail: str) -> str:
    since = timezone.localtime(submission.changed_at)
    return (
        f"Gave up on “{submission}”: it is submitted since {since:%Y-%m-%d %H:%M} and not done after "
        f"{settings.MAX_DAYS:g} days. {detail} Its name in USI is {submission.usi_name}; the staff can look there "
        "and mark it as submitted again."
    )


def _changed_records(
    submission: Submission, known: dict[str, Record], remote: usi.RemoteSubmission, verdict: Verdict
) -> list[Record]:
    """Return the records about which something changed, and new ones of which only USI knows; none of them is saved."""
    changed: list[Record] = []
    for theirs in {record.alias: record for record in remote.records}.values():
        ours = known.get(theirs.alias)
        kind = Record.Kind.ANIMAL if theirs.is_animal else Record.Kind.SAMPLE
        record = ours or Record(submission=submission, alias=theirs.alias, kind=kind)
        judged = verdict.records[theirs.alias]
        values = (judged.state, theirs.accession or record.accession, judged.errors)
        if ours is None or (record.state, record.accession, record.errors) != values:
            record.state, record.accession, record.errors = values
            record.updated_at = timezone.now()
            changed.append(record)
    return changed


def _save_records(submission: Submission, records: list[Record]) -> None:
    """Write records piece by piece, so that no one waits long for the database; who is killed in between goes on next time."""
    for number in range(0, len(records), _PIECE):
        piece = records[number : number + _PIECE]
        new, known = [one for one in piece if one._state.adding], [one for one in piece if not one._state.adding]
        with transaction.atomic():
            _while_submitted(submission, state=State.SUBMITTED)
            Record.objects.bulk_create(new)
            Record.objects.bulk_update(known, ["state", "accession", "errors", "updated_at"])
