"""What the jobs app asks of the rooms above it."""

from django.dispatch import Signal

# A job should run repeatedly. Arguments: task (str), args (list), kwargs (dict), cron (str), name (str), queue (str),
# by (User). The receiver makes the schedule and returns the address of its page; it raises WrongArguments with the
# fields `cron` and `schedule_name`.
repetition_wanted = Signal()

# Which tasks run by themselves? Argument: user (User). A receiver returns {task: [(sentence, address), …]}; the address
# is empty where the user has no page for it.
schedules_asked = Signal()

# What waits for a person? Argument: user (User). A receiver returns [(sentence, address), …].
attention_asked = Signal()

# What will be launched by itself next? Argument: user (User). A receiver returns [(moment, name, address), …].
coming_asked = Signal()
