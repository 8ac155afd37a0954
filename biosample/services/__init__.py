"""Writes that cross a boundary: fetching states from USI, mailing owners."""

from biosample.services.fetch import Counts, fetch_status, fetch_statuses, stop
from biosample.services.mails import send_due_mails

__all__ = ["Counts", "fetch_status", "fetch_statuses", "send_due_mails", "stop"]
