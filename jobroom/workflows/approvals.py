"""Which decisions are waited for, and who may make them: also people who may not see the rest of the workflow."""

import dataclasses
from collections.abc import Sequence

from jobroom.jobs import results
from jobroom.jobs.models import StoredFile
from jobroom.jobs.results import Shown
from jobroom.users import User
from jobroom.workflows import explanations, policies, progress
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.explanations import Approval
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.querysets import StoredWorkflowQuerySet

# Workflows that are looked at, the newest ones.
LOOKED_AT = 50
# Files of each that are shown.
FILES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Open:
    """A decision that the person may make."""

    stored: StoredWorkflow
    approval: Approval
    visible: bool  # whether the person may see the workflow
    decided: Shown | None = None  # what it was launched with; only for those who may see it
    files: Sequence[StoredFile] = ()  # what its jobs have made; only for those, too


def waiting() -> StoredWorkflowQuerySet:
    """Return the newest workflows in which a person is waited for."""
    active = StoredWorkflow.objects.filter(state__in=[State.RUNNING, State.PAUSED])
    return (
        active.filter(node_states__contains=NodeState.APPROVAL)
        .defer("graph")
        .select_related("definition__definition")
        .newest_first()
    )


def open_to(user: User) -> list[Open]:
    """Return the decisions that `user` may make now, of the newest workflows first."""
    found: list[Open] = []
    if not user.is_staff and not user.groups.exists():
        return found
    for stored in waiting()[:LOOKED_AT]:
        graph = progress.graph_of(stored)
        for node in graph.nodes:
            asked = stored.node_states[node.index : node.index + 1] == NodeState.APPROVAL
            if asked and policies.may_decide(user, stored, node):
                found.append(_open(stored, explanations.approval(stored, node, may=True), user))
    return found


def _open(stored: StoredWorkflow, approval: Approval, user: User) -> Open:
    if not policies.may_see(user, stored):
        return Open(stored, approval, visible=False)
    jobs = progress.jobs_of(stored).values("pk")
    files = StoredFile.objects.visible_to(user).filter(job_id__in=jobs).order_by("-created_at")[:FILES]
    payload = results.shown(stored.payload) if stored.payload else None
    return Open(stored, approval, visible=True, decided=payload, files=list(files))
