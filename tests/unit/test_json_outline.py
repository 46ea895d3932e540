"""The first record of a JSON file, seen through a window that may be too small for it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm

DOCUMENTS, LIST, PAGE = JsonForm("record"), JsonForm("record", "item"), JsonForm("record", "calls")


@pytest.mark.parametrize(
    ("start", "form", "members"),
    [
        (b'{"id": 1, "legs": [{"id": 2}], "who": {"id": 3}}', DOCUMENTS, {"id": 1, "legs": [], "who": {}}),
        (b'{"open": true, "name": null}', DOCUMENTS, {"open": True, "name": None}),
        (b'{"id": 1}\n{"id": 2, "x": 1}', JsonForm("line"), {"id": 1}),
        (b'[{"id": 1, "legs": [[{"id": 2}]]}, {"x": 1}]', LIST, {"id": 1, "legs": []}),
        (b'{"page": {"calls": 0}, "calls": [{"id": 1}, {"id": 2}]}', PAGE, {"id": 1}),
        (b'{"calls": [{"id": 1, "text": "cut o', PAGE, {"id": 1}),
        (b'{"calls": [], "others": [{"id": 1}]}', PAGE, {}),
        (b'{"others": [{"calls": [{"id": 1}]}]}', PAGE, {}),
        (b"[7, {}]", LIST, {}),
        (b"[" * 500, LIST, {}),
        (b'{"id": 1, "deep": ' + b"[" * 500, DOCUMENTS, {"id": 1, "deep": []}),
        (b"no JSON", DOCUMENTS, {}),
        (b"", DOCUMENTS, {}),
    ],
)  # fmt: skip
def test_members_are_told_as_far_as_the_text_goes(start: bytes, form: JsonForm, members: dict[str, Any]) -> None:
    assert first_members(start, form) == members
