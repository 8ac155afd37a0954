"""Follows one job in a terminal: a progress bar below the log, or plain lines where the output is no terminal."""

import shutil
from datetime import datetime
from typing import Any, TextIO

from django.utils import timezone

from jobroom import events
from jobroom.control_characters import escaped
from jobroom.jobs import current_state, terminal
from jobroom.jobs.models import Job, State
from jobroom.jobs.topics import render
from jobroom.live.follow import follow

WIDTH = 30
_STAGES = {"queued", "started", "waiting", "retrying"}


class Follower:
    """Writes what happens to a job to `out`."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.bar = ""
        self.drawn = out.isatty()
        self.seen = 0
        self.plain = -1  # the last whole tenth that was written as a line

    def follow(self, job: Job) -> Job:
        """Write until the job ends; return it. Raises RedisUnavailable."""
        self._line(f"Job {job.pk} is launched: {job}")
        with follow(f"job:{job.pk}") as news:
            self._catch_up(job)
            # What is published between the subscription and this look arrives twice, and is taken once.
            now = current_state.job(job.pk) or job
            while not now.is_finished:
                event: dict[str, Any] | None = next(news)
                if event is not None:
                    self._take(event)
                if event is None or event.get("type") in {"finished", "changed"}:
                    now = current_state.job(job.pk) or job
            self._catch_up(job)
        self._end(now)
        return now

    def _catch_up(self, job: Job) -> None:
        for event in events.replay(job.pk, self.seen):
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        seq = int(event.get("seq") or 0)
        if seq and seq <= self.seen:
            return
        self.seen = max(seq, self.seen)
        shown = render(event) or {}
        if event.get("type") == "log":
            obj = f" [{shown['obj']}]" if shown.get("obj") else ""
            self._line(f"{_clock(shown['at'])} {shown['level']:<7} {shown['message']}{obj}")
        elif event.get("type") == "progress":
            self._progress(shown)
        elif event.get("type") == "file":
            self._line(f"File: {shown['name']} ({shown['size']} bytes)")
        elif event.get("type") in _STAGES:
            self._line(f"{_clock(event['at'])} {State(shown['state']).label}")

    def _progress(self, shown: dict[str, Any]) -> None:
        fraction = shown.get("fraction")
        words = " · ".join(str(shown[key]) for key in ("stage", "message") if shown.get(key))
        if fraction is None:
            text = f"{shown.get('current')} {words}"
        else:
            full = round(fraction * WIDTH)
            text = f"[{'#' * full}{'.' * (WIDTH - full)}] {fraction:4.0%} {words}"
        if self.drawn:
            self._draw(text[: shutil.get_terminal_size().columns - 1])
        elif fraction is None or int(fraction * 10) != self.plain:
            self.plain = int((fraction or 0) * 10)
            self._line(text.rstrip())

    def _draw(self, text: str) -> None:
        self.bar = text = escaped(text)
        self.out.write(f"\r\x1b[K{text}")
        self.out.flush()

    def _line(self, text: str) -> None:
        """Write a line above the bar; what a task says does nothing to the terminal."""
        text = escaped(text)
        self.out.write(f"\r\x1b[K{text}\n{self.bar}" if self.bar else f"{text}\n")
        self.out.flush()

    def _end(self, job: Job) -> None:
        if self.bar:
            self.out.write("\n")
            self.bar = ""
        for line in terminal.lines_of(job):
            self._line(line)


def _clock(at: Any) -> str:
    return timezone.localtime(datetime.fromtimestamp(float(at), tz=timezone.get_current_timezone())).strftime(
        "%H:%M:%S"
    )
