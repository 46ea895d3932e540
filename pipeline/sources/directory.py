"""The directory of representatives and teams, as a CSV file.

Every attribution rests on it, so it is checked as a whole and nothing of it is left out: a row that cannot
be used stops the run, as do two rows that claim the same extension, number or mailbox at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pipeline.columns import DAY, fact_table
from pipeline.customers import Row, directory_entry
from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.canonical_records import explain
from pipeline.sources.column_mapping import ColumnMapping
from pipeline.sources.headers import column_names, first_line, sniff_delimiter
from pipeline.sources.reading import csv_records, head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.written_values import word_key
from schemas.directory import COLUMNS, Representative

# More would hide the first ones; the rest usually has the same cause.
MOST_PROBLEMS: Final = 20

_TELLING: Final = frozenset({"representative_id", "agent_id"})
_REACHED_BY: Final = ("extension", "email", "direct_number", "mobile_number")
_FOREVER: Final = 1 << 62


@dataclass(frozen=True)
class _Entry:
    """A row that can be used; `claims` are what only one row may have at a time, in words and as compared."""

    line: int
    fact: Row
    claims: tuple[tuple[str, str], ...]

    @property
    def begins(self) -> int:
        value = self.fact["valid_from"]
        return value if isinstance(value, int) else -_FOREVER

    @property
    def ends(self) -> int:
        value = self.fact["valid_to"]
        return value if isinstance(value, int) else _FOREVER

    def overlaps(self, other: _Entry) -> bool:
        return self.begins < other.ends and other.begins < self.ends

    def is_same_person(self, other: _Entry) -> bool:
        ours = self.fact["representative_id"]
        return ours is not None and ours == other.fact["representative_id"]


class DirectorySource:
    """A table of representatives, and of the mailboxes, queues and ring groups that teams share."""

    name = "directory"
    title = "Directory of representatives"
    description = (
        "CSV with the columns "
        f"{', '.join(COLUMNS)}; agent_id is accepted for the first. A row with an empty id is a team's shared mailbox, "
        "queue or ring group. function is contact_center or other. valid_from is the first day that counts, valid_to "
        "the first that no longer does; both may be left out. Recognised by its header."
    )
    carries = frozenset({"directory_entry"})
    formats = (
        Format(
            "CSV",
            "all its columns",
            "other columns",
            "records",
            "simulated companies",
        ),
    )
    lies = ()

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table with the columns of a directory."""
        if sample.is_directory:
            return None
        columns = {word_key(name) for name in column_names(sample.head)}
        if columns & _TELLING and {"team"} <= columns and columns & {"function", *_REACHED_BY}:
            return Recognition(0.95, "its columns are those of a directory")
        return None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield the whole directory as one batch.

        Raises:
            ConfigurationError: with every row that cannot be used and every two that cannot both be, by line.
        """
        entries, warnings = _read_entries(path, context)
        problems = [*_double_claims(entries), *_double_memberships(entries)]
        if problems:
            raise _error(context, problems)
        facts = [entry.fact for entry in entries]
        columns = {name: [fact[name] for fact in facts] for name in facts[0]}
        table = fact_table("directory_entry", columns, len(facts))
        warnings = [*warnings, *_gaps(entries, context.file)]
        yield Batch({"directory_entry": table}, len(facts), path.stat().st_size, warnings=tuple(warnings))


def _read_entries(path: Path, context: ReadContext) -> tuple[list[_Entry], list[str]]:
    mapping: ColumnMapping | None = None
    entries: list[_Entry] = []
    problems: list[tuple[int, str]] = []
    has_broken_text = False
    for record in csv_records(path, str(context.options.get("delimiter") or _delimiter(path))):
        if mapping is None:
            mapping = _mapping(record.fields, context)
            continue
        if record.problem:
            problems.append((record.line, record.problem))
            continue
        if not any(field.strip() for field in record.fields):
            continue
        has_broken_text |= "\ufffd" in record.text
        try:
            values = mapping.record(record.fields)
            entries.append(_entry(record.line, Representative.model_validate(values), context))
        except ValidationError as error:
            problems.append((record.line, explain(error)))
        except InvalidRecord as error:
            problems.append((record.line, str(error)))
    if problems:
        raise _error(context, problems)
    if mapping is None or not entries:
        raise ConfigurationError(f"{context.file} names nobody: it has {'no rows' if mapping else 'not even a header'}")
    broken = f"{context.file}: some characters are no UTF-8; save the file as UTF-8, or names will not match"
    return entries, [*mapping.warnings, *([broken] if has_broken_text else [])]


def _delimiter(path: Path) -> str:
    return sniff_delimiter(first_line(head(path, 4096)))


def _mapping(header: Sequence[str], context: ReadContext) -> ColumnMapping:
    names = [word_key(name) for name in header]
    said = {"kind": "representative", **context.mapping}
    if "representative_id" not in (*names, *said):
        if "agent_id" not in names:
            raise ConfigurationError(
                f"{context.file}: no column representative_id; the columns of a directory are {', '.join(COLUMNS)}"
            )
        said["representative_id"] = header[names.index("agent_id")]
    mapping = ColumnMapping(header, said, context.options, context.file)
    taken = {field for index in range(len(header)) for field in mapping.fields_of(index)}
    if not taken & set(_REACHED_BY):
        raise ConfigurationError(
            f"{context.file}: none of the columns {', '.join(_REACHED_BY)} is there; without them nobody is recognised"
        )
    return mapping


def _entry(line: int, row: Representative, context: ReadContext) -> _Entry:
    fact = directory_entry(row, context)
    claims = []
    for name in ("extension", "representative_id"):
        if fact[name] is not None:
            claims.append((f"{name} {fact[name]}", f"endpoint {fact[name]}"))
    if row.email:
        claims.append((f"email {row.email.strip()}", f"email {fact['email_token']}"))
    for name, number in (("direct_number", row.direct_number), ("mobile_number", row.mobile_number)):
        if number:
            token = fact["direct_token" if name == "direct_number" else "mobile_token"]
            claims.append((f"{name} {number.strip()}", f"number {token}"))
    if (
        not row.email
        and not fact["extension"]
        and not row.direct_number
        and not row.mobile_number
        and not row.representative_id
    ):
        raise InvalidRecord("neither an id nor anything to be reached by: extension, email, direct or mobile number")
    return _Entry(line, fact, tuple(claims))


def _double_claims(entries: Sequence[_Entry]) -> Iterator[tuple[int, str]]:
    """Yield what two rows claim at the same time. Rows of one person may share what is theirs."""
    holders: dict[str, list[tuple[_Entry, str]]] = {}
    for entry in entries:
        for words, key in entry.claims:
            for other, other_words in holders.get(key, []):
                if other is not entry and entry.overlaps(other) and not entry.is_same_person(other):
                    also = f" ({other_words} there)" if other_words != words else ""
                    yield (
                        entry.line,
                        f"{words} is also in line {other.line}{also}; give it to one of them, or give both rows "
                        "valid_from and valid_to that do not overlap",
                    )
                    break
            holders.setdefault(key, []).append((entry, words))


def _double_memberships(entries: Sequence[_Entry]) -> Iterator[tuple[int, str]]:
    """Yield people who are in two teams at a time."""
    rows: dict[object, list[_Entry]] = {}
    for entry in entries:
        person = entry.fact["representative_id"]
        if person is None:
            continue
        for other in rows.get(person, []):
            if entry.overlaps(other) and _team(entry) != _team(other):
                yield (
                    entry.line,
                    f"representative {person} is in another team in line {other.line} at the same time; "
                    "give the rows valid_from and valid_to that do not overlap",
                )
                break
        rows.setdefault(person, []).append(entry)


def _gaps(entries: Sequence[_Entry], file: str) -> Iterator[str]:
    """Yield warnings of gaps of one day between two rows: valid_to was taken for the last day that counts."""
    ends: dict[tuple[str, int], int] = {}
    for entry in entries:
        for _, key in entry.claims:
            ends[key, entry.ends] = entry.line
    hour = DAY // 24
    warned: set[tuple[int, int]] = set()
    for entry in entries:
        for _, key in entry.claims:
            # A local day has 23 to 25 hours.
            line = next((ends[key, end] for end in _ends_a_day_before(key, entry.begins, ends, hour)), None)
            if line is not None and (line, entry.line) not in warned:
                warned.add((line, entry.line))
                yield (
                    f"{file}: between lines {line} and {entry.line} one day is nobody's; "
                    "valid_to is the first day that no longer counts"
                )


def _ends_a_day_before(key: str, begins: int, ends: dict[tuple[str, int], int], hour: int) -> Iterator[int]:
    for length in (23 * hour, 24 * hour, 25 * hour):
        if (key, begins - length) in ends:
            yield begins - length


def _team(entry: _Entry) -> tuple[object, object]:
    return entry.fact["team"], entry.fact["function"]


def _error(context: ReadContext, problems: Iterable[tuple[int, str]]) -> ConfigurationError:
    found = sorted(problems)
    sentences = [f"{context.file}, line {line}: {problem}" for line, problem in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        sentences.append(f"{context.file}: and {len(found) - MOST_PROBLEMS} more")
    return ConfigurationError("\n".join(sentences))


SOURCE: Final = DirectorySource()
