"""A first `bypassflow.toml` from what lies in a folder.

What can be known from the files is filled in, with the reason beside it; what is guessed says so; what only
people know stands as a comment. The text is what an administrator reads first, so it explains itself.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import phonenumbers

from pipeline.errors import InvalidRecord
from pipeline.identifiers import is_public_mail_domain
from pipeline.sources.column_mapping import required_fields
from pipeline.sources.discovery import Input, Survey, Unknown
from pipeline.sources.headers import first_line, sniff_delimiter
from pipeline.sources.reading import csv_records, head, split_fields
from pipeline.sources.written_values import word_key

DIRECTORY_FORMAT: Final = "directory"

# Names of columns, as people and systems write them, by kind of record and field; compared without case and blanks.
_COLUMN_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "call": {
        "started_at": "started_at start start_time started call_time calldate alku alkoi aloitusaika starttid beginn",
        "talk_seconds": "talk_seconds talk talk_time billsec billable_seconds puheaika samtalstid gesprächsdauer",
        "duration_seconds": "duration_seconds duration seconds length kesto varaktighet dauer",
        "direction": "direction way call_type type suunta riktning richtung",
        "from": "from caller caller_number calling_number a_number source_number src soittaja a_numero anrufer",
        "to": "to called called_number callee callee_number b_number destination dst vastaanottaja b_numero",
        "customer": "customer customer_number phone_number number external_number puhelinnumero numero nummer",
        "representative": "representative agent agent_id user extension employee alaliittymä käyttäjä edustaja",
        "queue": "queue queue_name jono ring_group",
        "call_id": "call_id callid session_id linkedid conversation_id",
    },
    "contact": {
        "contact_id": "contact_id contactid id customer_id customer asiakasnumero",
        "account_id": "account_id accountid company_id organisation_id organization_id",
        "phones": "phones phone phone_number mobile mobile_phone telephone puhelin matkapuhelin telefon",
        "emails": "emails email e_mail email_address sähköposti epost",
    },
    "activity": {
        "activity_id": "activity_id id entry entry_id task_id",
        "activity_kind": "activity_kind kind type activity_type laji tyyppi",
        "logged_at": "logged_at created created_at created_date createddate logged luotu skapad",
        "owner_id": "owner_id owner by created_by user agent representative tekijä omistaja",
        "contact_ids": "contact_ids contact_id contact customer customer_id asiakas",
    },
}  # fmt: skip

_GUESSED: Final = "# GUESSED"
_DATE_WORDS: Final = frozenset(("date", "day", "päivä", "päivämäärä", "pvm", "datum"))
_TIME_WORDS: Final = frozenset(("time", "clock", "aika", "klo", "tid", "zeit", "uhrzeit"))


@dataclass(frozen=True)
class Proposal:
    """The text of a configuration, with how many tables' columns were guessed, and how many files are not read yet."""

    text: str
    guessed_count: int
    unread_count: int


@dataclass(frozen=True)
class Company:
    """What the files tell about the company; null where they tell nothing."""

    name: str
    domains: Sequence[str] = ()
    region: str | None = None
    directory: str | None = None


def describe_company(name: str, inputs: Iterable[Input]) -> Company:
    """Return what the directory among the inputs tells about the company; `name` is its name until somebody knows."""
    directory = next((item for item in inputs if item.parser.name == DIRECTORY_FORMAT), None)
    if directory is None:
        return Company(name)
    columns = _columns(directory.path)
    return Company(
        name=name,
        domains=_domains(columns.get("email", ())),
        region=_region([*columns.get("direct_number", ()), *columns.get("mobile_number", ())]),
        directory=directory.file,
    )


def propose(survey: Survey, company: Company, timezone: str) -> Proposal:
    """Return a configuration for what was found; it is valid as it stands."""
    lines = [
        "# Written by `bypassflow init` after a look at the files here. Change what is not right; a line that begins",
        "# with # counts for nothing. `bypassflow check .` shows what would be read.",
        "",
        *_company_lines(company, timezone),
        "",
        *_SETTINGS,
        "",
        "# ---- What was found ----",
        "# Files are recognised by their content, also those that come later. A [[source]] gives a system its name,",
        "# its time zone and its columns. Logs of one system share a name; two systems never do.",
    ]
    for source in _sources(survey):
        lines += ["", *source]
    guesses = [_unknown_lines(unknown) for unknown in survey.unknown]
    for guess in guesses:
        lines += ["", *guess]
    guessed_count = sum(guess[0].startswith(_GUESSED) for guess in guesses)
    return Proposal("\n".join(lines) + "\n", guessed_count, len(guesses) - guessed_count)


