"""The tasks on texts; all go to the queue `ml`, whose workers hold the models."""

import dataclasses
import tempfile
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator

from image.celery import app
from jobroom.jobs.models import Job
from jobroom.tasks import Argument, BaseTask, File, NotifyAdminTaskMixin, exclusive_task
from text import classification, duplicates, fingerprints, languages, message_files, model_update, phrases, registry
from text.conf import settings
from text.message_files import Encoding

Recipe = Literal["svm", "logistic", "bayes"]


def _not_too_long(text: str) -> str:
    if len(text) > settings.MAX_CHARACTERS:
        raise ValueError(
            f"The text has {len(text):,} characters; at most {settings.MAX_CHARACTERS:,} are allowed (TEXT_MAX_CHARACTERS)."
        )
    return text


SUFFIXES = (".csv", ".tsv", ".txt")
AMessage = Annotated[str, AfterValidator(_not_too_long), Argument(title="Message", multiline=True)]
AText = Annotated[str, AfterValidator(_not_too_long), Argument(title="Text", multiline=True)]
TheEncoding = Annotated[
    Encoding,
    Argument(title="Encoding", group="How to read it", order=9, help="How the file writes letters such as é or £"),
]
LabelledFile = Annotated[
    File,
    Argument(
        title="Labelled messages",
        suffixes=SUFFIXES,
        help="Lines of label, tab, message (the SMS Spam Collection), or CSV with the header Category,Message or label,text",
    ),
]
MessageFile = Annotated[
    File,
    Argument(title="Messages", suffixes=SUFFIXES, help="One message a line, or CSV with a column Message or text"),
]
TheRecipe = Annotated[
    Recipe,
    Argument(
        title="Recipe",
        help="How to learn",
        choices=[
            ("svm", "support vector machine (best on short messages)"),
            ("logistic", "logistic regression"),
            ("bayes", "naive Bayes (fastest)"),
        ],
    ),
]
Promotion = Annotated[
    Literal["if better", "never"],
    Argument(
        title="Promote", help="Whether the new version should work at once when it is better, or wait for someone"
    ),
]
HowSimilar = Annotated[
    float,
    Ge(0.3),
    Le(1),
    Argument(title="Similarity", help="From 0.3 (much differs) to 1 (the same but for marks and case)"),
]
Like = Annotated[
    str,
    AfterValidator(_not_too_long),
    Argument(
        title="Like this text", multiline=True, help="Find only what is similar to it; empty: compare all messages"
    ),
]
OtherText = Annotated[
    str,
    AfterValidator(_not_too_long),
    Argument(title="Other text", multiline=True, help="To compare with; may be empty"),
]
HowMany = Annotated[int, Ge(1), Le(100), Argument(title="Phrases", help="How many at most")]

# The same question to the same version is answered once; 0 in the settings: it is computed each time.
KEPT = settings.ANSWERS_KEPT or None
# One training at a time, by hand or on schedule.
TRAINING = "train_spam_detector"


@app.task(
    bind=True,
    base=app.Task,
    name="detect_spam",
    acks_late=True,
    resources=("spam_model",),
    cache_for=KEPT,
    version=registry.working_version,
)
def detect_spam(self: Any, msg: AMessage) -> dict[str, Any]:
    """Say whether a message is spam, and how probable that is."""
    return registry.up_to_date(self.spam_model).detect(msg)


class ClassifyMessagesTask(NotifyAdminTaskMixin, BaseTask):
    """Judges a file of messages."""

    name = "Classify messages"
    description = """Say of each message in a file whether it is **spam**, and give the answers as CSV.

Where the file has labels of its own, the result says how well the model agrees with them.
"""
    action = "classifying messages"
    acks_late = True
    resources = ("spam_model",)
    cache_for = KEPT
    version = registry.working_version

    def run(self, file: MessageFile, encoding: TheEncoding = "utf-8") -> dict[str, Any]:
        """Return how many are spam and ham, the version that judged, and the id of the CSV."""
        messages = message_files.messages(file.path, encoding)
        detector = registry.up_to_date(self.spam_model)
        probabilities = classification.judged(detector, messages, self)
        found = classification.counts(messages, probabilities)
        self.log(
            "info", f"{found['spam']:,} of {found['messages']:,} messages are spam, says version {detector.version}."
        )
        with tempfile.TemporaryDirectory() as folder:
            path = classification.write(Path(folder) / "classified.csv", messages, probabilities)
            kept = self.attach(path, _named(file, "classified"))
        return {**found, "version": detector.version, "file": kept}


