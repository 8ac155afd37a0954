"""The database of the spam model's versions: add one, judge it, promote, roll back, load."""

import functools
import importlib.metadata
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from jobroom.jobs import files
from jobroom.jobs.models import StoredFile
from jobroom.users import User
from text import message_files
from text.exceptions import ModelChanged, ModelRefused, NoSuchVersion
from text.models import SpamModel, Standing
from text.spam import recipes, serialization, trainer
from text.spam.detector import Detector
from text.spam.measures import Measures, mean

# Sentences of our own, from which the first version is made.
FIRST_DATA = Path(__file__).parent / "data" / "spam.csv"
_LIBRARIES = ("scikit-learn", "skops", "numpy", "scipy")


@dataclass(frozen=True)
class Source:
    """From what a version was trained: name and digest of the file, and how many messages it has."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Trained:
    """A model that was just trained, with what came out."""

    model: Any
    recipe: str
    examples: trainer.Examples
    folds: Sequence[Measures]
    held_out: Measures


def examples_of(messages: Sequence[message_files.Message]) -> list[trainer.Example]:
    """Return labelled messages as the training takes them."""
    return [trainer.Example(message.text, message.label == message_files.SPAM) for message in messages]


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that make a model."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _LIBRARIES}


def parameters(recipe: str) -> dict[str, Any]:
    """Return what a version is made with, besides its messages."""
    return {
        "recipe": recipe,
        "word_features": recipes.WORD_FEATURES,
        "piece_features": recipes.PIECE_FEATURES,
        "folds": trainer.FOLDS,
        "held_out": trainer.HELD_OUT,
        "seed": recipes.SEED,
    }


def add(*, trained: Trained, source: Source, by: User | None = None, job_id: str = "", verdict: str = "") -> SpamModel:
    """Keep a trained model as a new version, a candidate; return its row."""
    facts = _facts(trained, source)
    with files.stored(_file_of(trained), None) as stored:
        return _add(stored, facts, created_by=by, job_id=job_id, verdict=verdict)


def _file_of(trained: Trained) -> SimpleUploadedFile:
    return SimpleUploadedFile("spam-model.skops", serialization.as_bytes(trained.model))


def _facts(trained: Trained, source: Source) -> dict[str, Any]:
    """Return what is to be kept of a training. Before a transaction: others may have to wait for that."""
    examples = trained.examples
    every = [*examples.learned, *examples.held_out]
    counts = {
        "learned": len(examples.learned),
        "held_out": len(examples.held_out),
        "repeated": examples.repeated,
        "contradictory": examples.contradictory,
        "spam": sum(example.is_spam for example in every),
    }
    return {
        "data_name": source.name,
        "data_sha256": source.sha256,
        "data_rows": source.rows,
        "counts": counts,
        "libraries": libraries(),
        "parameters": parameters(trained.recipe),
        "folds": [fold.as_dict() for fold in trained.folds],
        "mean": mean(trained.folds) if trained.folds else {},
        "held_out": trained.held_out.as_dict(),
    }


def _add(stored: StoredFile, facts: dict[str, Any], **fields: Any) -> SpamModel:
    number = (SpamModel.objects.aggregate(Max("version"))["version__max"] or 0) + 1
    stored.name = f"spam-model-{number}.skops"
    stored.save(update_fields=["name"])
    kept = {"file": stored, "sha256": stored.sha256, "size": stored.size}
    return SpamModel.objects.create(version=number, **kept, **facts, **fields)


def version(number: int) -> SpamModel:
    """Return a version; raise NoSuchVersion."""
    found = SpamModel.objects.filter(version=number).first()
    if found is None:
        raise NoSuchVersion(f"There is no version {number} of the spam model.")
    return found


def promote(*, number: int, by: User | None = None, instead_of: str | None = None) -> SpamModel:
    """Make a version the one that works, from the next job on. Raise NoSuchVersion, ModelRefused or ModelChanged.

    `instead_of` is the version that works as the caller saw it, "none" without one; when another works by now nothing is
    changed. None does not ask.

    The file is loaded first: a damaged one is refused here, and the promoted version goes on working.
    """
    chosen = version(number)
    load(chosen)
    with transaction.atomic():
        # Two promotions at once wait for one another here.
        list(SpamModel.objects.select_for_update().order_by("pk").values_list("pk"))
        if instead_of is not None and instead_of != promoted():
            raise ModelChanged(promoted())
        SpamModel.objects.filter(state=Standing.PROMOTED).exclude(pk=chosen.pk).update(state=Standing.RETIRED)
        SpamModel.objects.filter(pk=chosen.pk).update(
            state=Standing.PROMOTED, promoted_at=timezone.now(), promoted_by=by
        )
    chosen.refresh_from_db()
    return chosen


def promoted() -> str:
    """Return the number of the version that works, "none" without one."""
    found = SpamModel.objects.promoted()
    return str(found.version) if found else "none"


def roll_back(*, by: User | None = None, instead_of: str | None = None) -> SpamModel:
    """Promote the version that worked before the present one; raise NoSuchVersion when there was none."""
    before = SpamModel.objects.before()
    if before is None:
        raise NoSuchVersion("No other version was promoted before: there is nothing to go back to.")
    return promote(number=before.version, by=by, instead_of=instead_of)


def load(row: SpamModel) -> Detector:
    """Return a version ready to judge; raise ModelRefused when its file is gone, changed, or not to be trusted."""
    try:
        content = row.file.path.read_bytes()
    except OSError as error:
        raise ModelRefused(
            f"The file of version {row.version} is gone ({error.strerror}). Promote another one."
        ) from error
    found = message_files.digest_of(content)
    if found != row.sha256:
        raise ModelRefused(
            f"The file of version {row.version} is not the one that was trained: its SHA-256 begins with {found[:12]}, "
            f"not with {row.sha256[:12]}. Promote another version, and find out who wrote to the files."
        )
    return Detector(row.version, serialization.from_bytes(content))


def working_version() -> str:
    """Return the number of the version that works: the promoted one, else the newest, else the first that will be."""
    row = SpamModel.objects.promoted() or SpamModel.objects.order_by("-version").first()
    return "1" if row is None else str(row.version)


def detector() -> Detector:
    """Return the version that works; where there is none at all, make the first one. Raise ModelRefused."""
    row = SpamModel.objects.promoted() or SpamModel.objects.order_by("-version").first()
    return load(row or first_version())


def up_to_date(held: Detector) -> Detector:
    """Return `held`, or the version that works now where that is another one, which workers notice a moment later.

    So no answer of an older version is kept as one of the present version. Raises ModelRefused.
    """
    number = working_version()
    return held if number == str(held.version) else _loaded(number)


@functools.lru_cache(maxsize=1)
def _loaded(number: str) -> Detector:
    return load(version(int(number)))


@functools.lru_cache(maxsize=1)
def _learned_at_first(path: Path) -> tuple[Trained, Source]:
    """Learn from the sentences that come with the product; always the same comes of it."""
    messages = message_files.labelled(path)
    examples = trainer.divided(examples_of(messages))
    folds = list(trainer.cross_validated(examples.learned))
    model = trainer.fitted(examples.learned)
    trained = Trained(model, recipes.DEFAULT, examples, folds, trainer.judged(model, examples.held_out))
    return trained, Source(path.name, message_files.digest(path), len(messages))


class _NotTheFirst(Exception):
    """Another worker made a version meanwhile: this one is not kept."""


def first_version() -> SpamModel:
    """Train the first version from the sentences that come with the product, and promote it.

    Several workers may do it at once: the number of a version is unique, so one of them wins and the others use its row.
    """
    trained, source = _learned_at_first(FIRST_DATA)
    facts = _facts(trained, source) | {
        "verdict": "The first version, made from sentences that came along.",
        "state": Standing.PROMOTED,
        "promoted_at": timezone.now(),
    }
    with suppress(IntegrityError, _NotTheFirst), files.stored(_file_of(trained), None) as stored:
        if SpamModel.objects.exists():
            raise _NotTheFirst
        return _add(stored, facts)
    return SpamModel.objects.order_by("-version")[0]
