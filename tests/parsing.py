"""What tests of parsers share: a file read as the run reads it, its facts as rows, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import strategies as st

from pipeline.engine import Engine
from pipeline.errors import ConfigurationError, InvalidRecord, UnknownFormat
from pipeline.identifiers import Identifiers
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, DeadLetter, ReadContext, Sample, Source, recognise
from schemas.settings import EngineSettings
from tests.records import Fact, tables

IDENTIFIERS = Identifiers(b"0123456789abcdef")
READ_AT = datetime(2026, 6, 1, tzinfo=UTC)
SPLINTERS = (b"null", b"[[{", b'"', b"1e9", b"\xff", b"\n", b",", b";", b"-1", b"<")


def context(
    path: Path,
    mapping: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    source: str = "tried",
    zone: str = "Europe/Helsinki",
    read_at: datetime = READ_AT,
) -> ReadContext:
    """Return what a parser may know of a file."""
    return ReadContext(source, path.name, ZoneInfo(zone), IDENTIFIERS, read_at, mapping or {}, options or {})


def batches(
    source: Source, path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    """Return what a parser makes of a file."""
    return list(source.read(path, context(path, mapping, options)))


def recognised(path: Path) -> str:
    """Return the name of the parser whose claim on a path is the strongest."""
    entries = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else ()
    sample = Sample(path, b"", True, entries) if path.is_dir() else Sample(path, head(path))
    return recognise(sample).source.name


def rows(read: Iterable[Batch], kind: str = "observation") -> list[dict[str, Any]]:
    """Return the facts of a kind, in the order of the file."""
    return [row for batch in read for row in batch.facts.get(kind, pa.table({})).to_pylist()]


def letters(read: Iterable[Batch]) -> list[DeadLetter]:
    """Return the dead letters, in the order of the file."""
    return [letter for batch in read for letter in batch.dead_letters]


def interactions(
    read: Iterable[Batch], directory: Iterable[Fact] = (), domains: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Return the interactions that come of batches in a company with this directory and these mail domains."""
    facts: dict[str, list[pa.Table]] = {}
    for batch in read:
        for kind, table in batch.facts.items():
            facts.setdefault(kind, []).append(table)
    own = frozenset(filter(None, (IDENTIFIERS.email(f"anybody@{domain}").domain for domain in domains)))
    engine = Engine(EngineSettings(company_id="demo", own_domains=own))
    engine.fold(tables(directory))
    changes = engine.fold({kind: pa.concat_tables(parts) for kind, parts in facts.items()})
    found: list[dict[str, Any]] = changes.tables["interaction"].to_pylist()
    return found


def phone(number: str) -> str | None:
    """Return the token of a number."""
    return IDENTIFIERS.phone(number).token


def address(email: str) -> str | None:
    """Return the token of an email address."""
    return IDENTIFIERS.email(email).token


def damaged(whole: bytes, data: st.DataObject, splinters: Sequence[bytes] = SPLINTERS) -> bytes:
    """Return a file's bytes with up to six places broken."""
    text = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(text) - 1))
        kept = data.draw(st.sampled_from((place, min(len(text), place + 40))))
        text[place:kept] = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from(tuple(splinters))))
        text = text or bytearray(b"{")
    return bytes(text)


def assert_survives(source: Source, path: Path, events: Sequence[str] = ("observation",)) -> None:
    """Assert that a parser reads a broken file with nothing worse than InvalidRecord, and that its counts add up."""
    read: list[Batch] = []
    with suppress(InvalidRecord, UnknownFormat, ConfigurationError):
        if recognise(Sample(path, head(path))).source is source:
            read.extend(source.read(path, context(path)))
    told = sum(len(rows(read, kind)) for kind in events)
    assert sum(batch.record_count for batch in read) == told + len(letters(read))
