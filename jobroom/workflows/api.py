"""The REST API of workflows."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db.models import Max
from django.http import Http404
from django.urls import path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.preconditions import IF_MATCH, check, etag
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.filters import cursor
from jobroom.jobs.lists import place_of
from jobroom.jobs.search import later
from jobroom.workflows import arrivals, current_state, launches, policies, services, signed_links
from jobroom.workflows.conf import settings
from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.schema import SCHEMA
from jobroom.workflows.exceptions import NotAllowed
from jobroom.workflows.graph import Node
from jobroom.workflows.models import Definition, StoredWorkflow
from jobroom.workflows.serializers import (
    ActionResult,
    Changes,
    Decided,
    Decision,
    DefinitionDetail,
    DefinitionRow,
    DefinitionText,
    Delivery,
    LaunchRequest,
    Link,
    ListQuery,
    Resumption,
    WorkflowDetail,
    WorkflowPage,
    WorkflowRow,
)

PAGE = 50


def seen_by(request: Request, workflow_id: str) -> StoredWorkflow:
    """Return the workflow; raise Http404 when there is none that one may see."""
    found = current_state.visible_workflow(workflow_id, person(request))
    if found is None:
        raise Http404("There is no such workflow, or you may not see it.")
    return found


class WorkflowList(ApiView):
    """All workflows that one may see."""

    @extend_schema(
        operation_id="list_workflows", parameters=[ListQuery], responses={200: WorkflowPage, **problems(400, 401)}
    )
    def get(self, request: Request) -> Response:
        """List workflows, newest first, a page at a time."""
        given = ListQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        rows = StoredWorkflow.objects.visible_to(person(request)).without_bulk().newest_first()
        rows = rows.filter(**{name: asked[name] for name in ("state", "name") if name in asked})
        rows = later(rows, cursor(asked))
        found = list(rows.select_related("owner", "definition__definition")[: PAGE + 1])
        address = None
        if len(found) > PAGE:
            query = request.query_params.copy()
            query["before"] = place_of(found[PAGE - 1])
            address = f"{reverse('jobroom:workflows-api:workflows')}?{query.urlencode()}"
        return Response({"next": address, "results": WorkflowRow(found[:PAGE], many=True).data})

    @extend_schema(
        operation_id="launch_workflow",
        request=LaunchRequest,
        responses={201: WorkflowRow, **problems(400, 401, 403, 409, 413, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        """Launch a workflow."""
        given = LaunchRequest(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        common = {"payload": asked["payload"], "by": person(request), "source": "api", "note": asked["note"]}
        if asked["text"]:
            stored = launches.launch_text(asked["text"], **common)
        else:
            stored = launches.launch(definition=asked["definition"], version=asked["version"], **common)
        row = WorkflowRow(stored).data
        return Response(row, status=status.HTTP_201_CREATED, headers={"Location": row["url"]})


class WorkflowView(ApiView):
    """One workflow."""

    @extend_schema(operation_id="show_workflow", responses={200: WorkflowDetail, **problems(401, 404)})
    def get(self, request: Request, workflow_id: str) -> Response:
        """Show a workflow with the state of each node as it is now."""
        return Response(WorkflowDetail(seen_by(request, workflow_id)).data)


def _result(request: Request, stored: StoredWorkflow, detail: str) -> Response:
    now = seen_by(request, stored.pk)
    return Response({**WorkflowRow(now).data, "detail": detail})


def action(name: str, work: Callable[[StoredWorkflow, Any, Any], str], summary: str, body: Any = None) -> type[ApiView]:
    """Return the view of something that is done with a workflow."""

    class Action(ApiView):
        @extend_schema(
            operation_id=f"{name}_workflow",
            description=summary,
            request=body,
            responses={200: ActionResult, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
        )
        def post(self, request: Request, workflow_id: str) -> Response:
            stored = seen_by(request, workflow_id)
            asked = {}
            if body is not None:
                given = body(data=request.data)
                given.is_valid(raise_exception=True)
                asked = given.validated_data
            return _result(request, stored, work(stored, person(request), asked))

    Action.__doc__ = summary
    Action.__name__ = f"{name.title()}Workflow"
    return Action


def _cancel(stored: StoredWorkflow, by: Any, asked: Any) -> str:
    return str(services.cancel(stored, by=by))


def _pause(stored: StoredWorkflow, by: Any, asked: Any) -> str:
    services.pause(stored, by=by)
    return "No more nodes are started; those that run continue."


def _unpause(stored: StoredWorkflow, by: Any, asked: Any) -> str:
    services.unpause(stored, by=by)
    return "It goes on."


def _resume(stored: StoredWorkflow, by: Any, asked: Any) -> str:
    changed = {"changes": asked["changes"], "inputs": asked["inputs"]}
    again = services.resume(stored, by=by, done=asked["done"], again=asked["again"], **changed)
    return f"Goes on at {', '.join(node.key for node in again[:20]) or 'what had not started'}."


def _rerun(stored: StoredWorkflow, by: Any, asked: Any) -> str:
    changed = {"changes": asked["changes"], "inputs": asked["inputs"]}
    new = services.run_again(stored, by=by, source="api", note=asked["note"], **changed)
    return f"Runs again as {new.pk}."


class DecisionView(ApiView):
    """An approval."""

    @extend_schema(
        operation_id="decide_workflow_node",
        request=Decision,
        responses={200: Decided, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    )
    def post(self, request: Request, workflow_id: str, key: str) -> Response:
        """Approve or deny; who may decide may do so without seeing the rest of the workflow."""
        visible = StoredWorkflow.objects.decidable_by(person(request))
        stored = visible.filter(pk=current_state.as_key(workflow_id)).first()
        node = _node(stored, key) if stored is not None else None
        if stored is None or node is None or not policies.may_decide(person(request), stored, node):
            raise Http404("There is no such approval, or it is not yours to decide.")
        given = Decision(data=request.data)
        given.is_valid(raise_exception=True)
        arrivals.decide(stored, node, by=person(request), **given.validated_data)
        return Response({"id": stored.pk, "detail": "It is decided."})


class EventView(ApiView):
    """An event that a node waits for."""

    @extend_schema(
        operation_id="deliver_workflow_event",
        request=Delivery,
        responses={200: Decided, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    )
    def post(self, request: Request, workflow_id: str, key: str) -> Response:
        """Deliver what a node waits for, with data that the nodes after it may use."""
        stored, node = _waiting(request, workflow_id, key)
        given = Delivery(data=request.data)
        given.is_valid(raise_exception=True)
        arrivals.deliver(stored, node, given.validated_data["data"], by=person(request))
        return Response({"id": stored.pk, "detail": "It is delivered."})


class LinkView(ApiView):
    """A signed link that delivers an event."""

    @extend_schema(
        operation_id="make_workflow_event_link",
        request=None,
        responses={201: Link, **problems(401, 403, 404, 409)},
    )
    def post(self, request: Request, workflow_id: str, key: str) -> Response:
        """Make a link with which anyone who holds it delivers the event, once, without logging in."""
        stored, node = _waiting(request, workflow_id, key)
        found = {"link": signed_links.make(stored, node, by=person(request)), "seconds": settings.LINKS_LAST}
        return Response(found, status=status.HTTP_201_CREATED)


def _waiting(request: Request, workflow_id: str, key: str) -> tuple[StoredWorkflow, Node]:
    stored = seen_by(request, workflow_id)
    node = _node(stored, key)
    if node is None:
        raise Http404("There is no such workflow, or you may not see it.")
    return stored, node


def _node(stored: StoredWorkflow, key: str) -> Node | None:
    return next((node for node in stored.read_graph().nodes if node.key == key), None)


class DefinitionList(ApiView):
    """The definitions."""

    @extend_schema(operation_id="list_workflow_definitions", responses={200: DefinitionRow(many=True), **problems(401)})
    def get(self, request: Request) -> Response:
        """List the definitions that one may launch."""
        rows = launches.launchable_by(person(request)).annotate(version=Max("versions__number"))
        return Response(DefinitionRow(rows, many=True).data)

    @extend_schema(
        operation_id="keep_workflow_definition",
        request=DefinitionText,
        parameters=[IF_MATCH],
        responses={201: DefinitionRow, **problems(400, 401, 403, 412, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Keep a text as the newest version of the definition that it names; staff only.

        The definition's ETag, as `If-Match`, keeps it from following a version that the caller has not read.
        """
        given = DefinitionText(data=request.data)
        given.is_valid(raise_exception=True)
        if not policies.may_write(person(request)):
            raise NotAllowed("Only staff may load definitions, as they may name any task.")
        text = given.validated_data["text"]
        check_newest = partial(check, request, what="The definition")
        version = registry.keep(text, origin=person(request).get_username(), check_newest=check_newest)
        row = Definition.objects.annotate(version=Max("versions__number")).get(pk=version.definition_id)
        return Response(DefinitionRow(row).data, status=status.HTTP_201_CREATED)


