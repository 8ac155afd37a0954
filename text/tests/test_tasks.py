"""The tasks, run where they are."""

import csv
from pathlib import Path

import pytest

from image.celery import app
from jobroom.arguments import WrongArguments, schema_of
from jobroom.exceptions import JobFailed
from jobroom.jobs.launches import default_queue
from jobroom.resources.access import given
from text import registry, tables, tasks
from text.models import SpamModel
from text.tests.conftest import lines

NAMES = (
    *("detect_spam", "Classify messages", "Train spam detector", "Retrain spam detector", "Find near-duplicates"),
    *("text.fingerprint", "text.key_phrases", "text.detect_language"),
)
MAY_NOT_RUN_TWICE = {"Train spam detector", "Retrain spam detector"}

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


@pytest.fixture
def held(version, identifier):
    """Let a small model and the languages stand in for what a worker holds."""
    version(promoted=True)
    with given({"spam_model": registry.detector(), "language_identifier": identifier}):
        yield


@pytest.fixture
def attached(monkeypatch):
    """Return what tasks attach: name and rows of each CSV."""
    found = {}

    def attach(self, path, name=""):
        with Path(path).open(encoding="utf-8-sig", newline="") as content:
            found[name] = list(csv.reader(content))
        return "file-id"

    for task in (tasks.ClassifyMessagesTask, tasks.FindNearDuplicatesTask):
        monkeypatch.setattr(task, "attach", attach)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_all_go_to_the_queue_of_the_models(name):
    assert default_queue(app.tasks[name]) == "ml"
    assert app.tasks[name].acks_late is (name not in MAY_NOT_RUN_TWICE)


def test_spam_is_reported_with_its_probability(held):
    found = tasks.detect_spam("WIN a £900 prize now, call baba free!")
    assert set(found) == {"label", "spam_probability"}
    assert found["label"] == "spam"
    assert 0.5 <= found["spam_probability"] <= 1
    assert tasks.detect_spam("")["label"] in {"ham", "spam"}


def test_a_text_that_is_too_long_is_refused_before_it_travels():
    with pytest.raises(WrongArguments) as caught:
        schema_of(app.tasks["detect_spam"]).wire({"msg": "x" * 20_001})
    assert "The text has 20,001 characters; at most 20,000" in caught.value.errors["msg"][0]


def test_a_file_is_classified_into_a_table(held, attached, upload):
    file = upload('message\nsee you at lunch my friend\n=HYPERLINK("x") WIN a prize now call free!\n', "post.csv")
    found = tasks.ClassifyMessagesTask().run(file)
    assert found == {"messages": 2, "spam": 1, "ham": 1, "version": 1, "file": "file-id"}
    head, ham, spam = attached["post-classified.csv"]
    assert head == ["line", "label", "spam_probability", "message"]
    assert ham[:2] == ["2", "ham"]
    assert spam[3].startswith("'=HYPERLINK")


def test_where_there_are_labels_the_agreement_is_reported(held, attached, upload):
    found = tasks.ClassifyMessagesTask().run(upload(lines(20)))
    assert found["agreement"]["f1"] > 0.9
    assert attached["messages-classified.csv"][0][3] == "given_label"


def test_training_makes_a_version(upload):
    found = tasks.TrainSpamDetectorTask().run(upload(lines(30)), recipe="bayes")
    assert (found["version"], found["state"], found["better"]) == (1, "promoted", True)
    assert SpamModel.objects.get().data_name == "messages.tsv"


def test_two_trainings_at_once_are_one(upload):
    from jobroom.locks import ExclusiveLock

    with ExclusiveLock("train_spam_detector"):
        assert tasks.TrainSpamDetectorTask().run(upload(lines(30))) == "Train spam detector already running!"
        assert tasks.RetrainSpamDetectorTask().run() == "Retrain spam detector already running!"
    assert not SpamModel.objects.exists()


def test_retraining_learns_from_the_file_of_the_settings_when_it_changed(write, settings):
    assert "set TEXT_TRAINING_FILE" in tasks.RetrainSpamDetectorTask().run()["because"]
    path = write(lines(30))
    settings.TEXT_TRAINING_FILE = str(path)
    assert tasks.RetrainSpamDetectorTask().run()["version"] == 1
    assert "there already" in tasks.RetrainSpamDetectorTask().run()["because"]
    path.write_text(lines(31))
    assert tasks.RetrainSpamDetectorTask().run()["version"] == 2
    settings.TEXT_TRAINING_FILE = str(path.with_name("gone"))
    with pytest.raises(JobFailed, match="cannot be read"):
        tasks.RetrainSpamDetectorTask().run()


def test_near_duplicates_are_grouped(attached, upload):
    content = "You have won a prize, call 0901 now\nSee you at lunch\nYou have won a prize, call 0902 now!\nsee you, at LUNCH\n"
    found = tasks.FindNearDuplicatesTask().run(upload(content, "post.txt"), similarity=0.6)
    assert found == {
        "messages": 4, "groups": 2, "in_groups": 4, "superfluous": 2, "largest_group": 2, "file": "file-id",
    }  # fmt: skip
    rows = attached["post-near-duplicates.csv"]
    assert rows[0] == ["group", "similarity", "line", "message"]
    assert [row[2] for row in rows[1:]] == ["1", "3", "2", "4"]
    assert rows[3][1] == rows[4][1] == "1.0"
    assert 0.6 <= float(rows[2][1]) < 1


def test_messages_like_a_text_are_found(attached, upload):
    found = tasks.FindNearDuplicatesTask().run(
        upload("hello world out there\nsomething else\nHello, world out there!\n", "a.txt"),
        like="hello world out there",
    )
    assert (found["similar"], found["most_similar"]) == (2, 1.0)
    assert [row[1] for row in attached["a-near-duplicates.csv"][1:]] == ["1", "3"]


def test_a_fingerprint_estimates_how_similar_two_texts_are():
    found = tasks.fingerprint(
        "The quick brown fox jumps over the lazy dog", "The quick brown fox jumped over a lazy dog"
    )
    assert len(found["minhash"]) == 128
    assert 0.4 < found["similarity"] < 0.9
    assert abs(found["similarity"] - found["estimated"]) < 0.2
    assert set(tasks.fingerprint("x")) == {"minhash", "shingles"}


def test_languages_are_named(held):
    assert tasks.detect_language("Ceci est une phrase écrite en français, bien sûr.") == {
        "language": "fr", "name": "French", "probability": pytest.approx(1, abs=0.1),
    }  # fmt: skip
    for text in ("", "ok", "12345 67890", "!!!"):
        assert tasks.detect_language(text) == {"language": "unknown", "name": "unknown", "probability": 0.0}


def test_key_phrases_are_named(held):
    text = "Deep learning needs data. Deep learning on small data fails. We like deep learning because of the data."
    found = tasks.key_phrases(text, count=2)
    assert found["phrases"][0]["phrase"] == "Deep learning"
    assert (found["phrases"][0]["weight"], found["phrases"][0]["count"]) == (1.0, 3)
    assert len(found["phrases"]) == 2
    assert tasks.key_phrases("the of and")["phrases"] == []
    assert tasks.key_phrases("")["phrases"] == []


def test_cells_cannot_be_formulas():
    for text in ("=1+1", "+1", "-1", "@x", "\t=1", " =1", "\uff1d1"):
        assert tables.harmless(text) == f"'{text}"
    assert tables.harmless("a=1") == "a=1"
    assert tables.harmless(-1) == -1
