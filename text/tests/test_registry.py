"""The database of versions: adding, promoting, rolling back, loading, and the very first one."""

import pytest

from jobroom.jobs.models import StoredFile
from jobroom.testing import transactions
from text import model_update, registry
from text.exceptions import CannotTrain, FileRefused, ModelRefused, NoSuchVersion
from text.models import SpamModel, Standing
from text.spam import serialization
from text.spam.measures import Measures
from text.tests.conftest import lines

pytestmark = pytest.mark.django_db


def states():
    return dict(SpamModel.objects.order_by("version").values_list("version", "state"))


def figures(f1, messages=100):
    return Measures(messages, 10, f1, f1, f1, f1, 0.0, [[90, 0], [0, 10]])


def test_a_version_says_what_it_was_made_from(version, grace):
    row = version(by=grace, job_id="j1", verdict="because")
    assert (row.version, row.state, row.created_by, row.job_id) == (1, Standing.CANDIDATE, grace, "j1")
    assert (row.data_name, row.data_rows, row.parameters["recipe"]) == ("messages.tsv", 60, "bayes")
    assert row.libraries["scikit-learn"].startswith("1.")
    assert len(row.folds) == 5
    assert row.counts["learned"] + row.counts["held_out"] == 60
    assert row.file.path.stat().st_size == row.size


def test_one_version_at_a_time_is_promoted_and_the_one_before_is_kept(version, grace):
    version(promoted=True)
    version()
    version()
    registry.promote(number=3, by=grace)
    assert states() == {1: "retired", 2: "candidate", 3: "promoted"}
    assert SpamModel.objects.get(version=3).promoted_by == grace
    assert registry.roll_back(by=grace).version == 1
    assert states() == {1: "promoted", 2: "candidate", 3: "retired"}
    assert registry.promote(number=1).state == Standing.PROMOTED
    assert registry.working_version() == "1"


def test_there_may_be_nothing_to_go_back_to(version):
    with pytest.raises(NoSuchVersion, match="nothing to go back to"):
        registry.roll_back()
    version(promoted=True)
    with pytest.raises(NoSuchVersion, match="nothing to go back to"):
        registry.roll_back()
    with pytest.raises(NoSuchVersion, match="There is no version 9"):
        registry.promote(number=9)


def test_a_changed_file_is_refused_and_the_old_version_goes_on(version):
    version(promoted=True)
    row = version()
    content = row.file.path.read_bytes()
    row.file.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelRefused, match="not the one that was trained"):
        registry.promote(number=2)
    row.file.path.unlink()
    with pytest.raises(ModelRefused, match=r"is gone \(No such file"):
        registry.promote(number=2)
    assert states() == {1: "promoted", 2: "candidate"}


def test_the_promoted_version_is_loaded(version):
    version(promoted=True)
    version()
    detector = registry.detector()
    assert detector.version == 1
    assert detector.detect("WIN a £900 prize now, call baba free!")["label"] == "spam"


def test_the_very_first_version_is_made_when_it_is_needed():
    detector = registry.detector()
    assert states() == {1: "promoted"}
    found = detector.detect("Congratulations! You have won a free prize. Call 0909 8790123 now to claim it")
    assert found["label"] == "spam"
    assert 0.5 < found["spam_probability"] <= 1
    assert detector.detect("Shall we have lunch at one?")["label"] == "ham"
    assert registry.detector().version == 1
    assert "sentences" in SpamModel.objects.get().verdict


def test_no_one_waits_with_a_write_while_a_model_becomes_a_file(version, monkeypatch):
    made = transactions.noted(monkeypatch, serialization, "as_bytes")
    read = transactions.noted(monkeypatch, serialization, "from_bytes")
    registry.detector()
    version(promoted=True)
    assert made == [False, False]
    assert read == [False, False]


def test_a_worker_that_comes_second_uses_the_version_of_the_first(version, monkeypatch):
    learn, others = registry._learned_at_first, []

    def overtaken(path):
        others.append(version(promoted=True))
        return learn(path)

    monkeypatch.setattr(registry, "_learned_at_first", overtaken)
    assert registry.first_version() == others[0]
    assert StoredFile.objects.count() == 1


