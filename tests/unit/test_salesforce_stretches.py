"""Reading by columns gives what reading record by record gives: facts, dead letters, counts, reach and warnings."""

from __future__ import annotations

import csv
import io
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.sources import salesforce
from pipeline.sources.registry import ReadContext
from pipeline.sources.salesforce import SOURCE
from pipeline.sources.salesforce_columns import Columns
from pipeline.sources.salesforce_dialect import full_id
from pipeline.sources.salesforce_objects import FIELDS
from pipeline.sources.salesforce_stretches import Found, StretchReader

HELSINKI = ZoneInfo("Europe/Helsinki")
READ_AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
SAMPLES = Path(os.environ.get("BYPASSFLOW_SAMPLES") or Path(__file__).parents[3] / "shared" / "data")

PREFIXES = {"Task": "00T", "Event": "00U", "Contact": "003", "Lead": "00Q", "Account": "001", "User": "005"}
IDS = [full_id(f"{prefix}8a00000A{number:04}") for prefix in ("003", "001", "005") for number in range(3)]
NULLS = ("", "", "", "#N/A", "null", "000000000000000AAA", " ", "\u00a0")
WORDS: Mapping[str, Sequence[str]] = {
    "TaskSubtype": ("Call", "Email", "Task", "List Email", "LinkedIn", " call"),
    "EventSubtype": ("Call", "Event"),
    "CallType": ("Inbound", "outbound", "Internal"),
    "Type": ("Call", "Other", "Puhelin", "Meeting", "Phone call (out)", "x"),
    "Subject": ("Puhelu: tarjous", "Email: Re, offer", "Sähköposti: x", "Recall", 'say "call"', "two\nlines", "a\r\nb"),
    "CallDurationInSeconds": ("0", "61", "0.0"),
    "CallObject": ("1772454000.17", " 1772454000.18 ", "a,b"),
    "MessageIdentifier": ("<a@b.example>", "<>", "<maija@example.com@host>"),
    "Website": ("https://www.firm.example.com/fi", "gmail.com", "x"),
    "Industry": ("Energy", "Retail"),
    "Description": ('He said ""no', "line\nline\n\nline", "", "plain", '"', ",", '","', "\n"),
}
PHONES = ("040 555 1234", "+358405551234", "0405551111", "201", "anonymous", "12", " 09 123 4567")
EMAILS = ("Maija@firm.example", "maija@firm.example", "liisa@gmail.com", "nobody", "a b@c.example")
FLAGS = ("true", "false", "1", "0", "TRUE", "")


class _OneByOne(StretchReader):
    def read(self, data: bytes, first_line: int) -> Found | None:
        return None


class _NeverAble(StretchReader):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.is_able = False


class _Counting(StretchReader):
    counts: list[int] = []  # noqa: RUF012

    def read(self, data: bytes, first_line: int) -> Found | None:
        found = super().read(data, first_line)
        self.counts.append(found.record_count if found else 0)
        return found


