"""Keeps the database: applies the stream of events to jobs, attempts, log lines and the archive of results."""

from jobroom.jobs.recorder.loop import Recorder

__all__ = ["Recorder"]
