"""The secrets of a job in its worker: decrypted where its code begins, hidden while it runs, forgotten afterwards."""

from typing import Any

from celery import Task

from jobroom.arguments import encryption, redaction


def know_secrets(sender: Task[Any, Any], task_id: str, args: Any, kwargs: Any, **_: Any) -> None:
    """Find the secrets among the arguments, to be hidden in whatever the job writes."""
    redaction.begin(task_id, sender.run, args, kwargs)


def forget_secrets(task_id: str, **_: Any) -> None:
    """Forget them; the next job of this process has others."""
    redaction.end(task_id)


def open_secrets(sender: Task[Any, Any], args: Any, kwargs: Any, **_: Any) -> None:
    """Open what is sealed in the arguments, where Celery and the request have them."""
    request: Any = sender.request
    try:
        found_args, found_kwargs = encryption.opened(args), encryption.opened(kwargs)
    except encryption.CannotOpen as error:
        request.cannot_open = error  # raised where the task begins
        return
    if found_args is not args:
        args[:] = found_args
    if found_kwargs is not kwargs:
        kwargs.update(found_kwargs)