def _company_lines(company: Company, timezone: str) -> list[str]:
    domains = ", ".join(_text(domain) for domain in company.domains)
    return [
        "[company]",
        f"name = {_text(company.name)}",
        _line(f"domains = [{domains}]", "our own mail domains", "from the directory" if domains else "fill in"),
        _line(
            f"region = {_text(company.region or 'FI')}",
            "country of numbers that are written without a country code",
            "from the directory" if company.region else "a guess",
        ),
        _line(f"timezone = {_text(timezone)}", "of logs that name no zone, and of reports", "check it"),
        _line(f"directory = {_text(company.directory)}", "who works in which team")
        if company.directory
        else '# directory = "directory.csv"      # who works in which team; without it nobody\'s team is known',
        '# outside_prefixes = ["0"]         # digits that are dialled to get an outside line',
        "# public_numbers = []              # our numbers that are in no row of the directory: the switchboard",
        "# never_log = []                   # numbers, addresses and domains that must never be counted",
    ]


_SETTINGS: Final = (
    "# ---- Settings, with the values they have anyway ----",
    "# [match]",
    '# before = "15min"                        # a trace may be logged so long before an interaction begins,',
    '# same_representative_after = "72h"       # and after it ends, by somebody who took part,',
    '# other_representative_after = "30min"    # by anybody else,',
    '# inferred_after = "1h"                   # and when the CRM does not know the party',
    "# [exclude]",
    "# too_short_seconds = 5                   # calls with less talk are no interactions",
    "# bulk_recipients = 20                    # nor are emails to more external recipients",
    "# [crm]",
    "# complete_through = 2024-05-31           # when the CRM export is complete to a later day than its last change",
    "# [privacy]",
    '# identifiers = "masked"                  # "clear" keeps customers\' numbers and addresses in the store',
)


def _sources(survey: Survey) -> Iterable[list[str]]:
    """Yield one table for each folder that holds one system alone, and for each other file."""
    inputs = [item for item in survey.inputs if item.parser.name != DIRECTORY_FORMAT]
    others = [item.file for item in survey.inputs if item.parser.name == DIRECTORY_FORMAT]
    others += [item.file for item in survey.unknown]
    owners: dict[str, set[str]] = {}
    for item in inputs:
        owners.setdefault(_top(item.file), set()).add(item.source)
    shared = {_top(file) for file in others}
    folders: dict[str, list[Input]] = {}
    for item in inputs:
        top = _top(item.file)
        is_alone = top and len(owners[top]) == 1 and top not in shared
        folders.setdefault(top if is_alone else item.file, []).append(item)
    for path, members in folders.items():
        titles = Counter(member.parser.title for member in members)
        lines = [
            f"# {title}" + (f", {count} of them" if count > 1 else "") + f": {_evidence(members, title)}"
            for title, count in titles.items()
        ]
        yield [*lines, "[[source]]", f"name = {_text(members[0].source)}", f"path = {_text(path)}"]


def _evidence(members: Sequence[Input], title: str) -> str:
    return next(member.evidence for member in members if member.parser.title == title)


def _top(file: str) -> str:
    """Return the first folder of a recorded name; empty for a file that lies in none."""
    parts = PurePosixPath(file).parts
    return parts[0] if len(parts) > 1 else ""


def _unknown_lines(unknown: Unknown) -> list[str]:
    columns = _header(unknown.path)
    if not columns:
        return [f"# NOT READ: {unknown.file}: {unknown.reason}".replace("\n", " ")]
    kind, mapping = guess_mapping(columns)
    table = [
        "[[source]]",
        f"name = {_text('calls' if kind == 'call' else 'crm')}",
        f"path = {_text(unknown.file)}",
        'format = "canonical_csv"',
        "[source.mapping]",
        f'kind = "={kind}"',
        *(f"{field} = {_text(column)}" for field, column in mapping.items()),
    ]
    if is_complete(kind, mapping):
        return [f"{_GUESSED} from the names of the columns, check it: {', '.join(columns)}", *table]
    missing = sorted(required_fields(kind) - mapping.keys() - {"kind"})
    table += [f'{field} = "?"' for field in missing]
    return [
        f"# NOT READ YET: {unknown.file}, with the columns {', '.join(columns)}.",
        "# Complete the mapping and take the marks away:",
        *(f"# {line}" for line in table),
    ]


