"""The house speaks as its field does: words that a reader would have to look up, and sizes and names of modules."""

import functools
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PRODUCT = ("jobroom", "common")
OTHERS = ("assets", "bench", "biosample", "demo", "docs", "image", "ontology", "tests", "text")
# What the field or a native speaker says instead.
WORDS = {
    "anew": "again",
    "shall": "must, will",
    "told": "reported, notified, published, asked to",
    "nobody": "no one",
    "somebody": "someone",
    "everybody": "everyone",
    "anybody": "anyone",
    "teller": "reporter",
    "reckon": "compute",
    "reckoned": "computed",
    "reckons": "computes",
    "nought": "zero",
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
# Sentences that pages and logs had, and that an operator would not search for.
PHRASES = {
    "asked for its end": "cancelled, a cancel was requested",
    r"begun \d+ times": "attempt 3",
    "jobs at work": "running jobs",
    "sent nowhere": "failed to publish",
    "could not be told on": "could not be published",
    "waits for the database": "the database is unavailable",
    "did not end well": "did not succeed",
    "job of it in the": "no jobs yet",
    # One can tell whether, and tell two apart; what one process lets another know has a word of its own.
    r"(?<!can )(?<!cannot )(?<!short to )\btell(?:s|ing)?\b(?!.* apart)": "reports, says, shows, notifies, records",
}
_PHRASE = re.compile("|".join(f"({phrase})" for phrase in PHRASES), re.IGNORECASE)
# Words that are right in a sentence, and wrong as a part of a name. A dead letter is the field's term.
NAMES = {"letter": "node_state, message", "letters": "node_states, messages"}
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# What a database has stored under such a word: to change it would change the rows.
STORED = {
    "jobroom/notifications",
    "jobroom/tasks/failure_mail.py",
    "jobroom/jobs/count_models.py",
    "tests/acceptance/test_failure_mail.py",
}
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


def ours(folders: Iterable[str], *suffixes: str) -> list[Path]:
    """Return the files below the folders that people read, without migrations and scripts of others."""
    left_out = {"migrations", "vendor", "__pycache__"}
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    return [path for path in found if not left_out & set(path.parts) and path != Path(__file__)]


def said(path: Path, *, data: bool = True) -> list[tuple[int, str]]:
    """Return the lines of a file that people read: of Python names, comments and texts, of others everything.

    Without `data` of texts only those in three quotes: a short one in a test may be any person's words.
    """
    if path.suffix != ".py":
        return list(enumerate(path.read_text().splitlines(), 1))
    whole = path.read_text()
    if not is_suspected(whole):
        return []  # to part it into tokens takes a hundred times as long
    with io.StringIO(whole) as text:
        tokens = [(token.start[0], token.string) for token in tokenize.generate_tokens(text.readline)]
    return tokens if data else [(line, one) for line, one in tokens if not re.match(r"\w*[\"'](?!\"\"|'')", one)]


def is_suspected(text: str) -> bool:
    """Return whether any of the words stands anywhere in a file, as a part of longer words too; else nothing is wrong with it."""
    lower = text.lower()
    return any(word in lower for word in {*WORDS, *NAMES}) or bool(_PHRASE.search(text))


@functools.cache
def objections(text: str) -> list[str]:
    """Return what is wrong with a comment, a sentence or a name."""
    found = [f"{one!r}, say: {WORDS[one.lower()]}" for one in _WORD.findall(text)]
    found += [f"{one[0]!r}, say: {PHRASES[list(PHRASES)[(one.lastindex or 1) - 1]]}" for one in _PHRASE.finditer(text)]
    if text.replace("_", "").isalnum():  # a name
        parts = [part.lower() for part in _PART.findall(re.sub("dead_?letter", "", text, flags=re.IGNORECASE))]
        found += [f"{text}, say: {(WORDS | NAMES)[part]}" for part in parts if part in WORDS | NAMES]
    return found


def test_no_word_that_a_reader_must_look_up():
    """In names, comments, docstrings, messages, pages and scripts."""
    wrong = [
        f"{name}:{line}: {found}"
        for path in ours(PRODUCT, ".py", ".html", ".js", ".lua", ".txt")
        for name in [str(path.relative_to(ROOT))]
        for line, text in said(path, data="tests" not in path.parts)
        for found in objections(text)
        if "nobody" not in found.lower() or not name.startswith(tuple(STORED))
        if "letter" not in found.lower() or "tests" not in path.parts
    ]
    assert wrong == []


def test_nor_in_documentation_tests_benchmarks_and_examples():
    """Names of files too: they are read in lists and in addresses."""
    pages = [*ours(OTHERS, ".py", ".md", ".yaml", ".html"), *ROOT.glob("*.md"), ROOT / "manage.py"]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {found}"
        for path in pages
        for line, text in [(0, path.stem.replace("-", " ")), *said(path, data=False)]
        for found in objections(text)
        if "nobody" not in found.lower() or str(path.relative_to(ROOT)) not in STORED
        if "letter" not in found.lower()
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    [
        "Computed anew.",
        "whoever asks",
        "It ended well.",
        "a row of the Book",
        "was told",
        "is_told_about",
        "It tells the worker.",
        "class Teller",
        "setLetters",
        "letters",
        "Begun 3 times",
        "Jobs at work: 4",
    ],
)
def test_the_check_finds_such_words(text):
    """Whatever the case, as words of their own, and in names as parts of their own."""
    assert objections(text)
    assert is_suspected(f"x\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "renewal bookkeeping henceforth",
        "Small letters and digits.",
        "dead_letters",
        "DeadLetterView",
        "No one can tell.",
    ],
)
def test_the_check_leaves_others_alone(text):
    """What only begins so, what is right English, and what the field says."""
    assert objections(text) == []


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


def test_pages_without_rows_say_so_with_one_tag():
    """`{% empty_state %}`; the page of an error 500 alone is made without tags, which may be what broke."""
    written = [
        str(path.relative_to(ROOT))
        for path in ours((*PRODUCT, *OTHERS, "templates"), ".html")
        if 'class="empty"' in path.read_text()
    ]
    assert written == ["templates/500.html"]
