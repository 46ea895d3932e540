"""What the first record of a JSON file looks like, as far as the part of the file goes that recognition sees.

A conversation with all its messages is often longer than that part, and must be recognised all the same.
"""

from __future__ import annotations

import io
from typing import Any, Final

import ijson

from pipeline.json_text import DEEPEST
from pipeline.sources.json_records import JsonForm

_BROKEN: Final = (ijson.JSONError, ValueError, OverflowError)
_OPENS: Final[dict[str, type[dict[str, Any]] | type[list[Any]]]] = {"start_map": dict, "start_array": list}
_CLOSES: Final = ("end_map", "end_array")


def first_members(start: bytes, form: JsonForm) -> dict[str, Any]:
    """Return the members of the first record, what is nested in them left empty; none when it is no object.

    >>> first_members(b'{"calls": [{"id": 7, "legs": [{"id": 8}, {"i', JsonForm("record", "calls"))
    {'id': 7, 'legs': []}
    """
    level = {"": 0, "item": 1}.get(form.place, 2)
    is_inside, depth, name = level < 2, 0, ""
    members: dict[str, Any] | None = None
    try:
        for event, value in ijson.basic_parse(io.BytesIO(start), use_float=True, multiple_values=True):
            opens, closes = event in _OPENS, event in _CLOSES
            depth -= closes
            if event == "map_key" and depth in (1, level + 1):
                name = value
            elif members is None and is_inside and depth == level and not closes:
                members = {}
                if event != "start_map":
                    break
            elif members is None:
                is_inside = is_inside if level < 2 else depth == 1 and event == "start_array" and name == form.place
            elif depth == level:
                break
            elif depth == level + 1 and not closes:
                members[name] = _OPENS[event]() if opens else value
            depth += opens
            if depth > DEEPEST:
                break
    except _BROKEN:
        pass
    return members or {}