def test_an_older_version_in_hand_is_not_used_after_a_promotion(version):
    assert registry.working_version() == "1"
    version(promoted=True)
    held = registry.detector()
    assert registry.up_to_date(held) is held
    version(promoted=True)
    assert registry.up_to_date(held).version == 2
    assert registry.working_version() == "2"
    registry.roll_back()
    assert registry.up_to_date(held) is held


def test_where_only_candidates_are_the_newest_is_used(version):
    version()
    version()
    assert registry.detector().version == 2
    assert states() == {1: "candidate", 2: "candidate"}


def lesson(path, **options):
    return model_update.Lesson(path, path.name, **options)


def test_training_reports_its_stages_and_promotes_the_first(write, reporter, grace):
    row, verdict = model_update.train(
        lesson=lesson(write(lines(40)), recipe="bayes"), reporter=reporter, by=grace, job_id="j"
    )
    assert reporter.stages == ["Read", "Cross-validate", "Learn", "Compare"]
    assert [step for step in reporter.steps if step[1] == 5] == [(n, 5) for n in range(6)]
    assert verdict.better
    assert (row.state, row.promoted_by, row.job_id) == ("promoted", grace, "j")
    assert any("80 messages, 80 different ones of which 40 are spam" in line for _, line in reporter.lines)
    assert model_update.summary(row, verdict)["page"] == "/text/models/1/"


def test_what_is_not_better_is_kept_as_a_candidate_and_says_why(write, reporter, version):
    version(promoted=True)
    row, verdict = model_update.train(lesson=lesson(write(lines(40)), recipe="bayes"), reporter=reporter)
    assert not verdict.better
    assert row.state == Standing.CANDIDATE
    assert row.verdict.startswith("Not better by enough: F1 1.0000")
    assert reporter.lines[-1][0] == "warning"
    assert states() == {1: "promoted", 2: "candidate"}


def test_one_may_wish_that_nothing_is_promoted(write, reporter):
    row, verdict = model_update.train(lesson=lesson(write(lines(40)), recipe="bayes"), reporter=reporter, promote=False)
    assert verdict.better
    assert row.state == Standing.CANDIDATE


def test_a_promoted_version_that_is_broken_is_replaced(write, reporter, version):
    version(promoted=True).file.path.write_bytes(b"")
    row, _ = model_update.train(lesson=lesson(write(lines(40)), recipe="bayes"), reporter=reporter)
    assert row.state == Standing.PROMOTED
    assert "cannot be used any more" in row.verdict
    assert (reporter.lines[-2][0], reporter.lines[-2][1][:21]) == ("error", "The file of version 1")


@pytest.mark.parametrize(
    ("new", "middle", "spread", "old", "better"),
    [
        (0.98, 0.96, 0.03, 0.95, True),
        (0.954, 0.96, 0.0, 0.95, False),  # within the margin
        (0.98, 0.94, 0.01, 0.95, False),  # luck
        (0.98, 0.95, 0.03, 0.95, True),  # within the error
        (1.0, 1.0, 0.0, 0.999, True),  # a margin beyond 1 cannot be asked for
        (1.0, 1.0, 0.0, 1.0, False),
    ],
)
def test_the_rule(new, middle, spread, old, better):
    verdict = model_update.compared({"f1": middle, "f1_spread": spread}, figures(new), figures(old), 7)
    assert verdict.better is better
    assert "version 7" in verdict.because


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (
            "\n".join(f"ham\thello {n}" for n in range(50)),
            CannotTrain,
            "The file has 0 different spam messages; at least 20",
        ),
        (lines(19), CannotTrain, "19 different ham messages"),
        ("ham\thello\n" * 100 + "spam\tWIN\n" * 100, CannotTrain, "1 different ham message; at least"),
        ("hello\n", FileRefused, "Line 1 has no label"),
    ],
)
def test_too_little_to_learn_from_is_said(write, reporter, content, error, says):
    with pytest.raises(error, match=says):
        model_update.train(lesson=lesson(write(content)), reporter=reporter)
    assert not SpamModel.objects.exists()


def test_the_same_file_is_no_news(write, reporter):
    path = write(lines(40))
    assert model_update.is_news(path)
    model_update.train(lesson=lesson(path), reporter=reporter)
    assert not model_update.is_news(path)
    path.write_text(lines(41))
    assert model_update.is_news(path)


def test_a_kept_model_is_small(version):
    assert version().size < 3_000_000
    assert serialization.from_bytes(SpamModel.objects.get().file.path.read_bytes()) is not None
