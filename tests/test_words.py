"""The house speaks as its field does: words that a reader would have to look up, and sizes and names of modules."""

import io
import re
import tokenize
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
FOLDERS = ("jobroom", "common")
# What the field or a native speaker says instead.
WORDS = {
    "anew": "again",
    "shall": "must, will",
    "tidings": "signals, news",
    "spared": "saved",
    "hence": "so, therefore",
    "thereby": "so",
    "whoever": "the process, the person, anyone who, no matter who",
    "fares": "is doing",
    "book": "history, database",
    "ended well": "succeeded",
    "ends well": "succeeds",
    "end well": "succeed",
}
_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)
# Files above the size that still have to be parted, and modules named by a gerund, with the reason.
LONGEST = 400
LONG = {
    "biosample/tests/test_services.py": "tests",
    "image/tests/test_gate.py": "one way for each entry",
    "jobroom/jobs/tests/test_recorder.py": "tests",
    "jobroom/jobs/tests/test_result_cache.py": "tests",
    "jobroom/tests/test_failure_mail.py": "tests",
    "jobroom/tests/test_resources.py": "tests",
    "jobroom/workflows/tests/test_steps.py": "tests",
}
GERUNDS = {
    "common/management/commands/check_waiting.py": "the name of a command",
    "jobroom/queues/commands/check_waiting.py": "the name of a command",
    "jobroom/live/routing.py": "the name that Channels' documentation uses",
}


def ours(*suffixes: str) -> list[Path]:
    """Return the files of the package that people read, without tests, migrations and scripts of others."""
    left_out = {"tests", "migrations", "vendor", "__pycache__"}
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    return [path for path in found if not left_out & set(path.parts)]


def said(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a file that people read: of Python names, comments and texts, of others everything."""
    if path.suffix != ".py":
        return list(enumerate(path.read_text().splitlines(), 1))
    with io.StringIO(path.read_text()) as text:
        return [(token.start[0], token.string) for token in tokenize.generate_tokens(text.readline)]


def test_no_word_that_a_reader_must_look_up():
    """In names, comments, docstrings, messages, pages and scripts."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {found[0]!r}, say: {WORDS[found[0].lower()]}"
        for path in ours(".py", ".html", ".js", ".lua", ".txt")
        for line, text in said(path)
        if (found := _WORD.search(text))
    ]
    assert wrong == []


@pytest.mark.parametrize("text", ["Computed anew.", "whoever asks", "It ended well.", "a row of the Book"])
def test_the_check_finds_such_words(text):
    """Whatever the case, and as words of their own."""
    assert _WORD.search(text)
    assert not _WORD.search("renewal bookkeeping henceforth")


def modules() -> list[str]:
    """Return all modules of the checkout by their path."""
    folders = [
        path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "var"
    ]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found if not {"migrations", "build"} & set(path.parts))


def test_no_module_is_long():
    """A module that grows beyond this holds two things; the list of exceptions only becomes shorter."""
    long = {name for name in modules() if len((ROOT / name).read_text().splitlines()) > LONGEST}
    assert long - set(LONG) == set()
    assert set(LONG) - long == set(), "these are short enough now: take them off the list"


def test_no_module_is_named_by_a_gerund():
    """A module's name says what it holds."""
    assert {name for name in modules() if name.endswith("ing.py")} == set(GERUNDS)
