"""Judges what USI says about a submission; pure functions, nothing is read or written."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from biosample.states import State

if TYPE_CHECKING:
    from biosample.usi import RemoteRecord, RemoteSubmission

# Processing states of USI in which a record stays until someone acts; in all others but Completed it moves by itself.
BROKEN = frozenset({"error", "rejected"})
TO_CORRECT = frozenset({"actionrequired"})
# In these the archive has not seen the record yet, so the validation decides.
UNSENT = frozenset({"", "draft"})


@dataclasses.dataclass(frozen=True)
class RecordVerdict:
    """What one record is to be."""

    state: State  # SUBMITTED while it is under way
    settled: bool  # nothing more will happen to it by itself
    errors: list[str]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a submission is to be."""

    state: State  # SUBMITTED while it is under way
    records: dict[str, RecordVerdict]  # by alias
    missing: list[str]  # aliases that USI does not list


def judge_record(record: RemoteRecord) -> RecordVerdict:
    """Return the verdict on one record."""
    status = record.status.lower()
    if status == "completed" and record.accession:
        return RecordVerdict(State.COMPLETED, True, [])
    if status in BROKEN:
        return RecordVerdict(State.ERROR, True, _texts(record))
    if status in TO_CORRECT:
        return RecordVerdict(State.NEED_REVISION, True, _texts(record))
    if status in UNSENT and record.validation.lower() == "complete":
        state = State.NEED_REVISION if record.errors else State.SUBMITTED
        return RecordVerdict(state, True, record.errors)
    return RecordVerdict(State.SUBMITTED, False, [])


def judge(remote: RemoteSubmission, known: set[str]) -> Verdict:
    """Return the verdict on a submission of which we know the records `known` (aliases).

    Errors are reported when every record is settled: then the owner hears of all of them at once.
    """
    records = {record.alias: judge_record(record) for record in remote.records}
    missing = sorted(known - records.keys())
    return Verdict(_overall(records, missing), records, missing)


def _overall(records: dict[str, RecordVerdict], missing: list[str]) -> State:
    states = {verdict.state for verdict in records.values()}
    if not all(verdict.settled for verdict in records.values()):
        return State.SUBMITTED
    if State.ERROR in states:
        return State.ERROR
    if State.NEED_REVISION in states:
        return State.NEED_REVISION
    return State.COMPLETED if states == {State.COMPLETED} and not missing else State.SUBMITTED


def _texts(record: RemoteRecord) -> list[str]:
    said = [record.message] if record.message else []
    return said + record.errors or [f"USI says “{record.status}” without a reason."]
