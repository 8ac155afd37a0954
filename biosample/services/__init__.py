"""Writes that cross a boundary: fetching states from USI, mailing owners, annotating records."""

from biosample.services.annotations import annotate, attributes_of
from biosample.services.fetch import Counts, fetch_status, fetch_statuses, stop
from biosample.services.mails import send_due_mails

__all__ = ["Counts", "annotate", "attributes_of", "fetch_status", "fetch_statuses", "send_due_mails", "stop"]
