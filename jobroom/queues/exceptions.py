"""Errors of the queues app."""


class QueueError(Exception):
    """Base of this app's errors; never raised itself."""


class Refused(QueueError):
    """It cannot be done as it was asked for; the message names the field and the remedy."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class NotThere(QueueError):
    """There is no such message, pause or lock any more; the message says which."""


class NotKnowable(QueueError):
    """This broker does not show or do that; the message says what it can."""
