"""What can be done with schedules: check arguments, merge the settings, tell the time, run now."""

from schedules.services.arguments import Problem, argument_problems, registered_tasks
from schedules.services.editing import restart, save, set_enabled
from schedules.services.merging import FIELDS, WITHDRAWN, differing_fields, entry_problems, merge_settings
from schedules.services.repeating import repeat
from schedules.services.running import message, run_now
from schedules.services.timing import next_runs, reference, sentence, timing

__all__ = [
    "FIELDS",
    "WITHDRAWN",
    "Problem",
    "argument_problems",
    "differing_fields",
    "entry_problems",
    "merge_settings",
    "message",
    "next_runs",
    "reference",
    "registered_tasks",
    "repeat",
    "restart",
    "run_now",
    "save",
    "sentence",
    "set_enabled",
    "timing",
]
