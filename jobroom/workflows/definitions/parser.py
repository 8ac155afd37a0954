"""Parses YAML with positions, so that errors name line and column."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from jobroom.arguments.storable import unstorable
from jobroom.workflows.exceptions import WrongFields

# Longest text of a definition, in characters, and most values in it: names that repeat each other can grow without end.
LONGEST = 1_000_000
MOST_VALUES = 200_000

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place in the text; both numbers begin with 1."""

    line: int
    column: int

    def __str__(self) -> str:
        """Say it as people do."""
        return f"line {self.line}, column {self.column}"


class WrongDefinition(WrongFields):
    """The definition is not right; the message names the place."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        self.place = place
        self.reason = message
        super().__init__({"text": [f"{str(place).capitalize()}: {message}" if place else message]})

    @classmethod
    def together(cls, errors: "Sequence[WrongDefinition]") -> "WrongDefinition":
        """Return one error that says all of them, each a line, in the order of the text."""
        found = {str(error): error for error in errors}
        ordered = sorted(found.values(), key=lambda error: error.order)
        made = cls(ordered[0].reason, ordered[0].place)
        made.errors["text"] = [text for error in ordered for text in error.errors["text"]]
        return made

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands in the text."""
        return (self.place.line, self.place.column) if self.place else (0, 0)

    def __str__(self) -> str:
        """Return its sentences, each a line."""
        return "\n".join(self.errors["text"])


@dataclasses.dataclass(slots=True)
class Document:
    """The values of a text, and where each of them stands."""

    value: Any
    places: dict[Path, Place] = dataclasses.field(default_factory=dict)

    def place(self, *path: str | int) -> Place | None:
        """Return where the value at `path` stands, or the nearest one around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return None

    def wrong(self, message: str, *path: str | int) -> WrongDefinition:
        """Return the error about the value at `path`."""
        return WrongDefinition(message, self.place(*path))


def read(text: str) -> Document:
    """Return the document in a YAML text; raise WrongDefinition, which names the place."""
    if len(text) > LONGEST:
        raise WrongDefinition(f"The text has {len(text)} characters; at most {LONGEST} are read.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"This is no YAML: {error.problem or error}."
        raise WrongDefinition(problem, _place(mark) if mark else None) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        raise WrongDefinition(f"The character U+{error.character:04X} cannot stand in YAML.", place) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise WrongDefinition("This is no YAML: it is nested too deep.") from error
    if root is None:
        raise WrongDefinition("There is nothing in it. A definition has at least `name` and `nodes`.", Place(1, 1))
    document = Document(None)
    document.value = _Values(document).of(root, ())
    return document


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Values:
    """Makes values of the nodes of a YAML text."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.constructor = yaml.SafeLoader("")
        self.count = 0

    def of(self, node: Node, path: Path) -> Any:
        self.document.places.setdefault(path, _place(node.start_mark))
        self.count += 1
        if self.count > MOST_VALUES or len(path) > 100:
            raise WrongDefinition("It grows without end: names (&, *) repeat each other.", _place(node.start_mark))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.of(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(self._scalar(key_node))
            if key in found:
                raise WrongDefinition(f"“{key}” stands here a second time.", _place(key_node.start_mark))
            found[key] = self.of(value_node, (*path, key))
            self.document.places[(*path, key)] = _place(key_node.start_mark)
        return found

    def _scalar(self, node: Node) -> Any:
        place = _place(node.start_mark)
        if not isinstance(node, ScalarNode):
            raise WrongDefinition("A name must be a text.", place)
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value  # JSON knows no dates
        if node.tag == "tag:yaml.org,2002:merge":
            raise WrongDefinition("Merging with `<<` is not known here. Use `defaults`, or write it out.", place)
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag not in self.constructor.yaml_constructors:
            raise WrongDefinition(f"“{node.value}” has a tag that is not known here. Leave it out.", place)
        try:
            value = self.constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise WrongDefinition(
                f"“{node.value[:60]}” cannot be read as {node.tag.rpartition(':')[2]}.", place
            ) from error
        for reason in unstorable({"": value}).get("", ()):
            raise WrongDefinition(reason, place)
        if isinstance(value, bytes):
            raise WrongDefinition("Bytes cannot be written as JSON. Use a text.", place)
        return value
