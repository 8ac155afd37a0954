"""Checks the calls in a definition against their tasks: names, number and types of the arguments."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from celery import current_app

from jobroom.arguments import Schema, WrongArguments, schema_of
from jobroom.workflows.definitions.parser import Path, WrongDefinition

if TYPE_CHECKING:
    from jobroom.workflows.definitions.recipe import Recipe


def wrong_arguments(recipe: "Recipe") -> list[WrongDefinition]:
    """Return what is wrong with the arguments of every node and handler whose task is known here.

    What stands in ${…} is known only later: it counts as given, and its type is not looked at.
    """
    calls: list[tuple[Path, Mapping[str, Any]]] = [(("nodes", key), node) for key, node in recipe.nodes.items()]
    calls += [((name,), recipe.data[name]) for name in ("on_failure", "finally") if name in recipe.data]
    found = []
    for path, call in calls:
        task = current_app.tasks.get(call.get("task", ""))
        if task is None or str(call["task"]).startswith("celery."):
            continue
        for text, place in _Call(schema_of(task), call).problems():
            found.append(recipe.wrong(f"`{'.'.join(map(str, (*path, *place)))}`: {text}", *path, *place))
    return found


_ITEM_FIRST = ": the item of `each` is the first argument, unless ${item} stands where it belongs"


class _Call:
    """One call of a task."""

    def __init__(self, schema: Schema, call: Mapping[str, Any]) -> None:
        self.schema = schema
        self.kwargs: dict[str, Any] = dict(call.get("kwargs", {}))
        self.args: list[Any] = list(call.get("args", []))
        # Of a fan-out the item comes first, unless the arguments say where it goes.
        self.item = "each" in call and "${item}" not in json.dumps([self.args, self.kwargs])
        if self.item:
            self.args.insert(0, "${item}")

    def problems(self) -> Iterator[tuple[str, Path]]:
        """Yield what is wrong, and where in the call."""
        if self.schema.takes_more:
            return  # whatever is given, it takes
        try:
            named = self.schema.bind(self.args, {})
        except WrongArguments:
            names = [parameter.name for parameter in self.schema.parameters]
            takes = f"The task takes {len(names)} argument{'' if len(names) == 1 else 's'} ({', '.join(names)})"
            yield f"{takes}, here are {len(self.args)}{_ITEM_FIRST if self.item else ''}.", ("args",)
            return
        places: dict[str, Path] = {name: ("args", at - self.item) for at, name in enumerate(named)}
        for name in named.keys() & self.kwargs.keys():
            by_item = self.item and name == next(iter(named))
            yield f"“{name}” is given {f'already{_ITEM_FIRST}' if by_item else 'in `args` already'}.", ("kwargs", name)
        places |= {name: ("kwargs", name) for name in self.kwargs if name not in named}
        given = {**self.kwargs, **named}
        yield from self._wrong(given, places)

    def _wrong(self, given: Mapping[str, Any], places: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
        later = {name for name, value in given.items() if "${" in json.dumps(value, default=str)}
        known = {parameter.name for parameter in self.schema.parameters}
        try:
            self.schema.validate({name: value for name, value in given.items() if name not in later & known})
        except WrongArguments as wrong:
            for name, texts in wrong.errors.items():
                if name not in later or name not in known:
                    yield from ((_named(name, text, places), places.get(name, ("task",))) for text in texts)


def _named(name: str, text: str, places: Mapping[str, Path]) -> str:
    return text if name in places else f"“{name}”: {text}"
