"""A file put before every parser: what each says of it, and what the first records would become.

For people who write a parser, or wonder why a file is read as what it is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipeline.errors import BypassflowError, ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.sources.appearance import describe
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, ReadContext, Recognition, Sample, Source, sources

MOST_SHOWN: Final = 3
_ENTRIES: Final = 1_000
# Places and digests say nothing to a reader.
_HIDDEN: Final = frozenset({"raw_id", "source", "record_digest", "key", "other_keys"})


@dataclass(frozen=True)
class Judgement:
    """What one parser says: how sure it is, 0 to 1, and by what evidence; null when it makes no claim."""

    format: str
    title: str
    confidence: float | None
    evidence: str | None


@dataclass(frozen=True)
class Trial:
    """What became of a file: `chosen` is the parser whose claim is the strongest, the others follow in that order.

    Of the first stretch that it reads: records, facts by kind, and how many cannot be used with the first reasons.
    `facts` are the first facts, without places, and with identifiers told but not said. `failure` is why reading ended.
    """

    file: str
    judgements: Sequence[Judgement]
    chosen: str | None
    appearance: str
    record_count: int = 0
    fact_counts: dict[str, int] | None = None
    rejected_count: int = 0
    reasons: Sequence[str] = ()
    facts: Sequence[dict[str, Any]] = ()
    warnings: Sequence[str] = ()
    failure: str | None = None


def try_path(path: Path, identifiers: Identifiers, zone: ZoneInfo, read_at: datetime) -> Trial:
    """Return what all parsers say of a file or directory, and what its beginning becomes.

    Raises:
        ConfigurationError: when there is no such path, or it cannot be read.
    """
    sample = _sample(path)
    claims = [(source, source.recognise(sample)) for source in sources()]
    claims.sort(key=lambda claim: -(claim[1].confidence if claim[1] is not None else -1))
    judgements = [_judgement(source, recognition) for source, recognition in claims]
    appearance = "is a directory" if sample.is_directory else f"seems to be {describe(sample.head)}"
    chosen, recognition = claims[0]
    if recognition is None or recognition.confidence <= 0:
        return Trial(path.name, judgements, None, appearance)
    context = ReadContext(chosen.name, path.name, zone, identifiers, read_at)
    return _read(path, chosen, context, judgements, appearance)


def _sample(path: Path) -> Sample:
    try:
        if path.is_dir():
            names = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
            return Sample(path, b"", True, names[:_ENTRIES])
        return Sample(path, head(path))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _judgement(source: Source, recognition: Recognition | None) -> Judgement:
    if recognition is None:
        return Judgement(source.name, source.title, None, None)
    return Judgement(source.name, source.title, recognition.confidence, recognition.evidence)


def _read(path: Path, source: Source, context: ReadContext, judgements: Sequence[Judgement], appearance: str) -> Trial:
    """Return the trial of the first batch that holds records."""
    batch, failure = Batch({}, 0), None
    try:
        for batch in source.read(path, context):
            if batch.record_count:
                break
    except BypassflowError as error:
        failure = str(error)
    counts = Counter({kind: table.num_rows for kind, table in batch.facts.items() if table.num_rows})
    shown = [
        {"kind": kind, **_shown(row)}
        for kind, table in batch.facts.items()
        for row in table.slice(0, MOST_SHOWN).to_pylist()
    ]
    return Trial(
        path.name, judgements, source.name, appearance, batch.record_count, dict(counts), len(batch.dead_letters),
        [f"{letter.unit} {letter.position}: {letter.reason}" for letter in batch.dead_letters[:MOST_SHOWN]],
        shown, tuple(batch.warnings), failure,
    )  # fmt: skip


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a fact says, without its place; tokens of identifiers stand as "known"."""
    shown = {}
    for name, value in row.items():
        if name in _HIDDEN or value is None or value == []:
            continue
        if name.endswith(("_token", "_domain")):
            shown[name] = "known"
        elif name in ("parties", "tokens", "domains", "keys"):
            shown[name] = f"{len(value)} of them"
        else:
            shown[name] = value
    return shown