class DefinitionView(ApiView):
    """One definition."""

    @extend_schema(operation_id="show_workflow_definition", responses={200: DefinitionDetail, **problems(401, 404)})
    def get(self, request: Request, name: str) -> Response:
        """Show a definition with its text and the JSON Schema of its payload."""
        found = launches.launchable_by(person(request)).filter(name=name).first()
        if found is None:
            raise Http404("There is no such definition, or you may not launch it.")
        version = registry.newest(name)
        return Response(
            {
                "name": found.name,
                "title": found.title,
                "description": found.description,
                "version": version.number,
                "payload_schema": registry.payload_schema(version),
                "text": version.source,
            },
            headers={"ETag": etag(version.number)},
        )


class SchemaView(ApiView):
    """The format of definitions."""

    @extend_schema(operation_id="workflow_definition_schema", responses={200: OpenApiResponse(OpenApiTypes.OBJECT)})
    def get(self, request: Request) -> Response:
        """Return the JSON Schema of a definition, for editors."""
        return Response(SCHEMA)


app_name = "workflows-api"
_ID = "api/workflows/<str:workflow_id>/"
urlpatterns = [
    path("api/workflows/", WorkflowList.as_view(), name="workflows"),
    path("api/workflows/schema/", SchemaView.as_view(), name="schema"),
    path("api/workflows/definitions/", DefinitionList.as_view(), name="definitions"),
    path("api/workflows/definitions/<str:name>/", DefinitionView.as_view(), name="definition"),
    path(_ID, WorkflowView.as_view(), name="workflow"),
    path(f"{_ID}cancel/", action("cancel", _cancel, "Start nothing more, and cancel what is running.").as_view()),
    path(f"{_ID}pause/", action("pause", _pause, "Start nothing more until it is let go on.").as_view()),
    path(f"{_ID}unpause/", action("unpause", _unpause, "Let a paused workflow go on.").as_view()),
    path(f"{_ID}resume/", action("resume", _resume, "Go on at the nodes that failed.", Resumption).as_view()),
    path(f"{_ID}rerun/", action("rerun", _rerun, "Run the same graph as a new workflow.", Changes).as_view()),
    path(f"{_ID}nodes/<str:key>/decision/", DecisionView.as_view(), name="decision"),
    path(f"{_ID}nodes/<str:key>/event/", EventView.as_view(), name="event"),
    path(f"{_ID}nodes/<str:key>/link/", LinkView.as_view(), name="link"),
]