class TrainSpamDetectorTask(NotifyAdminTaskMixin, BaseTask):
    """Learns from labelled messages."""

    name = "Train spam detector"
    description = """Learn from labelled messages, and keep what was learned as a new version of the spam model.

A fifth of the messages is held out and never learned. The new version is **promoted** when it is better than the promoted
one on those, and when a cross-validation in five folds confirms it; else it is kept as a candidate. *Data → Models* in the menu shows
all versions.
"""
    action = "training the spam detector"

    @exclusive_task(task_name="Train spam detector", lock_id=TRAINING)
    def run(
        self,
        file: LabelledFile,
        recipe: TheRecipe = "svm",
        promote: Promotion = "if better",
        encoding: TheEncoding = "utf-8",
    ) -> dict[str, Any]:
        """Return the figures of the new version, whether it is promoted, and why."""
        job = Job.objects.select_related("owner").filter(pk=self.request.id or "").first()
        row, verdict = model_update.train(
            lesson=model_update.Lesson(file.path, file.name, encoding, recipe),
            reporter=self,
            by=job.owner if job else None,
            job_id=self.request.id or "",
            promote=promote == "if better",
        )
        return model_update.summary(row, verdict)


class RetrainSpamDetectorTask(NotifyAdminTaskMixin, BaseTask):
    """Learns again from the file that the settings name."""

    name = "Retrain spam detector"
    description = """Learn again from the file `TEXT_TRAINING_FILE`, if it has changed since.

For a schedule: the file grows, and a version that is better is promoted by itself.
"""
    action = "retraining the spam detector"

    @exclusive_task(task_name="Retrain spam detector", lock_id=TRAINING)
    def run(self) -> dict[str, Any]:
        """Return what "Train spam detector" returns, or why nothing was done."""
        path = Path(settings.TRAINING_FILE)
        if not settings.TRAINING_FILE:
            return self._nothing("No file to learn from is configured: set TEXT_TRAINING_FILE.")
        if not model_update.is_news(path):
            return self._nothing("The file, the recipe and the libraries are those of a version that is there already.")
        row, verdict = model_update.train(
            lesson=model_update.Lesson(path, path.name), reporter=self, job_id=self.request.id or ""
        )
        return model_update.summary(row, verdict)

    def _nothing(self, because: str) -> dict[str, Any]:
        self.log("info", because)
        return {"version": None, "because": because}


class FindNearDuplicatesTask(BaseTask):
    """Finds messages that are nearly the same."""

    name = "Find near-duplicates"
    description = """Find groups of messages that are **nearly the same**, or those that are similar to one text.

Two messages are as similar as the pieces of five letters that they share, of all that they have (Jaccard index).
"""
    acks_late = True
    cache_for = KEPT

    def run(
        self, file: MessageFile, similarity: HowSimilar = 0.8, like: Like = "", encoding: TheEncoding = "utf-8"
    ) -> dict[str, Any]:
        """Return how many groups and messages were found, and the id of the CSV."""
        messages = message_files.messages(file.path, encoding)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "near-duplicates.csv"
            if like.strip():
                found = duplicates.similar_to(like, messages, similarity, path, self)
            else:
                found = duplicates.grouped(messages, similarity, path, self)
            kept = self.attach(path, _named(file, "near-duplicates"))
        return {**found, "file": kept}


@app.task(bind=True, base=app.Task, name="text.fingerprint", acks_late=True)
def fingerprint(self: Any, text: AText, other: OtherText = "") -> dict[str, Any]:
    """Make the MinHash of a text, 128 numbers; given another text, say how similar the two are."""
    numbers = fingerprints.numbers(text)
    found: dict[str, Any] = {"minhash": numbers, "shingles": len(fingerprints.shingles(text))}
    if other:
        found["similarity"] = round(fingerprints.similarity(text, other), 4)
        found["estimated"] = round(fingerprints.estimated(numbers, fingerprints.numbers(other)), 4)
    return found


@app.task(bind=True, base=app.Task, name="text.key_phrases", acks_late=True, resources=("language_identifier",))
def key_phrases(self: Any, text: AText, count: HowMany = 10) -> dict[str, Any]:
    """Find the phrases that a text is about. Small words are known in English only."""
    guess = languages.detected(text, self.language_identifier)
    if guess.language not in {"en", languages.UNKNOWN}:
        self.log(
            "warning", f"The text is probably in {guess.name}: small words of it are not known, so phrases are worse."
        )
    found = phrases.key_phrases(text, count)
    return {"phrases": [dataclasses.asdict(phrase) for phrase in found], "language": guess.language}


@app.task(bind=True, base=app.Task, name="text.detect_language", acks_late=True, resources=("language_identifier",))
def detect_language(self: Any, text: AText) -> dict[str, Any]:
    """Say in which language a text is written, and how probable that is; "unknown" where it is too short to tell."""
    return dataclasses.asdict(languages.detected(text, self.language_identifier))


def _named(file: File, what: str) -> str:
    return f"{PurePath(file.name).stem[:200]}-{what}.csv"


for task in (ClassifyMessagesTask, TrainSpamDetectorTask, RetrainSpamDetectorTask, FindNearDuplicatesTask):
    app.tasks.register(task)  # type: ignore[arg-type]  # Celery takes classes too, its stubs do not know
