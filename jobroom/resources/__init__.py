"""Objects that the tasks of one worker share: models, graphs, ontologies. See docs/explanation/resources.md.

    @resource("spam_model", queues=["ml"], version=promoted)
    def spam_model(version: str) -> SpamModel: ...

    @app.task(bind=True, resources=("spam_model",))
    def detect_spam(self, msg: str): return self.spam_model.predict(msg)

They are declared with `declaration`; `instance` is one object in one process, `upkeep` the thread that looks after them,
`access` what tasks see. The wiring into Celery's worker is `worker`, `gate` (which queues are consumed) and `pool_process`
(prefork).
"""

from jobroom.resources.access import allowed_here, current
from jobroom.resources.declaration import Resource, resource
from jobroom.resources.exceptions import ResourceError, ResourceNotHere, ResourceNotReady, UnknownResource
from jobroom.resources.registry import declared

__all__ = [
    "Resource",
    "ResourceError",
    "ResourceNotHere",
    "ResourceNotReady",
    "UnknownResource",
    "allowed_here",
    "current",
    "declared",
    "resource",
]
