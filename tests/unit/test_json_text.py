"""JSON that others wrote: what is nested too deeply is no JSON, and brackets in texts are none."""

from __future__ import annotations

import orjson
import pytest

from pipeline.json_text import DEEPEST, TOO_DEEP, load_json


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_value_may_have_so_many_levels_and_no_more(opens: str, closes: str) -> None:
    levels = DEEPEST // (len(closes))
    text = opens * levels + "1" + closes * levels
    assert load_json(text) == orjson.loads(text)
    for deeper in (f"[{text}]", f'{{"a":{text}}}'.encode()):
        with pytest.raises(orjson.JSONDecodeError, match=TOO_DEEP):
            load_json(deeper)


def test_brackets_in_texts_and_many_of_them_side_by_side_are_no_levels() -> None:
    assert load_json('"' + "[" * 1_000 + '"') == "[" * 1_000
    assert load_json(b"[" + b"[{}]," * 1_000 + b"[]]")[999] == [{}]


def test_what_is_deeper_than_any_stack_is_refused_as_no_json() -> None:
    with pytest.raises(orjson.JSONDecodeError):
        load_json(b"[" * 1_000_000)
