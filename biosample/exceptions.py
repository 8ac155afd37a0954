"""Errors of this app."""


class BiosampleError(Exception):
    """Base of this app's errors; never raised itself."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class InvalidTransition(BiosampleError):
    """The submission cannot change into that state."""


class NotPermitted(BiosampleError):
    """This person may not do that; the message says which permission it needs."""


class UsiNotConfigured(BiosampleError):
    """There is no account for USI: set USI_USER and USI_PASSWORD in the environment of the workers."""


class UsiError(BiosampleError):
    """Base of what can go wrong with USI; never raised itself."""


class UsiUnavailable(UsiError):
    """USI does not answer now; later it may."""

    def __init__(self, message: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds that USI asked us to wait, None when it did not say


class UsiRefused(UsiError):
    """USI refused the request, and would again."""


class UsiAccountRefused(UsiRefused):
    """USI does not accept the account: check USI_USER and USI_PASSWORD."""


class UsiBadAnswer(UsiError):
    """USI answered something that is not its interface."""
