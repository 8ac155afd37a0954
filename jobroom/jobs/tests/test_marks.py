"""No repair acts on what is absent before the history has passed the moment at which the round began."""

import pytest

from jobroom import events, redis, signals
from jobroom.events import consumer
from jobroom.jobs.recorder.loop import Recorder

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty_stream():
    redis.client().flushdb()


@pytest.fixture
def rounds():
    """Collect the marks of the rounds."""
    heard = []

    def hear(mark, **_):
        heard.append(mark)

    signals.housekeeping.connect(hear)
    yield heard
    signals.housekeeping.disconnect(hear)


@pytest.fixture
def recorder(settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_HOUSEKEEPING_INTERVAL": 0.01}
    settings.JOBROOM = settings.JOBROOM | {"JOBS_RECORDER_BATCH": 2}
    return Recorder()


def log(count: int) -> None:
    for _ in range(count):
        events.emit("log", "j", execution="x", level="info", message="m", obj="")


def test_no_round_while_events_are_unread(recorder, rounds):
    log(5)
    recorder._housekeep()
    assert rounds == []
    recorder.step()
    log(3)  # after the mark: the round need not wait for these
    recorder._housekeep()
    assert rounds == []
    recorder.step()
    recorder.step()
    recorder._housekeep()
    assert len(rounds) == 1
    assert consumer.lag().entries == 2


def test_what_another_recorder_has_read_and_not_written_counts_as_unread(recorder, rounds):
    log(1)
    consumer.Reader("other").read(10, 0)
    recorder._housekeep()
    recorder.step()
    recorder._housekeep()
    assert rounds == []


def test_a_round_that_has_waited_for_long_is_put_off_and_that_is_said(recorder, rounds, settings, caplog):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_MARK_VALID": 0}
    log(2)
    recorder._housekeep()
    recorder._housekeep()
    assert (rounds, recorder.mark) == ([], None)
    assert "Repairs wait: the history does not know yet" in caplog.text
    settings.JOBROOM = settings.JOBROOM | {"JOBS_MARK_VALID": 5}
    recorder.step()
    recorder._housekeep()
    assert len(rounds) == 1


def test_an_empty_or_absent_stream_is_read(recorder, rounds):
    recorder._housekeep()
    assert [mark.position for mark in rounds] == ["0-0"]
    log(1)
    assert not consumer.is_recorded(consumer.mark())
    recorder.step()
    mark = consumer.mark()
    assert consumer.is_recorded(mark)
    assert mark.position != "0-0"
    assert abs(mark.moment.timestamp() - redis.now()) < 5
