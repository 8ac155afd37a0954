"""What the commands about jobs share: who asks, how a job is written down, and what its end means to a shell."""

import json
import sys
from typing import Any, NoReturn

from django.contrib.auth.models import User
from django.core.management import CommandError

from jobs import catalogue, reading
from jobs.models import Job, State, StoredFile
from jobs.topics import progress_of, state_of

USAGE = 2
# Exit codes of a command that follows a job to its end.
EXIT = {State.SUCCEEDED: 0, State.FAILED: 1, State.CANCELLED: 3, State.LOST: 3, State.SKIPPED: 3}


def refuse(text: str, code: int = USAGE) -> NoReturn:
    """End the command with a sentence and an exit code, 2 for wrong usage."""
    raise CommandError(text, returncode=code)


def person(name: str | None) -> User | None:
    """Return the user called `name`, None without a name: then the machine itself asks, which may everything."""
    if not name:
        return None
    user = User.objects.filter(username=name, is_active=True).first()
    return user or refuse(f"There is no active user called “{name}”.")


def job_called(job_id: str) -> Job:
    """Return the job as it is now, or end the command; the beginning of an id is enough if only one job has it."""
    found = reading.job(job_id)
    if found is not None:
        return found
    likely = list(Job.objects.filter(pk__startswith=job_id).values_list("pk", flat=True)[:2]) if len(job_id) > 3 else []
    if len(likely) == 1 and (found := reading.job(likely[0])) is not None:
        return found
    return refuse(f"There is no job {job_id}." if not likely else f"More than one job begins with {job_id}.")


def described(job: Job) -> dict[str, Any]:
    """Return everything about a job as JSON."""
    files = StoredFile.objects.made_by(job)
    return {
        "id": job.pk,
        "task": job.task,
        "label": job.label,
        **state_of(job),
        "owner": job.owner.get_username() if job.owner else None,
        "source": job.source,
        "queue": job.queue,
        "worker": job.worker,
        "arguments": dict(catalogue.named_arguments(job)),
        "result": job.result,
        "error": job.error,
        "error_type": job.error_type,
        "from_cache": job.is_answered,
        "answer_of": job.answer_of or None,
        "likeness": job.likeness,
        "cancel_by": job.cancel_by,
        "note": job.note,
        "tags": job.tags,
        "files": [{"id": str(f.pk), "name": f.name, "size": f.size, "path": str(f.path)} for f in files],
    }


def story(job: Job) -> str:
    """Return whose answer the job waits for, or got, in words."""
    if job.is_following:
        return f"waits for job {job.answer_of}, which computes the same"
    if job.state != State.SUCCEEDED:
        return f"ended as job {job.answer_of}, which computed the same"
    if job.likeness is None:
        return f"from cache: the answer of job {job.answer_of}"
    return f"from cache: the answer of a near-duplicate ({job.likeness:.0%}), job {job.answer_of}"


def write_json(value: Any) -> None:
    """Write a value to the standard output as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def lines_of(job: Job) -> list[str]:
    """Return what `show` says of a job."""
    found = described(job)
    rows = [f"{job.get_state_display()}: {job.task} {job.label}".rstrip(), f"  id        {job.pk}"]
    for key in ("owner", "source", "queue", "worker", "created_at", "started_at", "finished_at", "cancel_by"):
        if found[key]:
            rows.append(f"  {key.removesuffix('_at'):<9} {found[key]}")
    if job.answer_of:
        rows.append(f"  {story(job)}")
    progress = progress_of(job)
    if progress and progress["fraction"] is not None and job.state != State.SUCCEEDED:
        rows.append(f"  progress  {progress['fraction']:.0%} {progress['message']}".rstrip())
    rows += [f"  {name} = {json.dumps(value, ensure_ascii=False)}" for name, value in found["arguments"].items()]
    if job.state == State.SUCCEEDED:
        rows.append(f"  result    {json.dumps(job.result, ensure_ascii=False)}")
    if job.error:
        rows.append(f"  error     {job.error_type} {job.error}".replace("  error      ", "  error     "))
    return rows + [f"  file      {file['name']} ({file['size']} bytes): {file['path']}" for file in found["files"]]
