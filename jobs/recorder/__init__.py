"""Keeps the book: applies the stream of events to jobs, attempts, log lines and the archive of results."""

from jobs.recorder.loop import Recorder

__all__ = ["Recorder"]
