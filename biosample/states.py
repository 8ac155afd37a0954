"""The states of submissions and records."""

from django.db import models


class State(models.IntegerChoices):
    """Where a submission or one of its records stands."""

    WAITING = 0, "waiting"
    LOADED = 1, "loaded"
    SUBMITTED = 2, "submitted"
    ERROR = 3, "error"
    NEED_REVISION = 4, "need revision"
    READY = 5, "ready"
    COMPLETED = 6, "completed"
