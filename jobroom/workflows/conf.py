"""Options of the workflows app; docs/reference/settings.md explains them."""

from jobroom.conf import JobroomSettings


class WorkflowsSettings(JobroomSettings):
    """Options of workflows."""

    prefix = "WORKFLOWS"

    # Longest result of a node, in characters of JSON, that the database keeps for those who need it after a loss of Redis.
    RESULT_LIMIT: int = 1_000_000
    # Seconds after which a workflow is given up, unless it says otherwise.
    MAX_PROCESSING_TIME: int = 7 * 24 * 3600
    # Most nodes of a workflow, and most items of a fan-out.
    MAX_NODES: int = 20_000
    MAX_ITEMS: int = 100_000
    # Seconds after which the sweeper looks what became of a node that was sent and has not been heard of.
    SILENT_AFTER: float = 5.0
    # Seconds for which a signed link that delivers an event is good.
    LINKS_LAST: int = 7 * 24 * 3600
    # Days after which workflows that have ended leave the database; 0 keeps them.
    KEEP_DAYS: int = 90


settings = WorkflowsSettings()
