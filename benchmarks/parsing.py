"""How fast each parser reads, as a ratio to reading the same bytes with the standard library's reader.

python -m benchmarks.parsing                         the parsers that are measured
python -m benchmarks.parsing FORMAT MEGABYTES        one of them; prints JSON

The files of tests/corpus are repeated until there are so many bytes: records, shapes and lengths are those of the
format, but the same customers come again and again, so what numbers and addresses cost when they are new is left out.
"""

from __future__ import annotations

import csv
import email.parser
import json
import mailbox
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from pipeline.errors import UnknownFormat
from pipeline.identifiers import Identifiers
from pipeline.sources.reading import head
from pipeline.sources.registry import ReadContext, Sample, Source, by_name, recognise, sources

CORPUS: Final = Path(__file__).resolve().parent.parent / "tests" / "corpus"
REPETITIONS: Final = 3
_MOST_HEADER_LINES: Final = 8


@dataclass(frozen=True)
class Grown:
    """A corpus file made long, and how the standard library reads it."""

    path: Path
    reader: str
    read: Callable[[], object]


def formats() -> list[str]:
    """Return the parsers that are measured: not that of folders, which reads what another one reads."""
    names = [source.name for source in sources() if (CORPUS / source.name).is_dir()]
    return [name for name in names if name not in ("maildir", "directory")]


def grow(path: Path, folder: Path, size: int) -> Grown:
    """Return the file repeated to at least so many bytes, in a form that its parser reads."""
    target = folder / path.name
    whole = path.read_bytes()
    times = max(1, size // max(1, len(whole)))
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        with pq.ParquetWriter(target, table.schema) as writer:
            for _ in range(times):
                writer.write_table(table)
        return Grown(target, "pyarrow.parquet", lambda: pq.read_table(target).to_pylist())
    if path.suffix == ".mbox":
        target.write_bytes(whole * times)
        return Grown(target, "mailbox, email.parser", lambda: _read_mbox(target))
    if path.suffix == ".eml":
        target.mkdir()
        for number in range(times):
            (target / f"{number}.eml").write_bytes(whole)
        return Grown(target, "email.parser", lambda: _read_messages(target))
    document = _document(whole)
    if document is not None:
        target.write_text(json.dumps(_repeated(document, times)))
        return Grown(target, "json", lambda: json.loads(target.read_bytes()))
    if _is_json_lines(whole):
        target.write_bytes((whole if whole.endswith(b"\n") else whole + b"\n") * times)
        return Grown(target, "json", lambda: [json.loads(line) for line in target.open("rb")])
    lines = whole.splitlines(keepends=True)
    first = _header_length(path, lines)
    body = b"".join(lines[first:]).rstrip(b"\r\n") + b"\n"
    target.write_bytes(b"".join(lines[:first]) + body * times)
    return Grown(target, "csv", lambda: _read_csv(target))


def measure(name: str, size: int) -> dict[str, Any]:
    """Return for one parser what it read, and seconds of processor time of it and of the reference."""
    source = by_name(name)
    totals: dict[str, Any] = {"bytes": 0, "records": 0, "seconds": 0.0, "reference_seconds": 0.0, "readers": []}
    files = sorted(path for path in (CORPUS / name).rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in enumerate(files):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            grown = grow(path, folder, size // len(files))
            paths = [grown.path] if grown.path.is_file() else list(grown.path.iterdir())
            totals["bytes"] += sum(each.stat().st_size for each in paths)
            totals["records"] += _parse(source, grown.path)
            totals["seconds"] += _typical_seconds(lambda path=grown.path: _parse(source, path))  # type: ignore[misc]
            totals["reference_seconds"] += _typical_seconds(grown.read)
            totals["readers"] = list(dict.fromkeys([*totals["readers"], grown.reader]))
    return totals


def _parse(source: Source, path: Path) -> int:
    identifiers = Identifiers(b"0123456789abcdef")
    context = ReadContext(
        "bench", path.name, ZoneInfo("Europe/Helsinki"), identifiers, datetime(2030, 1, 1, tzinfo=UTC)
    )
    return sum(batch.record_count for batch in source.read(path, context))


def _typical_seconds(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(REPETITIONS):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return median(spent)


def _document(whole: bytes) -> Any:
    """Return the one JSON document that a file is, or None."""
    try:
        return json.loads(whole)
    except ValueError:
        return None


def _repeated(document: Any, times: int) -> Any:
    """Return a document with its longest list of records repeated; a single record becomes a list."""
    if isinstance(document, list):
        return list(chain.from_iterable(repeat(document, times)))
    lists = {name: value for name, value in document.items() if isinstance(value, list) and value}
    records = {name: value for name, value in lists.items() if isinstance(value[0], dict)}
    if records and len(document) <= len(records) + 6:
        name = max(records, key=lambda each: len(json.dumps(records[each])))
        return {**document, name: list(chain.from_iterable(repeat(records[name], times)))}
    return list(repeat(document, times))


def _is_json_lines(whole: bytes) -> bool:
    return all(line.startswith(b"{") for line in whole.splitlines() if line.strip())


def _header_length(path: Path, lines: list[bytes]) -> int:
    """Return how many lines the file is not recognised without: those are not repeated."""
    wanted = by_name(path.relative_to(CORPUS).parts[0])
    for count in range(min(_MOST_HEADER_LINES, len(lines) - 1), 0, -1):
        try:
            rest = recognise(Sample(path, b"".join(lines[count:])))
        except UnknownFormat:
            return count
        if rest.source is not wanted:
            return count
    return 0


def _read_csv(path: Path) -> int:
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        start = stream.read(4096)
        stream.seek(0)
        delimiter = max(",;\t| ", key=start.count)
        return sum(1 for _ in csv.reader(stream, delimiter=delimiter))


def _read_mbox(path: Path) -> int:
    parser = email.parser.BytesHeaderParser()
    box = mailbox.mbox(path, create=False)
    return sum(1 for key in box.iterkeys() if parser.parsebytes(box.get_bytes(key)))


def _read_messages(folder: Path) -> int:
    parser = email.parser.BytesHeaderParser()
    return sum(1 for path in _files(folder) if parser.parsebytes(path.read_bytes()))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if head(path))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print("\n".join(formats()))
    else:
        print(json.dumps(measure(sys.argv[1], int(float(sys.argv[2]) * 1_000_000))))
