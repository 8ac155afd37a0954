"""REST serializers of workflows."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from jobroom.jobs.request_serializers import PlaceField
from jobroom.jobs.serializers import PlainJSON
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.models import Definition, State, StoredWorkflow


@extend_schema_serializer(component_name="WorkflowLaunch")
class LaunchRequest(serializers.Serializer[Any]):
    """A launch: of a definition by its name, or of the text of one."""

    definition = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False, default=None, allow_null=True)
    text = serializers.CharField(
        max_length=1_000_000,
        required=False,
        default="",
        allow_blank=True,
        trim_whitespace=False,
        help_text="A definition in YAML; staff only.",
    )
    payload = serializers.DictField(required=False, default=dict)
    note = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Want one of both."""
        if bool(attrs["definition"]) == bool(attrs["text"]):
            raise serializers.ValidationError({"definition": ["Name a definition, or give one in YAML as `text`."]})
        return attrs


class Changes(serializers.Serializer[Any]):
    """Other arguments for some nodes, by their keys."""

    changes = serializers.DictField(
        child=serializers.DictField(), required=False, default=dict, help_text='{"node": {"args": […], "kwargs": {…}}}'
    )
    inputs = serializers.DictField(
        required=False,
        default=dict,
        help_text="Other values for inputs of a workflow that was launched from a definition, by name; null is the default.",
    )
    note = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class Resumption(Changes):
    """What a resume changes."""

    again = serializers.ListField(
        child=serializers.CharField(), required=False, default=list,
        help_text="Keys of nodes that run again with all that follows them, however they ended.",
    )  # fmt: skip
    done = serializers.DictField(
        required=False, default=dict, help_text='Results by key of nodes that need not run: {"node": …}'
    )


class Decision(serializers.Serializer[Any]):
    """The answer to an approval."""

    approve = serializers.BooleanField()
    comment = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class Delivery(serializers.Serializer[Any]):
    """What is delivered to a node that waits for an event."""

    data = serializers.JSONField(required=False, default=None, allow_null=True)  # type: ignore[assignment]


class Link(serializers.Serializer[Any]):
    """A signed link."""

    link = serializers.CharField()
    seconds = serializers.IntegerField(help_text="For so long it is good.")


class ListQuery(serializers.Serializer[Any]):
    """Which workflows are listed."""

    state = serializers.ChoiceField(choices=State.choices, required=False)
    name = serializers.CharField(max_length=200, required=False)
    before = PlaceField(required=False)


class WorkflowRow(serializers.ModelSerializer[StoredWorkflow]):
    """A workflow in a list."""

    url = serializers.SerializerMethodField()
    owner = serializers.CharField(source="owner.get_username", default=None, read_only=True, allow_null=True)
    counts = serializers.SerializerMethodField()
    definition = serializers.CharField(
        source="definition.definition.name", default=None, read_only=True, allow_null=True
    )
    version = serializers.IntegerField(source="definition.number", default=None, read_only=True, allow_null=True)

    class Meta:
        model = StoredWorkflow
        fields: tuple[str, ...] = (
            "id", "url", "name", "state", "total", "counts", "owner", "source", "definition", "version", "note", "error",
            "created_at", "started_at", "finished_at", "deadline_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_url(self, stored: StoredWorkflow) -> str:
        """Return the address in the API."""
        return reverse("jobroom:workflows-api:workflow", args=[stored.pk])

    def get_counts(self, stored: StoredWorkflow) -> dict[str, int]:
        """Return how many nodes are in which state, by the name of the state."""
        return {NodeState(node_state).name.lower(): number for node_state, number in stored.counts.items()}


class NodeRow(serializers.Serializer[Any]):
    """A node of a workflow."""

    index = serializers.IntegerField()
    key = serializers.CharField()
    kind = serializers.CharField()
    task = serializers.CharField(allow_blank=True)
    job = serializers.CharField(help_text="Id of its job; there is one as soon as it is sent.")
    state = serializers.CharField()
    needs = serializers.ListField(child=serializers.CharField())
    items = serializers.IntegerField(allow_null=True, help_text="Jobs of a fan-out.")


class WorkflowDetail(WorkflowRow):
    """A workflow with its nodes."""

    payload = PlainJSON(read_only=True)
    result = PlainJSON(read_only=True)
    decisions = PlainJSON(read_only=True)
    nodes = serializers.SerializerMethodField()

    class Meta(WorkflowRow.Meta):
        fields = (*WorkflowRow.Meta.fields, "payload", "result", "decisions", "nodes")
        read_only_fields = fields

    def get_nodes(self, stored: StoredWorkflow) -> list[dict[str, Any]]:
        """Return the nodes, each with its state now."""
        graph, node_states = stored.read_graph(), node_states_now(stored)
        return [
            {
                "index": node.index,
                "key": node.key,
                "kind": str(node.kind),
                "task": node.task,
                "job": node.id,
                "state": NodeState(node_state).name.lower(),
                "needs": [graph.nodes[parent].key for parent, _ in node.parents],
                "items": stored.items.get(str(node.index)),
            }
            for node, node_state in zip(graph.nodes, node_states, strict=True)
        ]


class WorkflowPage(serializers.Serializer[Any]):
    """One page of workflows, newest first."""

    next = serializers.CharField(allow_null=True, help_text="Address of the page with older ones.")
    results = WorkflowRow(many=True)


@extend_schema_serializer(component_name="WorkflowActionResult")
class ActionResult(WorkflowRow):
    """What became of a request about a workflow."""

    detail = serializers.CharField()

    class Meta(WorkflowRow.Meta):
        fields = (*WorkflowRow.Meta.fields, "detail")
        read_only_fields = fields


class Decided(serializers.Serializer[Any]):
    """What became of a decision; no more, as who decides may not see the rest of the workflow."""

    id = serializers.CharField()
    detail = serializers.CharField()


class DefinitionRow(serializers.ModelSerializer[Definition]):
    """A definition that one may launch."""

    version = serializers.IntegerField(allow_null=True)

    class Meta:
        model = Definition
        fields: tuple[str, ...] = ("name", "title", "description", "version")
        read_only_fields = fields


class DefinitionDetail(DefinitionRow):
    """A definition with the JSON Schema of its payload and its text."""

    payload_schema = serializers.JSONField()
    text = serializers.CharField()

    class Meta(DefinitionRow.Meta):
        fields = (*DefinitionRow.Meta.fields, "payload_schema", "text")
        read_only_fields = fields


class DefinitionText(serializers.Serializer[Any]):
    """A definition to be kept as the newest version of its name."""

    text = serializers.CharField(max_length=1_000_000, trim_whitespace=False)
