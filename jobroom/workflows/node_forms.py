"""Forms for the arguments of nodes when a workflow is resumed or run again.

What a node is given by another one is not known yet, and what is secret is not shown: such a field is empty, says what
stands there, and keeps it as long as it stays empty. Only a node whose task this process does not know, or whose task
takes what no field describes, is shown as JSON.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from celery import current_app
from django import forms

from jobroom.arguments import Schema, WrongArguments, schema_of
from jobroom.arguments.encryption import is_sealed
from jobroom.arguments.storable import WrongJson, parse
from jobroom.jobs import requester
from jobroom.jobs.forms.fields import ArgumentField, FileOrStored, Unfinished
from jobroom.jobs.forms.launch import LaunchForm
from jobroom.users import User
from jobroom.workflows import explanations
from jobroom.workflows.exceptions import NotNow, WrongFields
from jobroom.workflows.forms import PayloadForm
from jobroom.workflows.graph import ITEM, Graph, Kind, Node, as_reference, is_reference, references
from jobroom.workflows.input_changes import is_hidden, written_nodes
from jobroom.workflows.models import StoredWorkflow

# Nodes whose arguments a form offers.
OFFERED = 50
# Ends the name of the field that says that a form was shown: without it nothing is changed, also no box that is not ticked.
SHOWN = "shown"

Changes = dict[str, Mapping[str, Any]]


class NodeForm(LaunchForm):
    """The arguments of one node, as the launch form of its task shows them."""

    template: ClassVar[str] = "jobroom/workflows/node_fields.html"

    def __init__(
        self,
        node: Node,
        graph: Graph,
        given: Mapping[str, Any],
        user: User,
        data: Any = None,
        files: Any = None,
        written: Mapping[str, Any] | None = None,
    ) -> None:
        self.prefix = f"node-{node.index}"
        self.node, self.given = node, given
        self.stands = {name: text for name, value in given.items() if (text := _stands(graph, value))}
        task = current_app.tasks[node.task]
        shown = {name: value for name, value in given.items() if name not in self.stands}
        super().__init__(task, user, data, files, initial=shown)
        for name, text in self.stands.items():
            if (field := self.fields.get(name)) is not None:
                _keep(field, text)
        # Where the definition puts a result and a value was written over it: who empties the field has the result again.
        self.written = {name: value for name, value in (written or {}).items() if name not in self.stands}
        for name, value in list(self.written.items()):
            if (text := _stands(graph, value)) and (field := self.fields.get(name)) is not None:
                field.help_text = _joined(field.help_text, f"Left empty it is {text}, as the definition says.")
            else:
                del self.written[name]
        self.restored: dict[str, Any] = {}

    def _answers(self, data: Any, initial: Mapping[str, Any]) -> dict[str, Any]:
        own = None
        if data is not None:
            start = f"{self.prefix}-"
            own = {name.removeprefix(start): data.get(name) for name in data if name.startswith(start)}
        return super()._answers(own, initial)

    def clean(self) -> dict[str, Any]:
        """Read the answers that were changed; what is missing is found when the graph is checked."""
        read = self._as_read()
        known = {name: value for name, value in read.items() if value is not _LEFT_OUT}
        needed = {p.name for p in self.schema.parameters if p.required and not p.nullable}
        for name in needed & (read.keys() - known.keys() | {name for name, value in known.items() if value == ""}):
            self.add_error(name, "This argument is needed.")
        try:
            with requester.asked_by(self.user):
                return {**read, **self.schema.wire_some(known)}
        except WrongArguments as wrong:
            self.add_errors(wrong)
            return {}

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        return values

    def _as_read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in self.fields.items():
            sent = self.cleaned_data.get(name)
            if isinstance(field, ArgumentField) and not self._is_kept(name, field, sent):
                if name in self.written and sent in (None, "", []):
                    self.restored[name] = self.written[name]
                    continue
                try:
                    found |= self._read(name, field)
                except Unfinished:
                    found[name] = _LEFT_OUT
        return found

    def _read(self, name: str, field: ArgumentField) -> dict[str, Any]:
        if name in self.stands and field.parameter.kind == "boolean":
            return {name: self.cleaned_data.get(name) == "true"}
        return super()._read(name, field)

    def _is_kept(self, name: str, field: ArgumentField, sent: Any) -> bool:
        """Return whether the answer is what was shown, or an empty one where something stands that is not shown."""
        if name in self.stands or field.parameter.secret:
            return sent in (None, "", [])
        if isinstance(field.widget, FileOrStored):
            given = self.given.get(name)
            # Empty is what was shown, unless the file was there to be chosen and no one chose it.
            return str(sent) == str(given) if sent else not field.widget.shows(given)
        if field.parameter.kind == "boolean":
            return bool(sent) == bool(field.initial)
        return bool(_flat(sent) == _flat(field.initial))

    def change(self, node: Node) -> Mapping[str, Any] | None:
        """Return the new args and kwargs of `node`, which may have been given other inputs; None where nothing was changed."""
        answers = self.cleaned_data if self.is_bound and self.is_valid() else {}
        if not answers and not self.restored:
            return None
        schema: Schema = self.schema
        named = {**schema.bind(node.args, node.kwargs), **answers, **self.restored}
        args, kwargs = schema.call({name: value for name, value in named.items() if value is not _LEFT_OUT})
        return {"args": args, "kwargs": kwargs}


_LEFT_OUT = object()  # a field was emptied, and the task's own default is meant


def _keep(field: forms.Field, text: str) -> None:
    """Let a field stay empty where a result or a secret stands, and say so."""
    field.initial = None
    if isinstance(field, ArgumentField):
        field.suggested = field.suggests = False
        if field.parameter.kind == "boolean":
            field.widget = forms.Select(choices=[("", f"— {text} —"), ("true", "Yes"), ("false", "No")])
        elif isinstance(field.widget, forms.Select) and not isinstance(field.widget, forms.SelectMultiple):
            field.widget.choices = [("", f"— {text} —"), *(one for one in field.widget.choices if one[0])]
        else:
            field.widget.attrs["placeholder"] = text
    field.help_text = _joined(field.help_text, f"Left empty it is {text}.")


def _joined(help_text: Any, more: str) -> str:
    """Return a help and one more sentence."""
    first = str(help_text).strip()
    return f"{first}{'' if first[-1:] in '.!?:' else '.'} {more}".strip() if first else more


def _stands(graph: Graph, value: Any) -> str:
    """Return in words what stands in an argument without being known or shown; empty where its value can be shown."""
    keys = list(dict.fromkeys(graph.nodes[ref.index].title for ref in references(value)))
    if keys:
        whole = is_reference(value) and not as_reference(value).path
        names = ", ".join(f"“{key}”" for key in keys[: explanations.NAMED])
        return f"the result of {names}" if whole else f"made of what {names} return{'s' * (len(keys) == 1)}"
    if _has(value, lambda part: isinstance(part, Mapping) and part.keys() == {ITEM}):
        return "the item that the job is for"
    if is_hidden(value) or _has(value, is_sealed):
        return "what it was, which is not shown"
    return ""


def _has(value: Any, wanted: Any) -> bool:
    left = [value]
    while left:
        part = left.pop()
        if wanted(part):
            return True
        left += part.values() if isinstance(part, Mapping) else part if isinstance(part, list | tuple) else ()
    return False


def _flat(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return "" if value is None else str(value).replace("\r\n", "\n").strip()


# --- what no field describes -----------------------------------------------------------------------------------------


class JsonForm:
    """The arguments of a node whose task this process does not know: JSON that may be changed."""

    template: ClassVar[str] = "jobroom/workflows/node_json.html"

    def __init__(self, node: Node, data: Any = None) -> None:
        args, kwargs = explanations.shown_arguments(node)
        self.node = node
        self.args_name, self.kwargs_name = f"args-{node.index}", f"kwargs-{node.index}"
        self._shown = {self.args_name: _text(args), self.kwargs_name: _text(kwargs)}
        self.args = self._given(data, self.args_name)
        self.kwargs = self._given(data, self.kwargs_name)
        self.error = ""
        self.is_bound = data is not None

    def _given(self, data: Any, name: str) -> str:
        return str(data.get(name, self._shown[name])) if data is not None else self._shown[name]

    def is_valid(self) -> bool:
        """Return whether what was written is JSON."""
        try:
            self.change(self.node)
        except NotNow as error:
            self.error = str(error)
        return not self.error

    def add_errors(self, wrong: WrongArguments) -> None:
        """Show what is wrong with the arguments."""
        self.error = " ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.errors.items())

    def change(self, node: Node) -> Mapping[str, Any] | None:
        """Return what was written where it was changed; raise NotNow, which says where it is no JSON."""
        found: dict[str, Any] = {}
        for part, text, shown in (
            ("args", self.args, self._shown[self.args_name]),
            ("kwargs", self.kwargs, self._shown[self.kwargs_name]),
        ):
            if _flat(text) != shown:  # line ends do not count
                found[part] = _parsed(node, part, text)
        return found or None


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _parsed(node: Node, part: str, text: str) -> Any:
    try:
        return parse(text)
    except WrongJson as error:
        raise NotNow(f"Of node “{node.key}”: {part} cannot be taken. {error}") from error
    except json.JSONDecodeError as error:
        message = f"Of node “{node.key}”: {part} is no JSON. Line {error.lineno}, column {error.colno}: {error.msg}."
        raise NotNow(message) from error


# --- all of a workflow -----------------------------------------------------------------------------------------------


def forms_of(
    stored: StoredWorkflow, graph: Graph, nodes: Sequence[Node], user: User, data: Any = None, files: Any = None
) -> list[NodeForm | JsonForm]:
    """Return the forms of those nodes that run a task and are given something, the first `OFFERED` of them."""
    able = [node for node in nodes if node.kind in {Kind.TASK, Kind.FAN_OUT}]
    written = {node.key: node for node in written_nodes(stored, graph)}
    made = (_form(node, graph, user, data, files, written.get(node.key)) for node in able[:OFFERED])
    return [form for form in made if isinstance(form, JsonForm) or form.fields]


def _form(
    node: Node, graph: Graph, user: User, data: Any, files: Any, written: Node | None = None
) -> NodeForm | JsonForm:
    task = current_app.tasks.get(node.task)
    if task is None:
        return JsonForm(node, data)
    schema = schema_of(task)
    try:
        args, kwargs = explanations.shown_arguments(node)
        given = schema.bind(args, kwargs)
    except WrongArguments:
        return JsonForm(node, data)  # it cannot even be called so, which is what is to be changed
    described = {parameter.name for parameter in schema.parameters}
    if not given.keys() <= described:
        return JsonForm(node, data)
    sent = data is not None and f"node-{node.index}-{SHOWN}" in data
    first = schema.bind(written.args, written.kwargs) if written is not None else {}
    return NodeForm(node, graph, given, user, data if sent else None, files if sent else None, first)


class InputsForm(PayloadForm):
    """What the workflow was launched with, to be changed."""

    def __init__(self, schema: Mapping[str, Any], payload: Mapping[str, Any], user: User, data: Any = None) -> None:
        shown = {name: value for name, value in payload.items() if not is_hidden(value)}
        sent = data if data is not None and f"input-{SHOWN}" in data else None
        self.kept = payload.keys() - shown.keys()
        super().__init__(schema, user, sent, shown, optional=self.kept, prefix="input")
        self.before = payload
        if "note" not in self.parts:
            del self.fields["note"]
        for name in self.kept & self.fields.keys():
            self.fields[name].initial = None
            self.fields[name].help_text = "It is not shown; left empty it stays as it was."

    @property
    def inputs(self) -> dict[str, Any]:
        """Return the inputs that were changed; None is one that was emptied."""
        if not self.is_bound:
            return {}
        given = self.payload
        # A moment is shown to the minute: what stands there as it was shown is as it was.
        edited = {name for name in self.changed_data if name in given}
        changed = {name: value for name, value in given.items() if name in edited and value != self.before.get(name)}
        gone = {name: None for name in self.parts if name in self.before and name not in given}
        return changed | {name: value for name, value in gone.items() if name not in self.kept}


def show_errors(wrong: WrongFields, inputs: InputsForm | None, found: Sequence[NodeForm | JsonForm]) -> list[str]:
    """Show at each field what is wrong with it; return what belongs to none."""
    rest = dict(wrong.errors)
    for form in found:
        start = f"nodes.{form.node.key}."
        own = {name.removeprefix(start): rest.pop(name) for name in wrong.errors if name.startswith(start)}
        if own:
            form.add_errors(WrongArguments(own))
    for name in [name for name in rest if inputs is not None and name in inputs.fields]:
        if inputs is not None:
            inputs.take_errors({name: rest.pop(name)})
    return [f"{name}: {' '.join(texts)}" for name, texts in rest.items()]
