"""Signals by which the classes for writing workflows ask the modules above them, which use Django's models.

A Celery app may import `jobroom.workflows.workflows` before the models are there.
"""

from django.dispatch import Signal

# A workflow is to be written into the database and started. Arguments: workflow (Workflow, frozen), launch (dict, the keyword
# arguments of `services.start`). The receiver raises WorkflowException where that is not possible.
workflow_sent = Signal()

# A workflow is to be looked after now. Argument: workflow (Workflow). The receiver lets it know how far it is, and returns
# whether it goes on; it raises WorkflowException for one that was not sent.
tick_asked = Signal()
