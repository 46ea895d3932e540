"""JSON that others wrote, read so that nothing behind it meets a value nested deeper than any system nests."""

from __future__ import annotations

from typing import Any, Final

import orjson

# No system nests its records deeper. Python's own stack ends at some hundred levels, and what walks or writes a value
# that is nested deeper fails there: orjson reads four times as deep as it writes.
DEEPEST: Final = 100
TOO_DEEP: Final = f"nested more than {DEEPEST} levels deep"


def load_json(text: bytes | str) -> Any:
    """Return what a text says.

    Raises:
        orjson.JSONDecodeError: when it is no JSON, or nested more than DEEPEST levels deep.
    """
    value = orjson.loads(text)
    if _opening_count(text) > DEEPEST and _is_too_deep(value):
        raise orjson.JSONDecodeError(TOO_DEEP, "", 0)
    return value


def _opening_count(text: bytes | str) -> int:
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")


def _is_too_deep(value: Any) -> bool:
    """Return whether a value has more levels; walked level by level, not by recursion."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            member
            for each in level
            if type(each) in (dict, list)
            for member in (each.values() if type(each) is dict else each)
            if type(member) in (dict, list)
        ]
        if not level:
            return False
    return True
