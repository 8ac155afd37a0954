"""Options of the queues app: entries of `JOBROOM`."""

from jobroom.conf import JobroomSettings


class MetricsSettings(JobroomSettings):
    """Who may read `/metrics`: staff always."""

    prefix = "METRICS"

    # Anyone who sends it as `Authorization: Bearer …` may read them too.
    TOKEN: str = ""
    # Whether everyone may who reaches the server.
    OPEN: bool = False


settings = MetricsSettings()
