"""The schedules' pages: the list, one schedule, its form and its actions."""

from jobroom.schedules.views.actions import delete, pause, resume, run, settle, skip
from jobroom.schedules.views.backfill import act_on_backfill, backfill, new_backfill
from jobroom.schedules.views.calendars import (
    calendar,
    calendar_list,
    delete_calendar,
    edit_calendar,
    new_calendar,
    read_days,
)
from jobroom.schedules.views.form import edit, new, preview
from jobroom.schedules.views.pages import schedule, schedule_list
from jobroom.schedules.views.policy import edit_policy

__all__ = [
    "act_on_backfill",
    "backfill",
    "calendar",
    "calendar_list",
    "delete",
    "delete_calendar",
    "edit",
    "edit_calendar",
    "edit_policy",
    "new",
    "new_backfill",
    "new_calendar",
    "pause",
    "preview",
    "read_days",
    "resume",
    "run",
    "schedule",
    "schedule_list",
    "settle",
    "skip",
]
