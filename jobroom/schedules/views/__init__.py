"""The schedules' pages: the list, one schedule, its form, and what is done with it."""

from jobroom.schedules.views.actions import delete, pause, resume, run, skip
from jobroom.schedules.views.form import edit, new, preview
from jobroom.schedules.views.pages import schedule, schedule_list

__all__ = ["delete", "edit", "new", "pause", "preview", "resume", "run", "schedule", "schedule_list", "skip"]
