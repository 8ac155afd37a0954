"""Errors of the schedules."""


class ScheduleError(Exception):
    """Base of this app's errors; never raised itself."""


class InvalidEntry(ScheduleError):
    """An entry of `CELERY_BEAT_SCHEDULE` cannot become a schedule; the message names what is wrong with it."""


class UnusableSchedule(ScheduleError):
    """A row of the database cannot be run; the message names what is wrong with it."""


class NotNow(ScheduleError):
    """Something cannot be done with a schedule as it is now; the message says why."""


class NotSent(ScheduleError):
    """A schedule could not be run now; the message says why and what to do."""
