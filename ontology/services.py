"""Writes about vocabularies: what people upload, and what jobs make of it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from jobroom.arguments import WrongArguments
from jobroom.jobs import files
from jobroom.jobs.exceptions import JobError, TooLarge
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Job, Source, StoredFile
from jobroom.limits import TooMany
from jobroom.locks import ExclusiveLock
from jobroom.sandbox import Progress, Sandbox, quiet
from jobroom.sandbox.folders import working_folder
from jobroom.users import User
from ontology.conf import settings
from ontology.exceptions import Refused, VocabularyFailed
from ontology.models import SHIPPED, Vocabulary, valid_name
from ontology.policies import LOAD
from ontology.vocabulary import formats

_CHILD = Path(__file__).parent / "vocabulary" / "child.py"
# Seconds that a worker waits at its start while another one loads the vocabularies that come with the project.
_PATIENCE = 120.0


def upload(*, name: str, upload: "UploadedFile[Any]", by: User, source: Source) -> Job:
    """Keep an uploaded file and launch the job that loads it as the vocabulary `name`; return the job.

    Raises Refused when the name or the file is none, and NotAllowed. Of the file only the beginning is read here.
    """
    check_name(name)
    called = files.display_name(upload.name or "")
    check_size(upload.size or 0)
    try:
        formats.check(cast("BinaryIO", upload), called)
        stored = files.store(upload, by)
        return _launched(name, stored, by, source)
    except (formats.VocabularyProblem, TooLarge) as problem:
        raise Refused("file", str(problem)) from problem


def _launched(name: str, stored: StoredFile, by: User, source: Source) -> Job:
    """Launch the job; a launch that is refused leaves no file. In a transaction others would wait for what it asks Redis."""
    try:
        return launch(task=LOAD, arguments={"name": name, "file": str(stored.pk)}, by=by, source=source)
    except (JobError, WrongArguments, TooMany):
        files.delete([stored.pk])
        raise


def check_name(name: str) -> None:
    """Raise Refused for what cannot be the name of a vocabulary."""
    try:
        valid_name(name)
    except ValidationError as error:
        raise Refused("name", " ".join(error.messages)) from error


def check_size(size: int) -> None:
    """Raise Refused for a file of more bytes than allowed."""
    if size > settings.MAX_BYTES:
        most = f"{settings.MAX_BYTES / 2**20:,.0f} MB"
        raise Refused("file", f"The file has {size / 2**20:,.0f} MB; at most {most} are allowed (ONTOLOGY_MAX_BYTES).")


def load(
    *, name: str, source: Path, by: User | None, stored: StoredFile | None = None, job_id: str = "",
    shipped: bool = False, progress: Progress = quiet,
) -> Vocabulary:  # fmt: skip
    """Read the file at `source` in a process of its own and put it into use as the vocabulary `name`; return that.

    `stored` is the file where it is kept already, else a copy is kept. Raises VocabularyFailed with a sentence, which is
    noted on the vocabulary; the version before stays in use then.
    """
    with transaction.atomic():
        vocabulary, _ = Vocabulary.objects.get_or_create(name=name)
    try:
        check_name(name)
        check_size(source.stat().st_size)
        return _load(vocabulary, source, stored, {"loaded_by": by, "job_id": job_id, "shipped": shipped}, progress)
    except (Refused, formats.VocabularyProblem, TooLarge, VocabularyFailed, OSError) as error:
        Vocabulary.objects.filter(pk=vocabulary.pk).update(error=str(error), failed_at=timezone.now())
        if isinstance(error, VocabularyFailed):
            raise
        raise VocabularyFailed(str(error)) from error


def _load(
    vocabulary: Vocabulary, source: Path, stored: StoredFile | None, values: dict[str, Any], progress: Progress
) -> Vocabulary:
    with source.open("rb") as content:
        file_type = formats.check(content, stored.name if stored else source.name)
    with working_folder(Path(django_settings.VAR) / "ontology") as folder:
        target = folder / f"{vocabulary.name}.index"
        found = _index(source, file_type, target, progress)
        kept = stored or files.store_path(source, values["loaded_by"])
        index = files.store_path(target, None)
    return _swap(vocabulary, kept, index, {"format": file_type, **values, **_facts(found)})


def _index(source: Path, file_type: str, target: Path, progress: Progress) -> dict[str, Any]:
    sandbox = Sandbox(
        script=_CHILD,
        memory=settings.MEMORY,
        cpu_seconds=settings.CPU_SECONDS,
        seconds=settings.SECONDS,
        subject="The ontology",
        smaller="Load a part of it, such as a slim or a subset.",
        remedy="Export it again, for example with ROBOT.",
        error=VocabularyFailed,
    )
    request = {"source": str(source), "format": file_type, "target": str(target)}
    return sandbox.run(request, target.parent, progress)


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    counts = {name: found[name] for name in ("terms", "obsolete", "labels", "outside")}
    return {**counts, **{name: str(found[name])[:200] for name in ("ontology", "data_version")}}


def _swap(vocabulary: Vocabulary, file: StoredFile, index: StoredFile, values: dict[str, Any]) -> Vocabulary:
    """Put a new version into use; who reads the old index goes on reading it."""
    with transaction.atomic():
        row = Vocabulary.objects.select_for_update().filter(pk=vocabulary.pk).first()
        if row is not None:
            _replace(row, file, index, values)
            return row
        _forget([index.pk])
    # Raised in the transaction it would bring the index back.
    raise VocabularyFailed(f"The vocabulary {vocabulary.name} was deleted while it was loaded.")


def _replace(row: Vocabulary, file: StoredFile, index: StoredFile, values: dict[str, Any]) -> None:
    old = {row.file_id, row.index_id} - {None, file.pk}
    now = timezone.now()
    for field, value in {**values, "file": file, "index": index, "loaded_at": now, "error": ""}.items():
        setattr(row, field, value)
    row.sha256, row.version, row.failed_at = file.sha256, row.version + 1, None
    row.save()
    _forget(pk for pk in old if pk is not None)


def _forget(ids: Iterable[Any]) -> None:
    """Delete stored files that no vocabulary has any more."""
    used = set(Vocabulary.objects.values_list("file_id", flat=True))
    files.delete(pk for pk in ids if pk not in used)


def remove(*, vocabulary: Vocabulary) -> None:
    """Delete a vocabulary with its files; terms that were written down elsewhere stay there."""
    with transaction.atomic():
        ids = [pk for pk in (vocabulary.file_id, vocabulary.index_id) if pk is not None]
        vocabulary.delete()
        _forget(ids)


def make_ready() -> None:
    """Load the vocabularies that come with the project, once, and again those whose index cannot be read any more.

    That is so after an upgrade that changed the index. What fails is noted on its row.
    """
    for row in Vocabulary.objects.select_related("index"):
        if _is_ready(row):
            continue
        lock = ExclusiveLock(f"vocabulary:{row.name}")
        if not lock.acquire(_PATIENCE):
            continue
        try:
            _make_ready(row.name)
        finally:
            lock.release()


def _is_ready(row: Vocabulary) -> bool:
    if not row.version:
        return not row.shipped  # the first load of one that someone uploaded failed, and would again
    try:
        row.open().close()
    except VocabularyFailed:
        return False
    return True


def _make_ready(name: str) -> None:
    row = Vocabulary.objects.select_related("file", "index", "loaded_by").filter(name=name).first()
    if row is None or _is_ready(row):
        return  # another worker was faster
    kept = None if row.shipped else row.file
    source = kept.path if kept else SHIPPED / f"{name}.obo"
    try:
        load(name=name, source=source, by=row.loaded_by, stored=kept, job_id=row.job_id, shipped=row.shipped)
    except VocabularyFailed:
        return  # it is noted; the other vocabularies are as good as ever


def fingerprint() -> str:
    """Return a text that changes whenever a vocabulary does."""
    rows = Vocabulary.objects.values_list("name", "version", "shipped").order_by("name")
    stated = "\n".join(f"{name} {version} {shipped and not version}" for name, version, shipped in rows)
    return hashlib.sha256(stated.encode()).hexdigest()[:12]
