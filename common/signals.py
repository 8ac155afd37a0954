"""What happens in the engine room, told upwards. Receivers must be quick and must not raise."""

from django.dispatch import Signal

# A job's state changed in the book. Arguments: job_id (str), task (str), state (str), previous (str).
job_changed = Signal()

# A batch of events is in the book. Argument: job_ids (list of str), the jobs that the events were about.
jobs_recorded = Signal()

# An event that is not about a job's life was recorded. Arguments: event (dict, see common.events).
event_recorded = Signal()

# Sent every few seconds by one recorder at a time: the moment for slow repairs. No arguments.
housekeeping = Signal()

# Somebody wants a job to end. Argument: job_id (str).
cancel_asked = Signal()
