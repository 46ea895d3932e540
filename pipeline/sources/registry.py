"""The contract of a source parser, and how parsers are found.

A parser turns the files of one system into batches of facts. It decides nothing about the number:
who is ours, what is excluded and what matches is the engine's business. Third parties add parsers
through the entry-point group ``bypassflow.sources``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.errors import ConfigurationError, UnknownFormat

if TYPE_CHECKING:
    from pipeline.identifiers import Identifiers

ENTRY_POINT_GROUP = "bypassflow.sources"
# What a run leaves beside the files that it reads.
_OWN_NAME = "bypassflow.toml"
_OWN_SUFFIXES = (".duckdb", ".duckdb.wal", ".key")


def is_own_name(name: str) -> bool:
    """Return whether a file is by its name bypassflow's own: settings, a key or a store. Nobody reads those."""
    return name == _OWN_NAME or name.endswith(_OWN_SUFFIXES)


# Modules with SOURCE or SOURCES. The order is that of lists shown to people; recognition goes by confidence.
_BUILT_IN: Final = (
    "pipeline.sources.asterisk_cdr",
    "pipeline.sources.asterisk_cel",
    "pipeline.sources.asterisk_queue_log",
    "pipeline.sources.freeswitch_json",
    "pipeline.sources.freeswitch_csv",
    "pipeline.sources.fusionpbx",
    "pipeline.sources.cisco_cucm",
    "pipeline.sources.threecx",
    "pipeline.sources.threecx_legs",
    "pipeline.sources.yeastar",
    "pipeline.sources.avaya_ip_office",
    "pipeline.sources.operator_itemisation",
    "pipeline.sources.mailbox",
    "pipeline.sources.graph_mail",
    "pipeline.sources.gmail",
    "pipeline.sources.exchange_tracking",
    "pipeline.sources.exchange_trace",
    "pipeline.sources.postfix",
    "pipeline.sources.salesforce",
    "pipeline.sources.hubspot",
    "pipeline.sources.dynamics",
    "pipeline.sources.pipedrive",
    "pipeline.sources.zoho",
    "pipeline.sources.suitecrm",
    "pipeline.sources.espocrm",
    "pipeline.sources.odoo",
    "pipeline.sources.teams",
    "pipeline.sources.twilio",
    "pipeline.sources.genesys",
    "pipeline.sources.amazon_connect",
    "pipeline.sources.intercom",
    "pipeline.sources.meta",
    "pipeline.sources.zendesk",
    "pipeline.sources.freshdesk",
    "pipeline.sources.freshdesk_export",
    "pipeline.sources.canonical",
    "pipeline.sources.directory",
)
# Parsers whose files belong to one system though their names begin differently, or whose names have two words.
_FAMILIES: Final = {
    "mbox": "mail", "maildir": "mail", "eml": "mail", "graph_mail": "exchange", "fusionpbx": "freeswitch",
    "amazon_connect": "amazon_connect", "avaya_ip_office": "avaya",
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """What a parser sees of a path before it is asked to read it.

    `head` holds the first 64 KiB after decompression (empty for a directory); `entries` the first
    names in a directory, sorted (empty for a file).
    """

    path: Path
    head: bytes
    is_directory: bool = False
    entries: Sequence[str] = ()


@dataclass(frozen=True)
class Recognition:
    """A parser's claim on a path: `confidence` 0-1 and the evidence in words."""

    confidence: float
    evidence: str


@dataclass(frozen=True)
class Format:
    """One form in which a system writes its files: what a parser takes from it, and what that was verified on.

    `ignored` is what stands there and is passed over. `verified_on` names the records or the documentation.
    """

    name: str
    read: str
    ignored: str
    verified: Literal["records", "documentation"]
    verified_on: str


@dataclass(frozen=True)
class DeadLetter:
    """A record that cannot be used: where it stands, why, and its text with identifiers masked."""

    raw_id: str
    source: str
    file: str
    position: int
    unit: Literal["line", "byte", "record"]
    reason: str
    raw_text: str
    is_raw_event: bool = True


@dataclass(frozen=True)
class Batch:
    """Facts read from one stretch of one path.

    `record_count` counts every record met in the stretch, used or not: for a source of raw events
    it equals the observations plus the dead letters, one each. `byte_count` is how far the stretch
    moved in the file as stored (for progress).
    """

    facts: Mapping[str, pa.Table]
    record_count: int
    byte_count: int = 0
    dead_letters: Sequence[DeadLetter] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class ReadContext:
    """What a parser may know while it reads.

    `file` is the name under which the path is recorded (relative to the source's root).
    `read_at` bounds the future: a record dated more than a day later is a dead letter. `zone_is_given`: the source's
    own time zone is configured, and not just the company's.
    """

    source: str
    file: str
    zone: ZoneInfo
    identifiers: Identifiers
    read_at: datetime
    mapping: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    zone_is_given: bool = False

    def raw_id(self, position: int | str) -> str:
        """Return the identity of the raw event at a position of this file; "7#2" is a part of what stands at 7."""
        return f"{self.source}:{self.file}:{position}"


class Source(Protocol):
    """One system's parser. `carries` says which facts it yields; `description` feeds the docs."""

    name: str
    title: str
    description: str
    carries: frozenset[str]

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on the path when its content is this system's, else None."""
        ...

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts, in the order of the file, in bounded memory.

        Raises:
            ConfigurationError: when the mapping does not fit the file.
            InvalidRecord: when the file as a whole cannot be read on (a truncated archive).
        """
        ...


class DocumentedSource(Source, Protocol):
    """A parser that says what it does with each format, as those that are built in do.

    `lies` are sentences on where the system writes what is not so, and what the parser makes of it.
    """

    formats: Sequence[Format]
    lies: Sequence[str]


@dataclass(frozen=True)
class Recognised:
    """The parser whose claim on a path is the strongest."""

    source: Source
    recognition: Recognition


def sources() -> list[Source]:
    """Return all parsers: the built-in ones, then those of other distributions by name.

    Raises:
        ConfigurationError: when a parser of another distribution cannot be loaded, or takes a name that is taken.
    """
    return list(_sources())


def by_name(name: str) -> Source:
    """Return the parser of a name.

    Raises:
        ConfigurationError: when there is none; with the nearest name and all of them.
    """
    known = {source.name: source for source in _sources()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(f"unknown format {name!r}{hint}; known are {', '.join(known)}")


def family(source: Source) -> str:
    """Return the name of the system that a parser's files come from; files of one family are one source by default."""
    return _FAMILIES.get(source.name, source.name.split("_", 1)[0])


def recognise(sample: Sample) -> Recognised:
    """Return the strongest claim on a path; of equal ones the parser's that is listed first.

    Raises:
        UnknownFormat: when nobody claims the path; with what was tried.
    """
    claims = [
        Recognised(source, recognition)
        for source in _sources()
        if (recognition := source.recognise(sample)) is not None and recognition.confidence > 0
    ]
    if not claims:
        raise UnknownFormat(f"no parser recognises it; tried {', '.join(source.name for source in _sources())}")
    return max(claims, key=lambda claim: claim.recognition.confidence)


@cache
def _sources() -> tuple[Source, ...]:
    found: dict[str, Source] = {}
    for module in _BUILT_IN:
        for source in _exported(import_module(module)):
            found[source.name] = source
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        for source in _loaded(entry):
            if source.name in found:
                raise ConfigurationError(f"parser {entry.value!r} takes the name {source.name!r}, which is taken")
            found[source.name] = source
    return tuple(found.values())


def _exported(module: Any) -> tuple[Source, ...]:
    many: tuple[Source, ...] | None = getattr(module, "SOURCES", None)
    return many if many is not None else (module.SOURCE,)


def _loaded(entry: EntryPoint) -> tuple[Source, ...]:
    """Return what an entry point names: a parser, or several."""
    try:
        thing = entry.load()
    except Exception as error:  # anything may go wrong in foreign code; the user must learn which package it is
        raise ConfigurationError(
            f"parser {entry.value!r} cannot be loaded ({type(error).__name__}: {error}); mend or remove its package"
        ) from error
    found = tuple(thing) if isinstance(thing, (tuple, list)) else (thing,)
    for source in found:
        if not all(hasattr(source, part) for part in ("name", "title", "description", "carries", "recognise", "read")):
            raise ConfigurationError(f"parser {entry.value!r} is no source: see pipeline.sources.registry.Source")
    return found
