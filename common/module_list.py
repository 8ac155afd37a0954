"""The list of all modules of the package with the first line of each docstring, as docs/architecture.md has it."""

import ast
from collections.abc import Iterator
from pathlib import Path

PAGE = "docs/architecture.md"
BEGIN, END = "<!-- modules: written by `manage.py lint --write` -->\n", "<!-- end of modules -->\n"


def modules(folder: Path) -> Iterator[tuple[str, str]]:
    """Return the path of each module of the package below `folder`, and the first line of its docstring."""
    for path in sorted((folder / "jobroom").rglob("*.py"), key=lambda path: (path.parent, path.name)):
        if {"tests", "migrations", "commands"} & set(path.relative_to(folder).parts[:-1]):
            continue
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        if docstring:
            yield str(path.relative_to(folder)), docstring.partition("\n")[0]


def text(folder: Path) -> str:
    """Return the list as Markdown, one section a package."""
    found: list[str] = []
    package = ""
    for path, line in modules(folder):
        parent = str(Path(path).parent)
        if parent != package:
            package = parent
            found += ["", f"**`{package}/`**", ""]
        found.append(f"- `{Path(path).name}`: {line}")
    return "\n".join([*found, "", ""])


def problems(folder: Path) -> list[str]:
    """Return a line when the page does not list what is there, else nothing."""
    page = (folder / PAGE).read_text()
    listed = page.partition(BEGIN)[2].partition(END)[0]
    if listed == text(folder):
        return []
    return [f"{PAGE} does not list the modules as they are: run `python3 manage.py lint --write`"]


def write(folder: Path) -> None:
    """Write the list into the page."""
    path = folder / PAGE
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}{text(folder)}{END}{after}")
