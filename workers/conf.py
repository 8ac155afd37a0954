"""Options of the workers app."""

from common.conf import AppSettings


class WorkerSettings(AppSettings):
    """Options of probes and rescue."""

    prefix = "WORKERS"

    # Seconds for which something must look abandoned before it is believed; several heartbeats long.
    RESCUE_MARGIN: float = 5.0
    # Seconds without a heartbeat after which a worker counts as replaced when another of its name has started.
    REPLACED_AFTER: float = 6.0
    # Seconds for which a vanished worker stays on the list, so that people can see it.
    REMEMBER_VANISHED: float = 600.0
    # Seconds after which beat or the recorder counts as silent in `/readyz`.
    SILENT_AFTER: float = 30.0
    # A job that is asked to end and goes on for so many seconds loses its process, on workers whose pool can do that.
    CANCEL_GRACE: float = 10.0


settings = WorkerSettings()
