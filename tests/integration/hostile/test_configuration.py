"""A configuration that was made to harm, or that somebody else had a hand in: refused in a sentence with its place."""

from __future__ import annotations

import pytest

from pipeline.configuration import load
from pipeline.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 20_000, "nested too deeply"),
        ("a = " + "[" * 20_000 + "]" * 20_000, "nested too deeply"),
        ("a = " + "{a=" * 5_000 + "1" + "}" * 5_000, "nested too deeply"),
        ('[company]\nname = "' + "x" * 2_000_000 + '"', "letters"),
        ('[[source]]\npath = "calls\\u0000.csv"', "a zero character"),
        ('[company]\nname = "A\0"', "not valid TOML"),
    ],
    ids=["open lists", "lists", "tables", "long", "zero written", "zero"],
)
def test_a_text_that_nobody_would_write_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load(text, "bypassflow.toml")


@pytest.mark.parametrize(
    "text",
    [
        '[company]\nid = "../../other"',
        '[company]\nid = "a/b"',
        '[company]\ntimezone = "../../../../etc/passwd"',
        '[company]\ntimezone = "/etc/localtime"',
        '[company]\nregion = "../"',
        '[[source]]\nname = "../pbx"\npath = "calls.csv"',
        '[[source]]\nname = "pbx; DROP TABLE interaction"\npath = "calls.csv"',
        '[[receiver]]\nkind = "webhook"\nsource = "a"\npath = "/../hook"\nformat = "twilio"\nsecret_env = "a b"',
    ],
)
def test_a_name_that_would_be_a_path_or_a_program_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"bypassflow.toml, line \d+: "):
        load(text, "bypassflow.toml")
