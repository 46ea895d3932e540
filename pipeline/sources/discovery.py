"""Which files there are, what each is, and under which source's name it is read.

Discovery reads beginnings only and writes nothing. It is strict on purpose: a file that is passed over in
silence would be interactions that nobody counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipeline.configuration import FILE_NAME
from pipeline.errors import ConfigurationError, UnknownFormat
from pipeline.sources.appearance import describe
from pipeline.sources.directory import SOURCE as DIRECTORY
from pipeline.sources.folders import DEEPEST_FOLDER, above_pattern, has_control, look_around, matches_of, size_below
from pipeline.sources.reading import HEAD_SIZE, head
from pipeline.sources.registry import (
    Recognised,
    Recognition,
    Sample,
    Source,
    by_name,
    family,
    is_own_name,
    recognise,
    sources,
)
from schemas.settings import Configuration, SourceSettings

MOST_LISTED: Final = 20
# A claim on a directory by its structure needs no second look; one by a share of its files does.
CERTAIN: Final = 0.98

_STORE_MAGIC: Final = b"DUCK"


@dataclass(frozen=True)
class Input:
    """One path to be read: a file, or a directory that a parser reads as a whole.

    `file` is the name under which it is recorded; `source` the system that it belongs to; `evidence` says in
    words why this parser reads it. `size_bytes` is as stored, of all files for a directory.
    """

    path: Path
    file: str
    source: str
    parser: Source
    zone: ZoneInfo
    size_bytes: int
    evidence: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    zone_is_given: bool = False


@dataclass(frozen=True)
class Unknown:
    """A file that is not read, and why."""

    path: Path
    file: str
    reason: str


@dataclass(frozen=True)
class Survey:
    """What was found: what will be read, in the order of sources and names, and what nobody can read."""

    inputs: Sequence[Input]
    unknown: Sequence[Unknown]


def discover(
    paths: Sequence[Path],
    configuration: Configuration | None = None,
    base: Path | None = None,
    skip_unknown: bool = False,
) -> list[Input]:
    """Return what is to be read.

    `paths` are files and directories; none means all that the configuration names. `base` is the directory
    that the configuration's paths and the recorded names are relative to.

    Raises:
        UnknownFormat: when nobody can read a file and `skip_unknown` is not given; with every such file.
        ConfigurationError: when a path is missing, a [[source]] matches nothing, or nothing is left to be read.
    """
    found = survey(paths, configuration, base)
    if found.unknown and not skip_unknown:
        raise unknown_format(found.unknown)
    if not found.inputs:
        raise ConfigurationError(
            f"nothing to read in {_listed([str(path) for path in paths] or ['the configuration'])}"
        )
    return list(found.inputs)


def unknown_format(unknown: Sequence[Unknown]) -> UnknownFormat:
    """Return the error that names files which nobody can read, and the remedies."""
    lines = [f"{item.file}: {item.reason}" for item in unknown[:MOST_LISTED]]
    if len(unknown) > MOST_LISTED:
        lines.append(f"and {len(unknown) - MOST_LISTED} more")
    lines.append(f"tried: {', '.join(source.name for source in sources())}")
    lines.append(
        'name the format in a [[source]] of bypassflow.toml (a table of calls: format = "canonical_csv" with a '
        "mapping), move the file away, or go on without it: --skip-unknown"
    )
    return UnknownFormat("\n".join(lines))


def survey(paths: Sequence[Path], configuration: Configuration | None = None, base: Path | None = None) -> Survey:
    """Return what can be read and what cannot, without stopping at the latter. Arguments and errors as `discover`."""
    return _Surveyor(paths, configuration or Configuration(), base).survey()


@dataclass(frozen=True)
class _Rule:
    """How a [[source]] of the configuration reads a path; the default rule recognises everything."""

    source: str | None
    parser: Source | None
    zone: ZoneInfo
    mapping: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    zone_is_given: bool = False


class _Surveyor:
    def __init__(self, paths: Sequence[Path], configuration: Configuration, base: Path | None) -> None:
        self._configuration = configuration
        self._given = [_absolute(path) for path in paths]
        self._base = _absolute(base) if base is not None else _common_root(self._given)
        self._default = _Rule(None, None, ZoneInfo(configuration.company.timezone))
        self._secrets = {_absolute(self._base / name) for name in configuration.privacy.secret_files}
        self._rules: dict[Path, _Rule] = {}
        # Whatever is named by its own name may be anywhere. A link that is met may lead to what lies below these alone:
        # who may write into a folder must not choose what else is read.
        self._named: set[Path] = set(self._given)
        self._roots = [os.path.realpath(path) for path in (*self._given, self._base)]
        self._above_rules: set[Path] = set()
        self._seen: set[str] = set()
        self._inputs: list[Input] = []
        self._unknown: list[Unknown] = []

    def survey(self) -> Survey:
        for path in self._given:
            if not path.exists():
                raise ConfigurationError(f"{path} does not exist; check the spelling, or that the disk is mounted")
        for path in self._read_rules():
            self._visit(path)
        for path in self._given or ([] if self._configuration.source else [self._base]):
            self._visit(path)
        self._check_directories()
        inputs = sorted(self._inputs, key=lambda item: (item.source, item.file))
        return Survey(tuple(inputs), tuple(sorted(self._unknown, key=lambda item: item.file)))

    # What the configuration names

    def _read_rules(self) -> list[Path]:
        """Keep the rules of the configuration; return the paths among them that were asked for."""
        patterns: list[tuple[Path, _Rule, str]] = []
        exact: list[tuple[Path, _Rule, str]] = []
        is_all_wanted = self._is_wanted(self._base)
        for number, entry in enumerate(self._configuration.source, start=1):
            name = f"[[source]] number {number}"
            rule = self._rule(entry, name)
            whole = _absolute(self._base / entry.path)
            if whole.exists():
                exact.append((whole, rule, name))
                self._named.add(whole)
                self._roots.append(os.path.realpath(whole))
                continue
            self._roots.append(os.path.realpath(above_pattern(whole)))
            matches = matches_of(whole)
            patterns.extend((path, rule, name) for path in matches)
            if not matches and is_all_wanted:
                raise ConfigurationError(
                    f"{name}: {entry.path!r} matches nothing in {self._base}; paths are relative to {FILE_NAME} and "
                    "may be a file, a directory or a pattern such as 'pbx/*.csv'"
                )
        directory = self._directory_path()
        names: dict[Path, str] = {}
        for group in (exact, patterns):
            taken = dict(names)  # a path by its name goes before patterns
            for path, rule, name in group:
                if path in taken:
                    continue
                if names.setdefault(path, name) != name:
                    raise ConfigurationError(f"{path} is named by {names[path]} and by {name}; keep one of them")
                self._rules[path] = rule
        if directory is not None:
            self._named.add(directory)
            self._rules.setdefault(directory, _Rule(DIRECTORY.name, DIRECTORY, self._default.zone))
        self._above_rules = {parent for path in self._rules for parent in path.parents}
        # The directory is needed for every attribution, whatever part of the files was asked for.
        return [path for path in self._rules if is_all_wanted or path == directory or self._is_wanted(path)]

    def _directory_path(self) -> Path | None:
        name = self._configuration.company.directory
        if name is None:
            return None
        path = _absolute(self._base / name)
        if not path.is_file():
            raise ConfigurationError(
                f"company.directory: {name!r} is no file in {self._base}; the path is relative to {FILE_NAME}"
            )
        return path

    def _rule(self, entry: SourceSettings, name: str) -> _Rule:
        parser: Source | None = None
        if entry.format is not None:
            try:
                parser = by_name(entry.format)
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}: {error}") from None
        zone = ZoneInfo(entry.timezone) if entry.timezone is not None else self._default.zone
        return _Rule(entry.name, parser, zone, entry.mapping, entry.options, entry.timezone is not None)

    def _is_wanted(self, path: Path) -> bool:
        """Return whether a path lies in what was asked for; without a wish everything does."""
        return not self._given or any(path == given or given in path.parents for given in self._given)

    def _rule_of(self, path: Path) -> _Rule:
        """Return the rule of the path or of the nearest directory above it that has one."""
        for place in (path, *path.parents):
            if place in self._rules:
                return self._rules[place]
        return self._default

    # Walking

    def _visit(self, path: Path, depth: int = 0) -> None:
        real = os.path.realpath(path)
        if real in self._seen:
            return
        if path not in self._named and not self._is_below(real):
            self._refuse(path, _OUTSIDE)
            return
        if path not in self._named and has_control(path.name):
            self._refuse(path.with_name(path.name.encode("unicode_escape").decode()), "control characters in its name")
            return
        self._seen.add(real)
        if path.is_dir():
            if depth > DEEPEST_FOLDER:
                self._refuse(path, f"more than {DEEPEST_FOLDER} folders deep; move what is to be read further up")
            else:
                self._visit_directory(path, depth)
        elif not path.is_file():
            self._refuse(path, "neither a file nor a directory")
        elif not self._is_ours(path):
            self._visit_file(path)

    def _is_below(self, real: str) -> bool:
        """Return whether a path without links lies in what was named."""
        return any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots)

    def _visit_directory(self, path: Path, depth: int) -> None:
        try:
            names = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be listed: {error.strerror}") from None
        rule = self._rule_of(path)
        claim = self._directory_claim(path, names, rule)
        if claim is not None:
            self._add(path, claim, rule, size_below(path))
            return
        for name in names:
            self._visit(path / name, depth + 1)

    def _directory_claim(self, path: Path, names: Sequence[str], rule: _Rule) -> Recognised | None:
        """Return who reads a directory as a whole, if anybody does."""
        if FILE_NAME in names or path in self._above_rules:
            return None
        sample = Sample(path, b"", True, names[:1000])
        if rule.parser is not None:
            recognition = rule.parser.recognise(sample)
            return Recognised(rule.parser, recognition) if recognition is not None else None
        try:
            claim = recognise(sample)
        except UnknownFormat:
            return None
        if claim.recognition.confidence < CERTAIN and self._holds_others(path, family(claim.source)):
            return None
        return claim

    def _holds_others(self, path: Path, claimant: str) -> bool:
        """Return whether a directory that was claimed by a share of its files holds files of another system too."""
        for file in look_around(path):
            if not file.is_file() or self._is_ours(file):
                continue
            try:
                if family(recognise(_sample(file)).source) != claimant:
                    return True
            except (UnknownFormat, OSError):
                continue
        return False

    def _is_ours(self, path: Path) -> bool:
        """Return whether a file is bypassflow's own: settings, key, list of the forgotten or store."""
        if path in self._secrets or is_own_name(path.name):
            return True
        try:
            with path.open("rb") as stream:
                return stream.read(12)[8:] == _STORE_MAGIC
        except OSError:
            return False

    def _visit_file(self, path: Path) -> None:
        rule = self._rule_of(path)
        size = path.stat().st_size
        try:
            sample = _sample(path)
            if not sample.head:
                self._refuse(path, _EMPTY if size == 0 else _UNREADABLE)
                return
            self._add(path, self._recognised(sample, rule), rule, size)
        except OSError as error:
            self._refuse(path, f"cannot be opened: {error.strerror}; give this user the right to read it")
        except UnknownFormat:
            self._refuse(path, f"{describe(sample.head)}; no parser recognises it")

    def _recognised(self, sample: Sample, rule: _Rule) -> Recognised:
        """Return who reads a file. A mapping with a kind says that it holds canonical records."""
        if rule.parser is not None:
            recognition = rule.parser.recognise(sample)
            return Recognised(rule.parser, recognition or _CONFIGURED)
        if "kind" not in rule.mapping:
            return recognise(sample)
        name = "canonical_csv"
        if sample.head.startswith(b"PAR1"):
            name = "canonical_parquet"
        elif sample.head.lstrip().startswith((b"{", b"[")):
            name = "canonical_jsonl"
        return Recognised(by_name(name), _MAPPED)

    def _add(self, path: Path, claim: Recognised, rule: _Rule, size: int) -> None:
        self._inputs.append(
            Input(
                path=path,
                file=self._recorded_name(path),
                source=rule.source or family(claim.source),
                parser=claim.source,
                zone=rule.zone,
                size_bytes=size,
                evidence=claim.recognition.evidence,
                mapping=rule.mapping,
                options=rule.options,
                zone_is_given=rule.zone_is_given,
            )
        )

    def _refuse(self, path: Path, reason: str) -> None:
        self._unknown.append(Unknown(path, self._recorded_name(path), reason))

    def _recorded_name(self, path: Path) -> str:
        """Return the name under which a path is recorded. Relative to one base, no two paths share a name."""
        return os.path.relpath(path, self._base).replace(os.sep, "/")

    def _check_directories(self) -> None:
        """Two directories at once would contradict each other: the configuration names the one that counts."""
        found = [item for item in self._inputs if item.parser is DIRECTORY]
        chosen = self._directory_path()
        strays = [item for item in found if item.path != chosen and self._rule_of(item.path).parser is None]
        if chosen is not None:
            self._inputs = [item for item in self._inputs if item not in strays]
            for item in strays:
                self._refuse(item.path, f"a second directory; company.directory names {self._recorded_name(chosen)}")
        elif len(found) > 1:
            raise ConfigurationError(
                f"several directories of representatives: {_listed([item.file for item in found])}; "
                "name the one that counts in company.directory"
            )


_CONFIGURED: Final = Recognition(1.0, "the configuration names the format")
_MAPPED: Final = Recognition(1.0, "the configuration maps its columns")
_EMPTY: Final = "empty (0 bytes); export it again, or remove it"
_OUTSIDE: Final = (
    "a link to something outside of all that was named; copy it here, or name it in a [[source]] of bypassflow.toml"
)
_UNREADABLE: Final = "nothing can be read from it: the archive is damaged or cut off; copy it again"


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _common_root(paths: Sequence[Path]) -> Path:
    """Return the directory that recorded names are relative to when no configuration says it."""
    if not paths:
        raise ConfigurationError("nothing to read: give files or directories")
    return Path(os.path.commonpath([path if path.is_dir() else path.parent for path in paths]))


def _sample(path: Path) -> Sample:
    return Sample(path, head(path, HEAD_SIZE))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_LISTED])
    return shown if len(names) <= MOST_LISTED else f"{shown} and {len(names) - MOST_LISTED} more"
