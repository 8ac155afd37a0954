"""A parsed definition: its name, its payload, and the workflow that it makes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from jobroom.workflows.definitions.builder import WHOLE, WORDS, Builder, texts
from jobroom.workflows.definitions.calls import wrong_arguments
from jobroom.workflows.definitions.messages import field_of, place_of, sentence, similar
from jobroom.workflows.definitions.parser import Path, WrongDefinition, read
from jobroom.workflows.definitions.payloads import filled, problems
from jobroom.workflows.definitions.schema import KINDS, SCHEMA
from jobroom.workflows.exceptions import Cycle
from jobroom.workflows.workflows import Workflow

# Gives the text of a definition by its name.
Find = Callable[[str], str | None]


def nothing(name: str) -> str | None:
    """Know no other definitions."""
    return None


class Recipe:
    """A definition that has been read and checked."""

    def __init__(self, text: str, find: Find = nothing, *, depth: int = 0) -> None:
        self.document = read(text)
        self.find = find
        self.depth = depth
        self._check_shape()
        self.data: dict[str, Any] = self.document.value
        self.nodes: dict[str, dict[str, Any]] = self.data["nodes"]
        found = [self.wrong(message, "payload", *path) for message, path in problems(self.payload_schema)]
        for key in self.nodes:
            found += self._wrong_in(key)
        if found:
            raise WrongDefinition.together(found)
        self.order = self._ordered()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.data["name"])

    @property
    def payload_schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload."""
        found = dict(self.data.get("payload") or {})
        found.setdefault("type", "object")
        return found

    def wrong(self, message: str, *path: str | int) -> WrongDefinition:
        """Return an error that names the place."""
        return self.document.wrong(message, *path)

    # Checks

    def _check_shape(self) -> None:
        found, by_place = [], dict[tuple[str | int, ...], list[ValidationError]]()
        for one in Draft202012Validator(SCHEMA).iter_errors(self.document.value):
            by_place.setdefault(tuple(one.absolute_path), []).append(one)
        for errors in by_place.values():
            error = best_match(errors) or errors[0]  # of several about one thing the one that was probably meant
            field = f"`{field_of(error)}`: " if error.absolute_path else ""
            found.append(self.wrong(f"{field}{sentence(error)}", *place_of(error)))
        if found:
            raise WrongDefinition.together(found)

    def _wrong_in(self, key: str) -> list[WrongDefinition]:
        found = []
        for check in (self._check_node, self._check_needs):
            try:
                check(key)
            except WrongDefinition as error:
                found.append(error)
        return found

    def _check_node(self, key: str) -> None:
        """Refuse what means nothing for this kind of node, rather than overlook it."""
        if key in WORDS or not key.strip() or set(key) & set(".}"):
            reason = "`payload` and `item` mean something else in ${…}, and `.` and `}` end a name there."
            raise self.wrong(f"A node cannot be called “{key}”: {reason}", "nodes", key)
        node = self.nodes[key]
        if "limit" in node and "each" not in node:
            raise self.wrong(f"`nodes.{key}.limit` is for a node with `each`.", "nodes", key, "limit")
        kind = next(kind for kind in KINDS if kind in node)
        for name in node:
            if name not in KINDS[kind]:
                raise self.wrong(
                    f"`nodes.{key}.{name}` means nothing for a node with `{kind}`. It takes {', '.join(KINDS[kind])}.",
                    *("nodes", key, name),
                )

    def needs(self, key: str) -> list[tuple[str, str]]:
        """Return what a node waits for: keys and conditions, those of its references included."""
        needs = self.nodes[key].get("needs", [])
        listed = [needs] if isinstance(needs, str) else needs
        found = {
            (need if isinstance(need, str) else need["node"]): (
                "success" if isinstance(need, str) else need.get("when", "success")
            )
            for need in listed
        }
        for other, _ in self._mentioned(self.nodes[key]):
            found.setdefault(other, "success")
        return list(found.items())

    def _mentioned(self, value: Any) -> Iterable[tuple[str, Path]]:
        """Yield the keys of nodes whose results are used in a value, and where."""
        for text, path in texts(value):
            for inner in WHOLE.findall(text):
                head = str(inner).strip().split(".")[0]
                if head not in WORDS:
                    yield head, path

    def _check_needs(self, key: str) -> None:
        mentioned = dict(self._mentioned(self.nodes[key]))
        for other, _ in self.needs(key):
            if other not in self.nodes:
                others = [name for name in self.nodes if name != key]
                hint = similar(other, others) if others else ""
                path = mentioned.get(other, ("needs",))
                raise self.wrong(f"Node “{key}” needs “{other}”, which does not exist.{hint}", "nodes", key, *path)

    def _ordered(self) -> list[str]:
        """Return the keys so that what is needed comes first."""
        found: list[str] = []
        state: dict[str, int] = {}
        for start in self.nodes:
            stack = [(start, iter(self.needs(start)))] if start not in state else []
            state.setdefault(start, 1)
            while stack:
                key, rest = stack[-1]
                other = next(rest, None)
                if other is None:
                    stack.pop()
                    state[key] = 2
                    found.append(key)
                elif state.get(other[0]) == 1:
                    path = [entry[0] for entry in stack]
                    circle = [*path[path.index(other[0]) :], other[0]]
                    raise self.wrong(str(Cycle(circle[::-1])), "nodes", key, "needs")
                elif other[0] not in state:
                    state[other[0]] = 1
                    stack.append((other[0], iter(self.needs(other[0]))))
        return found

    # Building

    def build(self, payload: Mapping[str, Any] | None = None) -> Workflow:
        """Return the workflow for a payload; raise WrongPayload or WrongDefinition."""
        payload = self.filled(payload or {})
        workflow = Workflow(
            name=self.name,
            external=self.data.get("external", ()),
            handled_failures=self.data.get("handled_failures", "failure"),
        )
        if "max_processing_time" in self.data:
            workflow.set_max_processing_time(self.data["max_processing_time"])
        Builder(self, workflow, payload).build()
        return workflow

    def check(self) -> None:
        """Find all that is wrong: unknown tasks, references and arguments; raise WrongDefinition, which says every one."""
        example = {name: part.get("default") for name, part in self.payload_schema.get("properties", {}).items()}
        workflow = Workflow(name=self.name, external=self.data.get("external", ()))
        builder = Builder(self, workflow, example, lenient=True)
        found = [*builder.problems(), *wrong_arguments(self)]
        if found:
            raise WrongDefinition.together(found)
        builder.check()

    def filled(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload with its defaults; raise WrongPayload with an entry for each wrong field."""
        return filled(self.payload_schema, payload)
