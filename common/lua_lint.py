"""What can be said of our Lua scripts without running them: syntax, names that nothing defines, values that no one uses.

Redis refuses an undefined name only when the line runs, which may be years after it was written.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobroom.lua_scripts import FOLDER, INCLUDE

# What Redis gives a script, and what the loader writes out.
KNOWN = frozenset({
    "ARGV", "KEYS", "CONFIG", "STATE", "redis", "cjson", "math", "string", "table",
    "ipairs", "next", "pairs", "pcall", "tonumber", "tostring", "type", "unpack",
})  # fmt: skip


class _Scope:
    """The local names of a block, each with the line that declares it; what is read of them is struck off `unused`."""

    def __init__(self, outer: "_Scope | None" = None) -> None:
        self.outer = outer
        self.names: set[str] = set()
        self.unused: dict[str, int] = {}

    def declare(self, name: Any, line: int) -> None:
        self.names.add(name.id)
        self.unused[name.id] = line

    def knows(self, name: str) -> bool:
        if name in self.names:
            return True
        return self.outer is not None and self.outer.knows(name)

    def use(self, name: str) -> bool:
        """Note that a name is read; return whether it is there."""
        if name in self.names:
            self.unused.pop(name, None)
            return True
        return self.outer is not None and self.outer.use(name)


class _Reader:
    """Goes through one script and the files that it includes."""

    def __init__(self) -> None:
        self.wrong: list[tuple[int, str]] = []
        self.scope = _Scope()
        self.line = 1

    def read(self, node: Any) -> None:
        """Read a node of the tree, by a method of its kind where names are declared or must not be looked up."""
        if isinstance(node, list):
            for part in node:
                self.read(part)
            return
        self.line = getattr(node, "line", None) or self.line  # the parser knows the line of most nodes
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is not None:
            method(node)
        elif hasattr(node, "to_json"):
            self.read([part for name, part in vars(node).items() if not name.startswith("_")])

    def _inner(self, declared: list[Any], *parts: Any, arguments: bool = False) -> None:
        self.scope = _Scope(self.scope)
        for name in declared:
            if hasattr(name, "id"):
                self.scope.declare(name, self.line)
        if arguments:
            self.scope.unused.clear()  # who calls decides which arguments there are
        for part in parts:
            self.read(part)
        self.close()

    def close(self) -> None:
        """Leave the block; what it declared and did not use is wrong."""
        self.wrong += [
            (line, f"the local {name} is not used") for name, line in self.scope.unused.items() if name != "_"
        ]
        if self.scope.outer is not None:
            self.scope = self.scope.outer

    def _name(self, node: Any) -> None:
        if not self.scope.use(node.id) and node.id not in KNOWN:
            self.wrong.append((self.line, f"nothing defines {node.id}"))

    def _index(self, node: Any) -> None:
        self.read(node.value)
        if node.notation.name != "DOT":
            self.read(node.idx)

    def _field(self, node: Any) -> None:
        if node.between_brackets:
            self.read(node.key)
        self.read(node.value)

    def _invoke(self, node: Any) -> None:
        self.read([node.source, *node.args])

    def _block(self, node: Any) -> None:
        self._inner([], node.body)

    def _repeat(self, node: Any) -> None:
        self._inner([], node.body.body, node.test)  # the condition sees what the block declares

    def _localassign(self, node: Any) -> None:
        line = self.line
        self.read(list(node.values))
        for name in node.targets:
            self.scope.declare(name, line)

    def _assign(self, node: Any) -> None:
        self.read(list(node.values))
        for target in node.targets:
            if not hasattr(target, "id"):
                self.read(target)
            elif not self.scope.knows(target.id):
                self.wrong.append((self.line, f"{target.id} is assigned and not local"))

    def _localfunction(self, node: Any) -> None:
        self.scope.declare(node.name, self.line)
        self._inner(list(node.args), node.body, arguments=True)

    def _anonymousfunction(self, node: Any) -> None:
        self._inner(list(node.args), node.body, arguments=True)

    def _forin(self, node: Any) -> None:
        self.read(list(node.iter))
        self._inner(list(node.targets), node.body)

    def _fornum(self, node: Any) -> None:
        self.read([node.start, node.stop, node.step])
        self._inner([node.target], node.body)


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the scripts below `folder`, a line for each fault."""
    files = sorted(folder.rglob(f"{FOLDER}/*.lua"))
    included = {
        path.parent / f"{name}.lua"
        for path in files
        for line in INCLUDE.findall(path.read_text())
        for name in line.split()
    }
    return [line for path in files for line in problems_of(path, is_part=path in included)]


def problems_of(path: Path, *, is_part: bool = False) -> Iterator[str]:
    """Yield what is wrong with one script; of a file that others include, only whether it can be read."""
    from luaparser import ast  # a tool of development, not there where the site runs

    own = path.read_text()
    parts = [path.with_name(f"{name}.lua") for line in INCLUDE.findall(own) for name in line.split()]
    absent = [part.name for part in parts if not part.exists()]
    if absent:
        yield f"{path}: includes {absent[0]}, which is not there"
        return
    before = "".join(part.read_text() for part in parts)
    try:
        tree = ast.parse(before + own)
    except Exception as error:  # noqa: BLE001 — the parser raises several kinds, all of which say what it did not expect
        yield f"{path}: {error}"
        return
    if is_part:
        return
    reader = _Reader()
    reader.read(tree.body.body)
    reader.close()
    first = before.count("\n")
    # An included file may offer more than one script needs.
    yield from (
        f"{path}:{line - first}: {text}" for line, text in reader.wrong if line > first or "not used" not in text
    )
