"""Whatever foreign code says of itself, there is a text, and it is bounded."""

import pickle
from unittest import mock

import gevent
import greenlet
import pytest
from celery.exceptions import NotRegistered
from celery.utils.serialization import get_pickleable_exception

from jobroom import events, safe_text, truncation
from jobroom.celery import raised_errors, tracker
from jobroom.exceptions import OutOfMemory, TaskEscaped
from jobroom.testing.tasks import made_task


class Raising:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Exiting:
    def __str__(self):
        raise SystemExit(3)


class Nothing:
    def __str__(self):
        return None  # noqa: PLE0307 — that is what it is here for


class Odd(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError("no text")


class TwoWords(ValueError):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


class BadError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Raising(), "<Raising whose __str__ raised RuntimeError>"),
        (Exiting(), "<Exiting whose __str__ raised SystemExit>"),
        (Nothing(), "<Nothing whose __str__ raised TypeError>"),
        (Odd("plain"), "plain"),
        (3, "3"),
    ],
)
def test_there_is_always_a_text(value, text):
    assert safe_text.text_of(value) == text


def test_there_is_always_a_representation():
    assert safe_text.repr_of(Raising()) == "<Raising whose __repr__ raised RuntimeError>"
    assert safe_text.repr_of([1]) == "[1]"


def test_an_error_names_its_class_and_its_bases():
    assert safe_text.error_bases(TwoWords("a", "b")) == [f"{__name__}.TwoWords", "ValueError", "Exception"]
    wrapped = get_pickleable_exception(type("Local", (Exception,), {"__module__": "far.away"})("x"))
    assert safe_text.error_bases(wrapped) == ["far.away.Local"]
    assert safe_text.error_type(wrapped) == "Local"


def test_a_traceback_is_written_for_every_error():
    assert "BadError" in safe_text.traceback_of(BadError())


@pytest.mark.parametrize("length", [0, 99, 100, 101, 5_000_000])
def test_a_text_is_bounded_and_says_what_is_left_out(length):
    text = "é" * (length // 2) + "z" * (length - length // 2)
    short = truncation.shorten(text, 100)
    assert len(short) <= 100
    assert (short == text) == (length <= 100)
    if length > 100:
        assert short.startswith("é")
        assert short.endswith("z")
        assert "bytes left out" in short
    assert truncation.shorten(short, 100) == short


def test_no_half_of_a_secret_is_left_where_a_text_is_cut():
    text = "secret99 " * 1000
    assert "secret" not in truncation.shorten_clean(text, 200, lambda given: given.replace("secret99", "•"))


def nothing():
    """Run as a task that does nothing."""


def failed(raised):
    """Return the event of a run whose task raises that, with the substitute that Celery hands to its hooks."""
    written = []
    with (
        made_task(nothing) as task,
        mock.patch.object(events, "write", lambda *args: (written.append(args), None)),
    ):
        execution = tracker.Execution("e1", 0.0)
        task.push_request(id="j1", execution=execution, called_directly=False, is_eager=False)
        raised_errors.note(task.request, raised)
        substitute = get_pickleable_exception(raised)
        with mock.patch("jobroom.tasks.failure_mail.on_signal"):
            tracker._failed(task, "j1", substitute, args=(), kwargs={}, einfo="Traceback of the substitute")
        task.pop_request()
    return written[0][2]


def test_the_error_is_recorded_as_it_was_raised():
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(TwoWords("a", "b")))
    event = failed(TwoWords("a", "b"))
    assert (event["error_type"], event["error"]) == ("TwoWords", "a b")
    assert event["error_bases"][:2] == [f"{__name__}.TwoWords", "ValueError"]
    assert event["traceback"].endswith("TwoWords: a b\n")


def test_an_error_without_a_text_still_ends_its_job():
    event = failed(BadError())
    assert event["state"] == "failed"
    assert event["error"] == "<BadError whose __str__ raised RuntimeError>"


def test_a_huge_error_is_recorded_with_head_and_tail():
    event = failed(ValueError("x" * 5_000_000))
    assert len(event["error"]) <= 10_000
    assert "bytes left out" in event["error"]
    assert len(event["traceback"]) <= 50_000


def test_an_event_with_a_value_that_has_no_text_is_written():
    with mock.patch.object(events, "_send", return_value=None) as send:
        assert events.emit("progress", "j1", message=Raising())
    assert "whose __str__ raised" in send.call_args[0][0][2]


def test_what_ends_a_process_ends_the_job_alone():
    with pytest.raises(OutOfMemory):
        raised_errors.contain(MemoryError())
    with pytest.raises(TaskEscaped, match="SystemExit: 3"):
        raised_errors.contain(SystemExit(3))
    with pytest.raises(TaskEscaped, match="KeyboardInterrupt"):
        raised_errors.contain(KeyboardInterrupt())
    assert raised_errors.contain(ValueError()) is None
    with mock.patch.object(raised_errors, "terminate_handler_fired", return_value=True):
        assert raised_errors.contain(SystemExit(-241)) is None


def test_what_ends_the_greenlet_of_a_job_is_let_through():
    killed = greenlet.GreenletExit()
    assert raised_errors.contain(killed) is None
    over = gevent.Timeout(5)
    assert raised_errors.contain(over, limit=5) is None
    with pytest.raises(TaskEscaped, match="Timeout: 3 seconds"):  # the task's own, which it did not catch
        raised_errors.contain(gevent.Timeout(3), limit=5)
    with pytest.raises(TaskEscaped):
        raised_errors.contain(gevent.Timeout(3))


def test_the_sentence_about_an_unknown_task_has_no_quotes():
    assert safe_text.error_text(NotRegistered("No worker knows it.")) == "No worker knows it."
    assert safe_text.error_text(KeyError("colour")) == "'colour'"
