"""Errors of the live app."""


class LiveError(Exception):
    """Base of this app's errors; never raised itself."""


class UnknownTopic(LiveError):
    """There is no such topic."""
