"""Escapes control characters, so that a text from a stranger stays one line and does nothing to a terminal."""

import re

# C0 but the tab, DEL, C1, what breaks lines, what turns the direction of what follows or cannot be seen, and halves of
# surrogate pairs, which no terminal and no file takes.
_CONTROL = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r"}


def escaped(text: str) -> str:
    """Return `text` with every control character as Python and JSON would write it: `\\n`, `\\x1b`, `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return _SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}")
