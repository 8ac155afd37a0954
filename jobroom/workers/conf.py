"""Options of the workers app."""

from jobroom.conf import JobroomSettings


class WorkerSettings(JobroomSettings):
    """Options of probes and rescue."""

    prefix = "WORKERS"

    # Seconds for which something must look abandoned before it is believed; several heartbeats long.
    RESCUE_MARGIN: float = 5.0
    # Seconds for which a job must wait before its message is looked for.
    MISSING_AFTER: float = 60.0
    # Seconds without a heartbeat after which a worker counts as replaced when another of its name has started.
    REPLACED_AFTER: float = 6.0
    # Seconds for which a vanished worker stays on the list, so that people can see it.
    REMEMBER_VANISHED: float = 600.0
    # Seconds after which beat or the recorder counts as silent in `/readyz`.
    SILENT_AFTER: float = 30.0
    # Seconds that the history may lag behind before the health sentence says so.
    BEHIND_AFTER: float = 10.0
    # Share of the disk below which its free space is warned of.
    DISK_LOW: float = 0.05
    # A job that is asked to end and goes on for so many seconds loses its process, on workers whose pool can do that.
    CANCEL_GRACE: float = 10.0
    # So many dead letters (messages that no worker could run) are kept.
    DEAD_LETTERS_KEPT: int = 10_000


settings = WorkerSettings()
