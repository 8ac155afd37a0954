"""When two jobs ask the same: keys, versions, fingerprints, likeness."""

import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from celery import current_app

from jobroom.arguments import File
from jobroom.cache import Similar, keeps_answers, question
from jobroom.tasks import BaseTask
from jobroom.testing.tasks import made_task


class Kept(File):
    """A file as the jobs app would load it."""

    def __init__(self, file_id: str, path: Path, sha256: str = "") -> None:
        self.id, self.name, self.path, self.sha256 = file_id, "any", path, sha256


def asked(task, **named):
    return question(task, named)


def test_the_same_arguments_ask_the_same_whatever_their_order_and_defaults():
    def run(text: str, times: float = 1, unit: str = None): ...  # type: ignore[assignment]  # noqa: RUF013 — as people write it

    with made_task(run, cache_for=60) as task:
        assert asked(task, text="a", times=1.0).key == asked(task, times=1.0, text="a", unit=None).key
        assert asked(task, text="a").key == asked(task, text="a", times=1.0).key
        assert asked(task, text="a").key != asked(task, text="b").key
        assert asked(task, text="a").seconds == 60


def test_arguments_count_as_run_gets_them():
    def plain(number: int): ...

    def rich(day: date): ...

    with made_task(plain, cache_for=60) as task:
        assert asked(task, number="5").key != asked(task, number=5).key
        assert asked(task, number="many").key != asked(task, number=5).key
    with made_task(rich, cache_for=60) as task:
        assert asked(task, day="2026-01-31").key == asked(task, day=date(2026, 1, 31)).key
        assert asked(task, day="some day") is None


def test_two_tasks_and_two_versions_ask_different_things():
    def run(text: str): ...

    versions = ["1", "1", "2"]
    with made_task(run, cache_for=timedelta(hours=1)) as plain, made_task(run, cache_for=1, version="1") as other:
        assert asked(plain, text="a").key.rpartition("|")[2] != asked(other, text="a").key.rpartition("|")[2]
        assert asked(plain, text="a").seconds == 3600
    with made_task(run, cache_for=1, version=lambda: versions.pop(0)) as task:
        first, second, third = (asked(task, text="a") for _ in range(3))
        assert first.key == second.key != third.key
        assert (first.version, third.version) == ("1", "2")
        assert first.content == third.content


def test_a_file_counts_by_its_content(tmp_path, monkeypatch):
    for name, content in {"one": "same", "two": "same", "three": "other"}.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(File, "load", staticmethod(lambda name: Kept(name, tmp_path / name)))

    def run(table: File, more: list[File] | None = None): ...

    with made_task(run, cache_for=60) as task:
        assert asked(task, table="one").key == asked(task, table="two").key != asked(task, table="three").key
        assert asked(task, table="one", more=["one"]).key == asked(task, table="one", more=["two"]).key
        assert asked(task, table="one", more=["one"]).key != asked(task, table="one", more=["one", "one"]).key


def test_a_fingerprint_gets_what_run_gets_of_the_arguments_that_it_names(tmp_path, monkeypatch):
    (tmp_path / "one").write_text("content")
    monkeypatch.setattr(File, "load", staticmethod(lambda name: Kept(name, tmp_path / name)))

    def run(table: File, verbose: bool = False): ...

    with made_task(run, cache_for=60, fingerprint=lambda table: table.path.read_text()) as task:
        assert asked(task, table="one", verbose=True).key == asked(task, table="one").key
        assert asked(task, table="one", verbose=True).content != asked(task, table="one").content
        assert asked(task, table="one").own


@pytest.mark.parametrize("broken", [lambda text: 1 / 0, lambda text: 5, lambda text: Similar(-1)])
def test_a_broken_fingerprint_costs_no_job(broken, caplog):
    def run(text: str): ...

    with made_task(run, cache_for=60, fingerprint=broken) as task:
        assert asked(task, text="a") is None
    assert f"The cache key of a job of {task.name} cannot be computed" in caplog.text


def test_methods_of_a_class_may_say_fingerprint_and_version():
    class Classify(BaseTask):
        name = "answers.classify"
        cache_for = 60

        def fingerprint(self, text):
            return text.lower() + self.name

        def version(self):
            return "7"

        def run(self, text: str): ...

    task = current_app.tasks[current_app.register_task(Classify()).name]
    try:
        assert asked(task, text="A").key == asked(task, text="a").key
        assert asked(task, text="A").version == "7"
    finally:
        current_app.tasks.unregister(task.name)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cache_for": "an hour"}, "cache_for of wrong: give seconds or a timedelta, not 'an hour'"),
        ({"cache_for": True}, "cache_for of wrong: give seconds or a timedelta, not True"),
        ({"cache_for": 0}, "cache_for of wrong: give more than 0 seconds, or leave it out"),
        ({"cache_for": 5, "fingerprint": "text"}, "fingerprint of wrong: give a function of the arguments, not 'text'"),
    ],
)
def test_a_wrong_declaration_is_refused_by_name(options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        type("Wrong", (BaseTask,), {"name": "wrong", **options})


def test_tasks_without_the_option_and_untracked_ones_keep_nothing():
    def run(): ...

    with (
        made_task(run) as plain,
        made_task(run, cache_for=5, track=False) as untracked,
        made_task(run, cache_for=5) as it,
    ):
        assert [keeps_answers(task) for task in (plain, untracked, it)] == [False, False, True]


def test_a_secret_cannot_be_guessed_from_its_key(settings):
    def run(password: str): ...

    with made_task(run, cache_for=60) as task:
        here = asked(task, password="1234").key
        settings.SECRET_KEY = "another"
        assert asked(task, password="1234").key != here


# Likeness


def flipped(bits, count):
    for place in random.Random(count).sample(range(64), count):
        bits ^= 1 << place
    return bits


@pytest.mark.parametrize("threshold", [0.95, 0.9, 0.8, 1.0])
def test_simhashes_within_the_threshold_always_meet_in_a_bucket(threshold):
    random.seed(7)
    most = int(64 * (1 - threshold) + 1e-9)
    for _ in range(200):
        one = Similar(random.getrandbits(64), threshold)
        two = Similar(flipped(one.bits, random.randint(0, most)), threshold)
        assert set(one.bands()) & set(two.bands())
        assert one.likeness(two.bits) >= threshold


def test_minhashes_above_the_threshold_meet_and_strangers_do_not():
    random.seed(8)
    met = strangers = 0
    for _ in range(300):
        numbers = [random.getrandbits(32) for _ in range(128)]
        alike = [n if random.random() < 0.93 else random.getrandbits(32) for n in numbers]
        other = [random.getrandbits(32) for _ in range(128)]
        one = Similar(numbers, 0.9)
        met += bool(set(one.bands()) & set(Similar(alike, 0.9).bands()))
        strangers += bool(set(one.bands()) & set(Similar(other, 0.9).bands()))
        assert one.likeness(numbers) == 1.0
    assert met >= 297
    assert strangers == 0


def test_fingerprints_of_two_kinds_are_not_alike():
    assert Similar(5).likeness((5,)) == 0.0
    assert Similar([1, 2]).likeness(5) == 0.0
    assert Similar([1, 2]).likeness((1, 2, 3)) == 0.0


@pytest.mark.parametrize(
    ("bits", "options", "error"),
    [(1 << 64, {}, "2\\^64"), ([], {}, "at least one number"), (1, {"threshold": 0}, "above 0 and at most 1")],
)
def test_a_fingerprint_that_is_none_is_refused(bits, options, error):
    with pytest.raises(ValueError, match=error):
        Similar(bits, **options)