def everything(path: Path, reader: type[StretchReader], options: Mapping[str, Any], small: int) -> dict[str, Any]:
    identifiers = Identifiers(b"0123456789abcdef")
    context = ReadContext("crm", path.name, HELSINKI, identifiers, READ_AT, options=options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(salesforce, "StretchReader", reader)
        patch.setattr("pipeline.sources.salesforce_table.SMALL", small)
        patch.setattr("pipeline.sources.salesforce_table._FIRST_STRETCH", 1)
        patch.setattr("pipeline.sources.salesforce_table._STRETCH", 5_000)
        batches = list(SOURCE.read(path, context))
    kinds = sorted({kind for batch in batches for kind in batch.facts})
    return {
        "facts": {
            kind: pa.concat_tables([b.facts[kind] for b in batches if kind in b.facts]).to_pylist() for kind in kinds
        },
        "letters": [letter for batch in batches for letter in batch.dead_letters],
        "records": sum(batch.record_count for batch in batches),
        "bytes": sum(batch.byte_count for batch in batches),
        "warnings": [warning for batch in batches for warning in batch.warnings],
        "identifiers": sorted(tuple(row.values()) for row in identifiers.drain().to_pylist()),
    }


def assert_all_ways_agree(path: Path, options: Mapping[str, Any] | None = None) -> int:
    """Return how many records were read by columns."""
    _Counting.counts.clear()
    by_columns = everything(path, _Counting, options or {}, 200)
    assert by_columns == everything(path, _NeverAble, options or {}, 200)
    assert by_columns == everything(path, _OneByOne, options or {}, 10_000)
    return sum(_Counting.counts)


def moment(chance: random.Random, dialect: str) -> str:
    second = chance.randrange(60)
    day, clock = f"2026-0{chance.randrange(1, 4)}-0{chance.randrange(1, 10)}", f"12:{chance.randrange(10, 60)}"
    return {
        "loader": f"{day}T{clock}:{second:02}.000+0000",
        "weekly": f"{day} {clock}:{second:02}",
        "relational": f"{day}T{clock}:{second:02}{chance.choice(('Z', '+02:00', '.250+02:00'))}",
        "warehouse": f"{day} {clock}:{second:02}.{chance.choice(('000000', '123456'))} UTC",
    }[dialect]


def value(field: str, name: str, number: int, chance: random.Random, dialect: str, oddity: float) -> str:
    if chance.random() < oddity:
        return chance.choice(("x", "2027-01-01T00:00:00Z", "2026-03-02", "2026-03-02 12:30", "1.3.2026", " ", *NULLS))
    if field in ("Id", "Guid"):
        record_id = full_id(f"{PREFIXES[name]}8a0{chance.choice('aBcD')}0{chance.choice('xYz')}A{number:04}")
        return record_id[:15] if dialect == "warehouse" else record_id
    if field.endswith(("Date", "Modstamp", "DateTime")):
        return moment(chance, dialect) if field == "CreatedDate" or chance.random() < 0.7 else ""
    if field.endswith("Id"):
        record_id = chance.choice((*IDS, *NULLS, "6b86b273-ff34-4ce1-9d6b-804eff5a3f57"))
        return record_id[:15] if chance.random() < 0.2 else record_id
    if field.startswith(("Is", "_fivetran")):
        return chance.choice(FLAGS)
    if field in WORDS:
        return chance.choice((*WORDS[field], *NULLS))
    if "mail" in field or field == "Username":
        return chance.choice((*EMAILS, *NULLS))
    return chance.choice((*PHONES, *NULLS))


def export(name: str, dialect: str, seed: int, oddity: float, count: int = 60) -> bytes:
    chance = random.Random(seed)
    fields = [field for field in FIELDS[name] if field != "Guid" and (oddity or field != "_fivetran_active")]
    fields = [field for field in fields if field in ("Id", "CreatedDate") or chance.random() < 0.8]
    fields.insert(chance.randrange(len(fields)), "Description")
    if dialect == "relational":
        fields = ["Guid" if field == "Id" else field for field in fields]
    is_quoted = dialect in ("weekly", "loader")
    end, delimiter = "\r\n" if dialect == "weekly" else "\n", chance.choice(",,;\t")
    buffer = io.StringIO(newline="")
    writer = csv.writer(
        buffer, quoting=csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL, lineterminator=end, delimiter=delimiter
    )
    writer.writerow(fields)
    for number in range(count):
        writer.writerow([value(field, name, number, chance, dialect, oddity) for field in fields])
        if chance.random() < oddity:
            buffer.write(
                chance.choice((end, f"a{delimiter}b{end}", f'"stray{delimiter}{end}', f'a"b"{end}', "  \n", "\r"))
            )
    text = buffer.getvalue()
    return (text if chance.random() < 0.8 else text.rstrip("\r\n")).encode()


@pytest.mark.parametrize("dialect", ["loader", "weekly", "relational", "warehouse"])
@pytest.mark.parametrize("name", sorted(PREFIXES))
def test_plain_exports_of_every_dialect_are_read_by_columns_with_the_same_results(
    tmp_path: Path, name: str, dialect: str
) -> None:
    path = tmp_path / "export.csv"
    options: dict[str, Any] = {"object": name, "phone_fields": ["Description"] if name == "Lead" else []}
    for seed in range(4):
        path.write_bytes(export(name, dialect, seed, oddity=0))

        assert assert_all_ways_agree(path, options) > 20


@pytest.mark.parametrize("dialect", ["loader", "weekly", "relational", "warehouse"])
@pytest.mark.parametrize("name", sorted(PREFIXES))
def test_odd_records_are_read_by_themselves_with_the_same_results(tmp_path: Path, name: str, dialect: str) -> None:
    path = tmp_path / "export.csv"
    for seed in range(6):
        path.write_bytes(export(name, dialect, seed, oddity=(0.001, 0.003, 0.01)[seed % 3]))

        assert_all_ways_agree(path, {"object": name})


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from('0Aä",;\n\r\t\x00\x1c\x85 -:\ufeff'), max_size=30), max_size=12))
def test_any_text_in_any_place_is_read_alike(tmp_path: Path, texts: list[str]) -> None:
    good = f"{full_id('00T8a00000A0001')},Puhelu,2026-03-02T12:00:00Z,Call\n"
    path = tmp_path / "export.csv"
    path.write_bytes(("Id,Subject,CreatedDate,CallObject\n" + "".join(good + text for text in texts) + good).encode())

    assert_all_ways_agree(path, {"object": "Task"})


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from('0Aä",;\n\t\x1c\x85\u3000 -:'), max_size=12), min_size=5, max_size=40))
def test_any_text_in_quoted_fields_is_read_alike(tmp_path: Path, texts: list[str]) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["Id", "Subject", "CreatedDate", "WhoId", "CallObject"])
    for text in texts:
        writer.writerow([full_id("00T8a00000A0001"), text, "2026-03-02T12:00:00Z", text[::-1], text])
    path = tmp_path / "export.csv"
    path.write_bytes(buffer.getvalue().encode())

    assert assert_all_ways_agree(path, {"object": "Task"}) > 0


def shared_exports() -> Iterator[Path]:
    yield from sorted(SAMPLES.glob("salesforce*/**/*.csv*"))


@pytest.mark.parametrize("path", list(shared_exports()) or [None], ids=lambda path: path.name if path else "none")
def test_real_exports_are_read_alike(path: Path | None) -> None:
    if path is None:
        pytest.skip(f"no exports under {SAMPLES}")
    try:
        assert_all_ways_agree(path)
    except ConfigurationError:
        pytest.skip("its object cannot be told")


def test_ids_of_15_characters_are_completed_alike() -> None:
    chance = random.Random(1)
    letters = "0aB9zZkQ"
    ids = ["".join(chance.choice(letters) for _ in range(15)) for _ in range(500)]
    data = "".join(f"{text},x\n" for text in ids).encode()

    columns = Columns(data, 2, ",", {"Id": 0}, ["Id"], HELSINKI)

    assert columns.id("Id").to_pylist() == [full_id(text) for text in ids]
