"""What people call tasks: pages show the title first, and the dotted name small beside it where there is room."""

import functools
import re
from typing import Any

from celery import current_app

# A name that Celery or a programmer made; any other is for people already.
_IDENTIFIER = re.compile(r"[\w.]+")


def title_of(task: Any) -> str:
    """Return what people call the task: its own `title`, or its name in words: "Send invoice" for `shop.tasks.send_invoice`."""
    own = getattr(task, "title", None)
    return str(own) if own else _in_words(task.name)


@functools.lru_cache(maxsize=4096)  # a page asks for the same few a hundred times
def _in_words(name: str) -> str:
    words = name.rpartition(".")[2].replace("_", " ").strip() if _IDENTIFIER.fullmatch(name) else ""
    return words[:1].upper() + words[1:] if words else name


def title(name: str) -> str:
    """Return the title of the task of that name; the name of one that this process does not know, as it is."""
    task = current_app.tasks.get(name)
    return title_of(task) if task is not None else name


def containing(word: str) -> list[str]:
    """Return the names of the known tasks whose title contains a word, in either case."""
    wanted = word.casefold()
    return [name for name, task in current_app.tasks.items() if wanted in title_of(task).casefold()]


def with_title(words: str) -> list[str]:
    """Return the names of the known tasks whose title is `words` to the letter: `wait` may be the name of another task."""
    return [name for name, task in current_app.tasks.items() if title_of(task) == words]
