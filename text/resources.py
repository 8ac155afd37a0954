"""What workers of the queue `ml` hold ready."""

from typing import Any

from jobroom.resources import resource
from text import languages, registry
from text.spam.detector import Detector


# A broken model must not keep its queue from the training that replaces it.
@resource("spam_model", queues=["ml"], version=registry.working_version, holds="jobs")
def spam_model() -> Detector:
    """The promoted version of the spam model; the very first one is made from our own sentences."""
    found = registry.detector()
    found.detect("What is imported at first use is imported now.")
    return found


@resource("language_identifier", queues=["ml"], holds="jobs")
def language_identifier() -> Any:
    """The classifier of languages, py3langid's."""
    return languages.identifier()
