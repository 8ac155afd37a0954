"""Operations on schedules: check arguments, merge the settings, describe when they run, run now."""

from jobroom.schedules.services.arguments import Problem, argument_problems, registered_tasks, secret_problems
from jobroom.schedules.services.dispatch import message, refusal_of, run_now
from jobroom.schedules.services.launch_page import change, repeat
from jobroom.schedules.services.next_runs import next_runs, reference, sentence, timing
from jobroom.schedules.services.pauses import pause, resume, skip, unskip
from jobroom.schedules.services.settings_schedules import (
    FIELDS,
    WITHDRAWN,
    differing_fields,
    entry_problems,
    merge_settings,
)
from jobroom.schedules.services.writes import repair_clock, restart, save, set_enabled

__all__ = [
    "FIELDS",
    "WITHDRAWN",
    "Problem",
    "argument_problems",
    "change",
    "differing_fields",
    "entry_problems",
    "merge_settings",
    "message",
    "next_runs",
    "pause",
    "reference",
    "refusal_of",
    "registered_tasks",
    "repair_clock",
    "repeat",
    "restart",
    "resume",
    "run_now",
    "save",
    "secret_problems",
    "sentence",
    "set_enabled",
    "skip",
    "timing",
    "unskip",
]
