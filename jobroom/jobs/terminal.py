"""What the commands about jobs share: who acts, how a job is printed, and its exit code."""

import json
import sys
from typing import Any, NoReturn

from django.core.management import CommandError
from rest_framework.utils.encoders import JSONEncoder

from jobroom.arguments.redaction import hide
from jobroom.control_characters import escaped
from jobroom.jobs import catalogue, current_state, error_kinds
from jobroom.jobs.explanations import facts
from jobroom.jobs.models import Job, State
from jobroom.jobs.number_formats import percent
from jobroom.jobs.topics import progress_of, state_of
from jobroom.jobs.why_it_waits import why
from jobroom.users import User

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
    user = User._default_manager.filter(**{User.USERNAME_FIELD: name}, is_active=True).first()
    return user or refuse(f"There is no active user called “{name}”.")


def job_called(job_id: str, by: User | None = None) -> Job:
    """Return the job as it is now, or end the command; the beginning of an id is enough if only one job has it.

    With `by`, a job that this person may not see is one that there is not.
    """
    found = _seen(job_id, by)
    if found is not None:
        return found
    rows = Job.objects.all() if by is None else Job.objects.visible_to(by)
    likely = list(rows.filter(pk__startswith=job_id).values_list("pk", flat=True)[:2]) if len(job_id) > 3 else []
    if len(likely) == 1 and (found := _seen(likely[0], by)) is not None:
        return found
    return refuse(f"There is no job {job_id}." if not likely else f"More than one job begins with {job_id}.")


def _seen(job_id: str, by: User | None) -> Job | None:
    return current_state.job(job_id) if by is None else current_state.visible_job(job_id, by)


def described(job: Job) -> dict[str, Any]:
    """Return everything about a job as JSON."""
    reason = why(job, None)
    files = current_state.files_of(job)
    return {
        "id": job.pk,
        "task": job.task,
        "label": job.label,
        **state_of(job),
        "owner": job.owner.get_username() if job.owner else None,
        "source": job.source,
        "queue": job.queue,
        "worker": job.worker,
        "waiting": reason.said if reason is not None else None,
        "mend": {"kind": reason.kind, "what": reason.remedy, "url": reason.address} if reason and reason.path else None,
        "arguments": dict(catalogue.named_arguments(job)),
        "result": hide(job.result),
        "error": job.error,
        "error_type": job.error_type,
        "error_bases": error_kinds.bases_of(job),
        "from_cache": job.is_answered,
        "answer_of": job.answer_of or None,
        "likeness": job.likeness,
        "cancel_by": job.cancel_by,
        "waits_for": {"lock": job.lock, "holder": job.holder} if job.lock else None,
        "facts": [fact._asdict() for fact in facts(job)],
        "note": job.note,
        "tags": job.tags,
        "files": [{"id": str(f.pk), "name": f.name, "size": f.size, "path": str(f.path)} for f in files],
    }


def story(job: Job) -> str:
    """Return whose answer the job waits for, or got, in words."""
    if job.is_following:
        return f"waits for job {job.answer_of}, which computes the same"
    if job.is_in_batch:
        return f"in a batch, which job {job.answer_of} ran"
    if job.state != State.SUCCEEDED:
        return f"ended as job {job.answer_of}, which computed the same"
    if job.likeness is None:
        return f"from cache: the answer of job {job.answer_of}"
    return f"from cache: the answer of a near-duplicate ({percent(job.likeness)}), job {job.answer_of}"


class _Encoder(JSONEncoder):
    """Writes moments and other values as the API does, and what it cannot write as text."""

    def default(self, obj: Any) -> Any:
        """Return a value in the words of JSON."""
        try:
            return super().default(obj)
        except TypeError:
            return str(obj)


def write_json(value: Any) -> None:
    """Write a value to the standard output as JSON."""
    lines = json.dumps(value, indent=2, ensure_ascii=False, cls=_Encoder).split("\n")
    sys.stdout.write("\n".join(map(escaped, lines)) + "\n")


def _said_besides(job: Job, found: dict[str, Any]) -> list[str]:
    """Return the sentences about locks, the queue and who asked for what; the reason for waiting has its own row."""
    texts = [fact["text"] for fact in found["facts"] if fact["kind"] != "waiting" or not found["waiting"]]
    if job.lock and job.is_finished:
        texts.append(f"Its lock {job.lock} was busy{f', held by {job.holder}' if job.holder else ''}.")
    return texts


def _error(job: Job, found: dict[str, Any]) -> list[str]:
    if not job.error:
        return []
    kind = error_kinds.sentence(found["error_bases"], job.error_type)
    words = " ".join(word for word in (job.error_type, job.error) if word)
    return [f"  error     {words}", *([f"  kind      {kind}"] if kind else [])]


def lines_of(job: Job) -> list[str]:
    """Return what `show` says of a job."""
    found = described(job)
    rows = [f"{job.get_state_display()}: {job.task} {job.label}".rstrip(), f"  id        {job.pk}"]
    for key in ("owner", "source", "queue", "worker", "created_at", "started_at", "finished_at", "cancel_by"):
        if found[key]:
            rows.append(f"  {key.removesuffix('_at'):<9} {found[key]}")
    if found["waiting"]:
        rows.append(f"  waiting   {found['waiting']}")
    if found["mend"]:
        rows.append(f"  mend      {found['mend']['what']}: {found['mend']['url']}")
    if job.answer_of:
        rows.append(f"  {story(job)}")
    rows += [f"  {text}" for text in _said_besides(job, found)]
    progress = progress_of(job)
    if progress and progress["fraction"] is not None and job.state != State.SUCCEEDED:
        rows.append(f"  progress  {percent(progress['fraction'])} {progress['message']}".rstrip())
    rows += [f"  {name} = {json.dumps(value, ensure_ascii=False)}" for name, value in found["arguments"].items()]
    if job.state == State.SUCCEEDED:
        rows.append(f"  result    {json.dumps(found['result'], ensure_ascii=False)}")
    rows += _error(job, found)
    rows += [f"  file      {file['name']} ({file['size']} bytes): {file['path']}" for file in found["files"]]
    return [escaped(row) for row in rows]  # a task's text must not speak to the terminal
