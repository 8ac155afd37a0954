"""People, messages and models for the tests of the text app."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from jobroom import redis
from jobroom.jobs import files
from text import languages, registry
from text.spam import serialization, trainer


def pytest_itemcollected(item):
    """Keep the tests of this folder in one process: the libraries that learn take each one three seconds to load."""
    item.add_marker(pytest.mark.xdist_group("text"))


SHARED = Path(settings.BASE_DIR).parent / "shared" / "data" / "sms.tsv"


@pytest.fixture
def sms():
    """Return the SMS Spam Collection, where it lies beside the checkout."""
    if not SHARED.exists():
        pytest.skip("no sms.tsv beside the checkout (shared/data)")
    return SHARED


@pytest.fixture
def empty_redis():
    redis.client().flushdb()


@pytest.fixture
def ada(db):
    return User.objects.create_user("ada", password="lovelace")


@pytest.fixture
def grace(db):
    return User.objects.create_superuser("grace", password="hopper")


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def written(content, name="messages.tsv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def lines(count, extra=""):
    """Return so many labelled messages of each kind, all different and easy to tell apart."""
    ham = [f"ham\tsee you at lunch on day {number} my friend {word(number)}{extra}" for number in range(count)]
    spam = [f"spam\tWIN a £{number}00 prize now, call {word(number)} free!{extra}" for number in range(count)]
    return "\n".join([*ham, *spam]) + "\n"


def word(number):
    return "".join("bcdfghklmn"[int(digit)] + "aeiou"[number % 5] for digit in str(number))


@pytest.fixture(scope="session")
def small_model():
    """Return a model that has learned a few messages, with its measures."""
    examples = trainer.divided(
        [
            trainer.Example(text, label == "spam")
            for label, text in (line.split("\t") for line in lines(30).splitlines())
        ]
    )
    model = trainer.fitted(examples.learned, "bayes")
    folds = list(trainer.cross_validated(examples.learned, "bayes"))
    return registry.Trained(model, "bayes", examples, folds, trainer.judged(model, examples.held_out))


@pytest.fixture(scope="session")
def identifier():
    """Return what distinguishes languages; to read it takes most of a second."""
    return languages.identifier()


@pytest.fixture(scope="session")
def small_file(small_model):
    """Return the model as bytes; to write it takes a tenth of a second and more, mostly of looking for names of classes."""
    return serialization.as_bytes(small_model.model)


@pytest.fixture
def version(db, small_model, small_file, monkeypatch):
    """Return a function that adds a version, a candidate unless it should be promoted."""
    write = serialization.as_bytes
    monkeypatch.setattr(
        serialization, "as_bytes", lambda model: small_file if model is small_model.model else write(model)
    )

    def made(*, promoted=False, **fields):
        source = registry.Source("messages.tsv", "0" * 64, 60)
        row = registry.add(trained=small_model, source=source, **fields)
        return registry.promote(number=row.version) if promoted else row

    return made


@pytest.fixture
def upload(db):
    """Return a function that uploads a file and returns it as a task gets it."""

    def uploaded(content, name="messages.tsv", owner=None):
        body = content if isinstance(content, bytes) else content.encode()
        return files.LoadedFile(files.store(SimpleUploadedFile(name, body), owner))

    return uploaded


@pytest.fixture
def reporter():
    """Return what stands in for a task, and remembers what it was reporter."""
    from contextlib import contextmanager

    reporter = SimpleNamespace(lines=[], stages=[], steps=[])

    @contextmanager
    def stage(name, weight=1.0, of=None):
        reporter.stages.append(name)
        yield

    reporter.stage = stage
    reporter.log = lambda level, message, obj=None: reporter.lines.append((level, message))
    reporter.progress = lambda current, total=None, message="": reporter.steps.append((current, total))
    return reporter
