"""Django signals that lower layers send and higher layers receive. Receivers must be quick and must not raise."""

from django.dispatch import Signal

# A job's state changed in the database. Arguments: job_id (str), task (str), state (str), previous (str).
# Sent for every job, therefore the caching.
job_changed = Signal(use_caching=True)

# Jobs that are nodes of workflows changed their state in the database. Argument: nodes (list of workflow id, node, state and
# job id, all str).
nodes_changed = Signal()

# Which of the jobs that wait in these queues, or are with a worker, does the broker know? Argument: queues (set of str).
# A receiver returns their ids (set of str), or None when it cannot tell.
messages_asked = Signal()

# A batch of events is in the database. Arguments: job_ids (list of str), the jobs that the events were about; ended (list of
# triples job id, task, state), those of them that the batch brought to an end.
jobs_recorded = Signal()

# An event that is not about a job's life was recorded. Arguments: event (dict, see jobroom.events).
event_recorded = Signal()

# Sent a few times a second by every recorder, for looks that cost nearly nothing: what has become due. No arguments.
glance = Signal()

# Sent every few seconds by one recorder at a time: the moment for slow repairs. Argument: mark (jobroom.events.consumer.Mark). The
# history knows everything that happened before the mark; what is absent from it since, may have happened all the same.
housekeeping = Signal()

# A run of a job failed; Celery may call no hook for it. Arguments: task (the registered task), task_id (str), exception, and einfo
# (what Celery says of it, or None).
run_failed = Signal()

# A failure mail is written and looks for a way. Argument: mail (dict, see jobroom.tasks.failure_mail). A receiver that answers True
# has taken it over; it may raise, and may take as long as a mail server, because no job waits for it.
failure_mail = Signal()

# A mail is to be sent after the commit of what it is about. Arguments: to (list of str), subject, text, key (str; a second mail of the
# same key is none). A receiver that returns True has written it down in the same transaction.
mail_wanted = Signal()

# A job that was launched for later is about to start. Arguments: job_id (str), task (the registered task), args and kwargs (as JSON,
# secrets open). A receiver returns why it may not run any more, or an empty text.
start_asked = Signal()

# Jobs were asked to end. Arguments: job_ids (list of str); waiting (list of str), those of them that do not run.
cancel_asked = Signal()

# A person did something to a job, a queue, a worker or the like. Arguments, all str: who, action (such as "purged"), kind (of what
# it was done to), target (which one), and perhaps reason (the person's words) and outcome (what really happened).
acted = Signal()
