"""Moments that people type into commands, fields and the API: one way to read them, and one sentence for what is none."""

import argparse
from datetime import datetime

from django.utils import timezone

REMEDY = "write 2026-01-31T09:30, or with a zone 2026-01-31T09:30+01:00"
NO_TIME = f"This is no time: {REMEDY}."


def no_time(text: str) -> str:
    """Return the sentence that says of a text that it is no moment, and what to write."""
    return f"“{text[:80]}” is no time: {REMEDY}."


def typed(text: str) -> datetime:
    """Return the moment that an option of a command names, by the clocks of the site where it names no zone.

    Raises the error of argparse, to which it adds the name of the option.
    """
    try:
        found = datetime.fromisoformat(text)
        return found if timezone.is_aware(found) else timezone.make_aware(found)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(no_time(text)) from error
