"""A contract of import-linter: no modules import each other in a circle, imports inside functions included."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from importlinter import Contract, ContractCheck, output


class NoCircles(Contract):
    """No circle of imports among the modules of the root packages; tests and imports for type checkers do not count."""

    type_name = "no_circles"

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Look for one circle."""
        modules = {name for name in graph.modules if ".tests" not in name}
        imports = {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
        circle = list(first_circle(imports))
        return ContractCheck(kept=not circle, metadata={"circle": circle})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the circle."""
        output.print_error(" is imported by ".join(check.metadata["circle"]))


def first_circle(imports: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the modules of a circle, the first one also last; nothing where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        yield from error.args[1]
