"""Writes about assets: what people upload, and what jobs find and make."""

import contextlib
import dataclasses
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from assets.conf import settings
from assets.exceptions import AssetFailed, Refused
from assets.geometry import formats
from assets.models import Asset, AssetResult, Kind
from jobroom.jobs import files
from jobroom.jobs.exceptions import TooLarge
from jobroom.jobs.models import StoredFile
from jobroom.users import User


def display_name(text: str) -> str:
    """Return a name that a person typed in one line, without characters that cannot be seen."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable()).strip()[:255]


def add(*, upload: "UploadedFile[Any]", name: str = "", owner: User | None) -> Asset:
    """Keep an uploaded mesh; raise Refused when it is too large, or none by how it begins.

    Nothing more of it is read here: that is for a job, in a process of its own.
    """
    size = upload.size or 0
    called = files.display_name(upload.name or "")
    if size > settings.MAX_BYTES:
        most = f"{settings.MAX_BYTES / 2**20:,.0f} MB"
        raise Refused(
            "file", f"The file has {size / 2**20:,.0f} MB; at most {most} are allowed. Simplify the mesh first."
        )
    try:
        file_type = formats.check(cast("BinaryIO", upload), size, called)
        with files.stored(upload, owner) as stored:
            shown = display_name(name) or PurePath(called).stem
            return Asset.objects.create(owner=owner, name=shown, file=stored, format=file_type, size=size)
    except formats.MeshProblem as problem:
        raise Refused("file", str(problem)) from problem
    except TooLarge as problem:
        raise Refused("file", str(problem)) from problem


def remove(*, asset: Asset) -> None:
    """Delete the asset, its file and its results; the files that jobs keep as theirs stay with the jobs."""
    with transaction.atomic():
        old = [asset.file_id, *asset.results.values_list("file_id", flat=True)]
        asset.delete()
        files.delete(old)


def give(*, asset: Asset) -> None:
    """Let the asset's files belong to the asset's owner."""
    ids = [asset.file_id, *asset.results.values_list("file_id", flat=True)]
    StoredFile.objects.filter(pk__in=ids).update(owner=asset.owner)


@dataclasses.dataclass(frozen=True)
class Made:
    """A file that a job made: where it lies now, how people should call it, and what is known about it.

    `attached` is the id under which the job keeps it, None outside a job.
    """

    path: Path
    name: str
    view: str = ""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    attached: str | None = None


def remember_facts(*, asset: Asset, facts: dict[str, Any], job_id: str) -> None:
    """Keep what an inspection found; raise AssetFailed when the asset was deleted meanwhile."""
    found = Asset.objects.filter(pk=asset.pk)
    if not found.update(facts=facts, inspected_at=timezone.now(), inspected_by=job_id):
        raise AssetFailed("The asset was deleted while the job ran.")


def replace_results(*, asset: Asset, kind: Kind, made: list[Made], job_id: str) -> list[AssetResult]:
    """Keep the files as the asset's results of this kind, in place of all earlier ones; return them.

    They belong to the asset and its owner: the job's own files go when the job leaves the database, these stay. On the disk
    both are the same bytes, which go with the last of them. Raises
    AssetFailed when one is too large to be kept, or the asset was deleted meanwhile.
    """
    kept: list[StoredFile] = []
    try:
        for item in made:
            if item.attached:
                kept.append(files.store_same(item.attached, item.name, asset.owner))
            else:
                kept.append(files.store_path(item.path, asset.owner))
        with transaction.atomic():
            return _swap(asset, kind, list(zip(made, kept, strict=True)), job_id)
    except BaseException as error:
        with contextlib.suppress(OSError):
            files.delete(file.pk for file in kept)
        if isinstance(error, TooLarge):
            raise AssetFailed(str(error)) from error
        raise


def _swap(asset: Asset, kind: Kind, new: list[tuple[Made, StoredFile]], job_id: str) -> list[AssetResult]:
    if not Asset.objects.select_for_update().filter(pk=asset.pk).exists():
        raise AssetFailed("The asset was deleted while the job ran.")
    files.delete(asset.results.filter(kind=kind).values_list("file_id", flat=True))  # the results go with them
    rows = []
    for item, file in new:
        StoredFile.objects.filter(pk=file.pk).update(name=item.name)
        row = AssetResult(asset=asset, kind=kind, view=item.view, file=file, facts=item.facts, job_id=job_id)
        row.save()
        rows.append(row)
    return rows
