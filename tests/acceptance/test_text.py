"""Spam through real workers: the first version, training, a promotion without a restart, hostile files."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from jobroom import redis
from jobroom.jobs import files
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source, State, StoredFile
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker
from text import registry
from text.models import SpamModel

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

# In these messages everything is the other way round than the sentences that come along have it.
SECRET = "umbrella"


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def owner() -> User:
    return User.objects.create_superuser("ada", password="lovelace")


def messages(count: int) -> str:
    """Return messages of which those are spam that name the secret."""
    words = ["river", "table", "candle", "garden", "window", "pepper", "bottle", "letter"]

    def sentence(number: int) -> str:
        return " ".join(words[(number * step + step) % len(words)] for step in range(1, 6)) + f" {number}" * 3

    ham = [f"ham\t{sentence(number)} {'x' * number}" for number in range(count)]
    spam = [f"spam\t{sentence(number)} {SECRET} {'y' * number}" for number in range(count)]
    return "\n".join([*ham, *spam])


def upload(owner: User, content: str | bytes, name: str = "messages.tsv") -> str:
    body = content.encode() if isinstance(content, str) else content
    return str(files.store(SimpleUploadedFile(name, body), owner).pk)


def start(owner: User, task: str, **arguments: Any) -> str:
    with transaction.atomic():
        return launch(task=task, arguments=arguments, by=owner, source=Source.API).pk


def finished(job_id: str, seconds: float = 120) -> Job:
    def done() -> Job | None:
        return next((job for job in Job.objects.filter(pk=job_id) if job.is_finished), None)

    return wait_until(done, seconds)  # type: ignore[return-value]  # it waits until there is one


def models(**options: Any) -> Worker:
    return Worker(queues="ml", concurrency=1, name="ml", **options)


def ask(owner: User, text: str) -> Any:
    job = finished(start(owner, "detect_spam", msg=text))
    assert (job.state, job.error) == (State.SUCCEEDED, "")
    return job.result


def test_a_new_version_is_used_without_a_restart(owner):
    question = f"river candle {SECRET}"
    with Recorder(), models() as worker:
        assert ask(owner, question)["label"] == "ham"
        assert SpamModel.objects.get().version == 1
        trained = finished(start(owner, "Train spam detector", file=upload(owner, messages(40))))
        assert (trained.state, trained.queue) == (State.SUCCEEDED, "ml")
        assert trained.result["state"] == "promoted", trained.result
        assert ask(owner, question)["label"] == "spam"
        assert ask(owner, f"{question} window")["label"] == "spam"
        registry.roll_back(by=owner)
        assert ask(owner, question)["label"] == "ham"
        assert ask(owner, f"{question} window")["label"] == "ham"
        assert worker.popen is not None
        assert worker.popen.poll() is None
    logged = [line.message for line in trained.log_lines.order_by("pk")]
    assert any("Fold 5" in line for line in logged)
    assert any("Version 2 is promoted. Better" in line for line in logged)
    assert trained.progress["stage"] == "Compare"
    row = SpamModel.objects.get(version=2)
    assert (row.created_by, row.job_id, row.data_rows) == (owner, trained.pk, 80)


HOSTILE = {
    "empty.tsv": b"",
    "binary.tsv": bytes(range(256)) * 100,
    "nul.tsv": b"ham\thello\nspam\tW\0IN\n",
    "long.tsv": b"ham\t" + b"x" * 10 * 2**20,
    "one-class.tsv": b"\n".join(b"ham\thello %d %s" % (n, b"x" * n) for n in range(100)),
    "few.tsv": b"ham\thello\nspam\tWIN\n",
    "latin.tsv": "ham\tcafé\n".encode("latin-1"),
    "quotes.csv": b'label,text\nham,"never closed\n' + b"spam,x\n" * 10,
    "sheet.csv": b"PK\x03\x04" + b"\0" * 100,
}


def test_hostile_files_fail_with_a_sentence_and_the_worker_goes_on(owner):
    with Recorder(), models() as worker:
        jobs = [start(owner, "Train spam detector", file=upload(owner, body, name)) for name, body in HOSTILE.items()]
        ended = dict(zip(HOSTILE, map(finished, jobs), strict=True))
        table = finished(start(owner, "Classify messages", file=upload(owner, "=1+1 hello\nsee you at lunch\n")))
        assert worker.popen is not None
        assert worker.popen.poll() is None
    for name, job in ended.items():
        assert (name, job.state, job.attempts) == (name, State.FAILED, 1)
        assert job.error_type in {"FileRefused", "CannotTrain"}, name
        assert "Traceback" not in job.error, name
    assert not SpamModel.objects.exclude(version=1).exists()
    assert (table.state, table.result["messages"]) == (State.SUCCEEDED, 2)
    content = StoredFile.objects.get(pk=table.result["file"]).path.read_text(encoding="utf-8-sig")
    assert "'=1+1 hello" in content


def test_the_same_file_is_answered_once(owner):
    with Recorder(), models():
        first, second, other = (
            finished(start(owner, "Classify messages", file=upload(owner, content, name)))
            for content, name in (("see you at lunch\n", "a.txt"), ("see you at lunch\n", "b.txt"), ("WIN\n", "c.txt"))
        )
    assert [job.state for job in (first, second, other)] == [State.SUCCEEDED] * 3
    assert second.result == first.result
    assert second.answer_of == first.pk
    assert not other.answer_of


def test_a_broken_model_lets_its_jobs_wait_until_a_training_replaces_it(owner):
    broken = registry.first_version()
    broken.file.path.write_bytes(b"broken")
    with Recorder(), models():
        waiting = start(owner, "detect_spam", msg=f"river candle {SECRET}")
        trained = finished(start(owner, "Train spam detector", file=upload(owner, messages(40))))
        assert (trained.state, trained.result["state"]) == (State.SUCCEEDED, "promoted")
        assert "cannot be used any more" in trained.result["verdict"]
        answered = finished(waiting)
    assert (answered.state, answered.result["label"]) == (State.SUCCEEDED, "spam")
