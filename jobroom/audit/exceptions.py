"""Errors of the audit."""


class AuditError(Exception):
    """Base of this app's errors; never raised itself."""


class AppendOnly(AuditError):
    """Acts are kept as they were written: the audit can be added to, and not changed."""

    def __init__(self) -> None:
        super().__init__((type(self).__doc__ or "").strip())
