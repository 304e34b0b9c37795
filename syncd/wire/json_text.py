"""JSON text, judged before anything is built of it: how much it holds and how deep it nests (docs/faults.md 74)."""

from __future__ import annotations

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = b"[{"


def holds_more_than(most_values: int, text: bytes) -> bool:
    """Whether the text has more values than that. Exact, and quick where the answer is plainly no."""
    return _separators(text) > most_values and _separators(_between_strings(text, most_values)) > most_values


def nests_deeper_than(deepest: int, text: bytes) -> bool:
    """Whether some value of the text stands inside more than so many others."""
    if text.count(b"[") + text.count(b"{") <= deepest:
        return False
    depth = 0
    for bracket in _between_strings(text, len(text)).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > deepest:
            return True
    return False


def _separators(text: bytes) -> int:
    """As many values as the text can hold, or more: commas and brackets within its strings count too."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _between_strings(text: bytes, most_values: int) -> bytes:
    """The text without its strings; all of it where it has more strings than so many values can have."""
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text if bare.count(b'"') > 4 * (most_values + 1) else b"".join(bare.split(b'"')[::2])
