"""Shortens long texts of jobs: the beginning and the end are kept, with a note of how much is left out."""

from collections.abc import Callable

# Share of the room that the head gets: of errors and tracebacks the end says more.
_HEAD = 0.4
# Room for the words that stand for what is left out.
_MARK = 60
# So many times the limit is looked at when a text is cleaned before it is cut.
_WIDE = 4


def shorten(text: str, limit: int) -> str:
    """Return `text` in at most `limit` characters: head and tail, and between them how many bytes are left out."""
    if len(text) <= limit:
        return text
    room = max(0, limit - _MARK)
    head = int(room * _HEAD)
    tail = len(text) - (room - head)
    left_out = len(text[head:tail].encode("utf-8", "surrogatepass"))
    gap = "\n" if "\n" in text else " "
    return f"{text[:head]}{gap}… {left_out:,} bytes left out …{gap}{text[tail:]}"[: max(limit, _MARK)]


def shorten_clean(text: str, limit: int, clean: Callable[[str], str]) -> str:
    """Return `clean(text)` shortened to `limit`, without cleaning millions of characters that no one will see.

    What is cut before the cleaning lies in the middle, which the last cut takes away: no half of a secret is left.
    """
    return shorten(clean(shorten(text, _WIDE * limit)), limit)
