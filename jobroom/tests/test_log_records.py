"""Each record of the log carries the id of its job, whatever state the process is in."""

import logging

from jobroom.logs import JobFilter


def test_a_process_that_ends_may_still_log(monkeypatch):
    def ended() -> None:
        raise RuntimeError("greenlet is being finalized")

    monkeypatch.setattr("jobroom.logs.get_current_task", ended)
    record = logging.makeLogRecord({"msg": "gone"})
    assert JobFilter().filter(record)
    assert record.job == ""
