"""A value that is nested without end, in any field of any JSON format: a dead letter or a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.reading import head
from pipeline.sources.registry import Sample, by_name, sources
from tests.fuzz import seeds
from tests.parsing import context, letters

_VALUE = re.compile(rb':\s*("[^"]*"|\d+|null|true)')
_MOST_VALUES = 20


def json_seeds() -> list[tuple[str, Path]]:
    return [
        (source.name, path)
        for source in sources()
        for path in seeds(source.name)
        if path.read_bytes().lstrip()[:1] in (b"{", b"[")
    ]


@pytest.mark.parametrize("levels", [95, 990])
@pytest.mark.parametrize(("format", "seed"), json_seeds(), ids=lambda value: getattr(value, "name", value))
def test_a_value_that_is_nested_deeply_fails_no_parser(tmp_path: Path, format: str, seed: Path, levels: int) -> None:
    whole = seed.read_bytes()
    path = tmp_path / seed.name
    for value in list(_VALUE.finditer(whole))[:_MOST_VALUES]:
        path.write_bytes(whole[: value.start(1)] + b"[" * levels + b"]" * levels + whole[value.end(1) :])
        sample = Sample(path, head(path))
        for source in sources():
            source.recognise(sample)
        try:
            read = list(by_name(format).read(path, context(path)))
        except (InvalidRecord, ConfigurationError):
            continue
        assert len(letters(read)) <= sum(batch.record_count for batch in read)
