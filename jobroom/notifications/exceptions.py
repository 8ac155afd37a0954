"""Errors of the notifications."""


class MailError(Exception):
    """Base of this app's errors; never raised itself."""


class WrongAddress(MailError, ValueError):
    """It is no address to which anything may be sent; the message says why."""


class KeyTaken(MailError, ValueError):
    """Another mail has this key."""

    def __init__(self, key: str, subject: str) -> None:
        super().__init__(
            f"The key “{key}” belongs to another mail, “{subject}”. Give each mail a key of its own; the same key means "
            "the same mail."
        )


class NotYet(MailError):
    """The mail could not be sent now and is tried again; the message is what the mail server said."""


class ClaimLost(MailError):
    """Someone else has taken the mail over."""

    def __init__(self) -> None:
        super().__init__((type(self).__doc__ or "").strip())


class NotNow(MailError):
    """The mail is not in a state in which this can be done; the message says which."""
