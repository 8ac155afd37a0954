"""What happens in the engine room, told upwards. Receivers must be quick and must not raise."""

from django.dispatch import Signal

# A job's state changed in the book. Arguments: job_id (str), task (str), state (str), previous (str).
# Sent for every job, hence the caching.
job_changed = Signal(use_caching=True)

# Jobs that are nodes of workflows changed their state in the book. Argument: nodes (list of workflow id, node, state and
# job id, all str).
nodes_changed = Signal()

# Which of the jobs that wait in these queues, or are with a worker, does the broker know? Argument: queues (set of str).
# A receiver returns their ids (set of str), or None when it cannot tell.
messages_asked = Signal()

# A batch of events is in the book. Arguments: job_ids (list of str), the jobs that the events were about; ended (list of
# triples job id, task, state), those of them that the batch brought to an end.
jobs_recorded = Signal()

# An event that is not about a job's life was recorded. Arguments: event (dict, see common.events).
event_recorded = Signal()

# Sent every few seconds by one recorder at a time: the moment for slow repairs. No arguments.
housekeeping = Signal()

# A failure mail is written and looks for a way. Argument: mail (dict, see common.failures). A receiver that answers True
# has taken it over; it may raise, and may take as long as a mail server, because no job waits for it.
failure_mail = Signal()

# Somebody wants a job to end. Argument: job_id (str).
cancel_asked = Signal()
