"""Signals of the jobs app that higher layers answer."""

from django.dispatch import Signal

# A job should run repeatedly. Arguments: task (str), args (list), kwargs (dict), cron (str), name (str), queue (str),
# by (User), description (str), expires (datetime or None), policy (dict, what `repetition_fields_asked` asked for). The receiver makes the
# schedule and returns the address of its page; it raises WrongArguments with the fields `cron`, `schedule_name`, and those of the policy.
repetition_wanted = Signal()

# What else does the launch page ask for of a job that runs repeatedly? A receiver returns {name: form field}; the answers go into `policy`.
repetition_fields_asked = Signal()

# Which tasks run by themselves? Argument: user (User). A receiver returns {task: [(sentence, address), …]}; the address
# is empty where the user has no page for it.
schedules_asked = Signal()

# Which runs were missed? Arguments: user (User), since (datetime), name (str, empty for all schedules). A receiver returns
# [(name of the schedule, its id, when the run was due), …], the latest for each schedule that the user may see.
missed_asked = Signal()

# Is there a schedule of this name? Argument: name (str). A receiver returns whether.
schedule_asked = Signal()

# What waits for a person? Argument: user (User). A receiver returns [(sentence, address), …].
attention_asked = Signal()

# What will be launched by itself next? Argument: user (User). A receiver returns [(moment, name, address), …].
coming_asked = Signal()
