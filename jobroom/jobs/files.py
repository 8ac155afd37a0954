"""Uploaded files and files that jobs make: stored under an id, served with their type to those who may have them."""

import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.core.files.uploadedfile import UploadedFile
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from jobroom.arguments import File
from jobroom.events import attachments
from jobroom.jobs import limits, requester
from jobroom.jobs.conf import settings
from jobroom.jobs.exceptions import TooLarge
from jobroom.jobs.models import Job, StoredFile
from jobroom.users import User

# Control characters, path separators, and marks that turn the direction of the text that follows.
_UNWANTED = re.compile("[\x00-\x1f\x7f/\\\\\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")

# While inside, arguments may only name files that the user may have.
read_by = requester.asked_by


class LoadedFile(File):
    """What a task gets for an argument of type File."""

    def __init__(self, stored: StoredFile) -> None:
        self.id = str(stored.pk)
        self.name = stored.name
        self.path = stored.path
        self.sha256 = stored.sha256

    def __repr__(self) -> str:
        return f"<File {self.name!r}>"


def load(file_id: str) -> File:
    """Return the file; raise ValueError when there is none that the reader may have."""
    reader = requester.who_asks()
    rows = StoredFile.objects.all() if reader is None else StoredFile.objects.visible_to(reader)
    with contextlib.suppress(ValueError):
        key = uuid.UUID(file_id)
        stored = rows.filter(pk=key).first()
        if stored is None and reader is None and attachments.location(key).exists():
            # A worker may get what the job before it has just made, before the recorder has read of it.
            stored = StoredFile(pk=key, name="file")
        if stored is not None:
            return LoadedFile(stored)
    raise ValueError(f"There is no file {file_id!r}. Upload it first.")


def display_name(name: str) -> str:
    """Return the last part of a file's name without characters that would mislead; it names nothing on disk."""
    last = re.split(r"[/\\]", name)[-1]
    return _UNWANTED.sub("", last).strip(" .")[:255] or "file"


def store(upload: "UploadedFile[Any]", owner: User | None) -> StoredFile:
    """Keep an uploaded file for `owner`; raise TooLarge beyond JOBS_MAX_UPLOAD, TooMany beyond what they may keep."""
    with stored(upload, owner) as row:
        return row


@contextlib.contextmanager
def stored(upload: "UploadedFile[Any]", owner: User | None) -> Iterator[StoredFile]:
    """Keep an uploaded file together with the rows that the block writes: all of them, or nothing; raise as `store`.

    The content is written before the transaction begins: a large file takes long, and with SQLite no one else could write.
    """
    limits.allow_upload(owner, upload.size or 0)
    with _stored(upload.chunks(), upload.name or "", owner, uploaded=True) as row:
        yield row


def store_path(path: Path, owner: User | None, *, uploaded: bool = False) -> StoredFile:
    """Keep a copy of a file of this machine for `owner`; raise TooLarge or OSError.

    `uploaded` says that a person brought it: then it is never shown in place.
    """
    with path.open("rb") as content, _stored(_pieces(content), path.name, owner, uploaded=uploaded) as row:
        return row


def store_same(file_id: str, name: str, owner: User | None) -> StoredFile:
    """Keep a file of a job for `owner` as well, under a row and a life of its own but without a second copy.

    Raises TooLarge beyond JOBS_MAX_UPLOAD, OSError when the content of that file is not there.
    """
    if attachments.location(uuid.UUID(file_id)).stat().st_size > settings.MAX_UPLOAD:
        raise TooLarge(settings.MAX_UPLOAD)
    new = uuid.uuid4()
    kept = attachments.share(new, uuid.UUID(file_id))
    return StoredFile.objects.create(id=new, name=display_name(name), owner=owner, **kept)


@contextlib.contextmanager
def _stored(chunks: Iterable[bytes], name: str, owner: User | None, *, uploaded: bool) -> Iterator[StoredFile]:
    file_id = uuid.uuid4()
    kept = attachments.keep(file_id, _limited(chunks))
    committed: list[bool] = []
    try:
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(True))
            yield StoredFile.objects.create(id=file_id, name=display_name(name), owner=owner, uploaded=uploaded, **kept)
    except BaseException:  # whatever it is goes on; no content stays that no row names
        if not committed:  # else what follows the commit failed
            attachments.forget(file_id)
        raise


def largest_body() -> int:
    """Return how many bytes a request may have: a file, and what a form wraps around it."""
    return int(settings.MAX_UPLOAD) + (1 << 20)


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > settings.MAX_UPLOAD:
            raise TooLarge(settings.MAX_UPLOAD)
        yield chunk


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    while chunk := content.read(attachments.CHUNK):
        yield chunk


def visible(file_id: uuid.UUID, user: User | AnonymousUser) -> StoredFile:
    """Return the file; raise Http404 when there is none that `user` may have."""
    found = StoredFile.objects.visible_to(user).filter(pk=file_id).first()
    if found is None:
        raise Http404("There is no such file, or you may not have it.")
    return found


def answer(request: HttpRequest, stored: StoredFile) -> HttpResponseBase:
    """Return the content as a download; only pictures of ours (PNG) may be shown in place.

    Nothing in it may run: a browser neither guesses another type nor gives it the rights of our pages.
    """
    try:
        content = stored.path.open("rb")
    except OSError as error:
        raise Http404("The content of this file is not kept any more.") from error
    response = StreamingHttpResponse(_stream(content)) if isinstance(request, ASGIRequest) else FileResponse(content)
    # What a person uploaded may begin as a picture does and be something else: only what we made is shown in place.
    picture = stored.content_type == "image/png" and not stored.uploaded
    response["Content-Type"] = "image/png" if picture else "application/octet-stream"
    response["Content-Length"] = str(stored.size)
    response["Content-Disposition"] = content_disposition_header(not picture, stored.name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
    return response


async def _stream(content: BinaryIO) -> AsyncIterator[bytes]:
    read = sync_to_async(content.read, thread_sensitive=False)
    try:
        while chunk := await read(attachments.CHUNK):
            yield chunk
    finally:
        content.close()


def delete(ids: Iterable[uuid.UUID]) -> None:
    """Delete the rows of files now, and their content when that is certain."""
    gone = list(ids)
    StoredFile.objects.filter(pk__in=gone).delete()

    def forget() -> None:
        for file_id in gone:
            attachments.forget(file_id)

    transaction.on_commit(forget)


def delete_those_of(job_ids: Iterable[str]) -> None:
    """Delete the files that the jobs made: first the content, so that a crash in between leaves nothing unnamed.

    Files that came with an answer stay as long as a job is in the database that made them, or got the answer.
    """
    going = set(job_ids)
    answered = Job.objects.filter(pk__in=going).exclude(answer_of="").values_list("answer_of", flat=True)
    makers = going | set(answered)
    others = Job.objects.exclude(pk__in=going)
    needed = set(others.filter(answer_of__in=makers).exclude(answer_of="").values_list("answer_of", flat=True))
    needed |= set(others.filter(pk__in=makers).values_list("pk", flat=True))
    rows = StoredFile.objects.filter(job_id__in=makers - needed)
    for file_id in rows.values_list("pk", flat=True):
        attachments.forget(file_id)
    rows.delete()


@login_required
@require_safe
def download(request: HttpRequest, file_id: uuid.UUID) -> HttpResponseBase:
    """Give out a file to someone with a session."""
    return answer(request, visible(file_id, request.user))