def is_complete(kind: str, mapping: Mapping[str, str]) -> bool:
    """Return whether a mapping says all that a record of its kind needs."""
    fields = mapping.keys()
    if kind == "call":
        has_talk, has_party = fields & {"talk_seconds", "answered_at", "status"}, fields & {"from", "to", "customer"}
        return "started_at" in fields and bool(has_talk) and bool(has_party)
    if kind == "activity":
        return required_fields(kind) | {"logged_at"} <= fields
    return required_fields(kind) <= fields and len(fields) > 1


def guess_mapping(columns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the kind of record that the columns of a table suit best, and which field each column may be.

    >>> guess_mapping(["Start", "Duration", "Caller", "Called"])[0]
    'call'
    """
    best: tuple[str, dict[str, str]] = ("call", {})
    for kind, fields in _COLUMN_WORDS.items():
        mapping: dict[str, str] = {}
        for field, words in fields.items():
            wanted = words.split()
            fits = [column for column in columns if word_key(column) in wanted and column not in mapping.values()]
            if fits:
                mapping[field] = min(fits, key=lambda column: wanted.index(word_key(column)))
        clock = {"call": "started_at", "activity": "logged_at"}.get(kind)
        if clock and clock not in mapping:
            parts = [_first(columns, words) for words in (_DATE_WORDS, _TIME_WORDS)]
            mapping |= {clock: "+".join(part for part in parts if part)} if parts[0] else {}
        if len(mapping) > len(best[1]):
            best = (kind, mapping)
    return best


def _first(columns: Sequence[str], words: frozenset[str]) -> str | None:
    return next((column for column in columns if word_key(column) in words), None)


def _header(path: Path) -> list[str]:
    """Return the names of a table's columns; none when it does not look like a table with a header."""
    if not path.is_file():
        return []
    first = first_line(head(path, 4096))
    columns = [column.strip() for column in split_fields(first, sniff_delimiter(first))[0]]
    is_header = len(columns) > 1 and all(column and not any(map(str.isdigit, column)) for column in columns)
    return columns if is_header and not set("\0@") & set(first) else []


def _columns(path: Path) -> dict[str, list[str]]:
    """Return the directory's values by column; what cannot be read is left to the check of the directory."""
    header: list[str] | None = None
    columns: dict[str, list[str]] = {}
    try:
        for record in csv_records(path, sniff_delimiter(first_line(head(path, 4096)))):
            if header is None:
                header = [word_key(name) for name in record.fields]
            elif not record.problem:
                for name, value in zip(header, record.fields, strict=False):
                    columns.setdefault(name, []).append(value.strip())
    except (InvalidRecord, OSError, csv.Error):
        return {}
    return columns


def _domains(addresses: Iterable[str]) -> list[str]:
    """Return the domains of our mailboxes, the most frequent first, without public mail services."""
    counts = Counter(address.rpartition("@")[2].casefold() for address in addresses if "@" in address)
    return [domain for domain, _ in counts.most_common() if "." in domain and not is_public_mail_domain(domain)]


def _region(numbers: Iterable[str]) -> str | None:
    """Return the country that most of our international numbers belong to."""
    counts: Counter[str] = Counter()
    for number in numbers:
        if number.startswith(("+", "00")):
            try:
                parsed = phonenumbers.parse("+" + number.lstrip("+0"), None)
            except phonenumbers.NumberParseException:
                continue
            region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
            if region not in ("ZZ", "001"):
                counts[region] += 1
    return counts.most_common(1)[0][0] if counts else None


def _line(setting: str, meaning: str, origin: str = "") -> str:
    comment = f"# {meaning}{f'; {origin}' if origin else ''}"
    return f"{setting:<34} {comment}"


def _text(value: str | None) -> str:
    """Return a TOML string."""
    escaped = (value or "").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(letter):04x}" if ord(letter) < 32 else letter for letter in escaped) + '"'
