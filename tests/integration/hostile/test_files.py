"""Files that were made to take memory or time: each is refused in a sentence, or read at the pace of any other."""

from __future__ import annotations

import gzip
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.errors import InvalidRecord
from pipeline.sources.json_records import LARGEST_RECORD, JsonForm, json_records
from pipeline.sources.reading import csv_records, head, lines
from pipeline.sources.registry import Sample, by_name, sources
from pipeline.sources.unpacking import MOST_GROWTH, UNSUSPECTED_SIZE
from tests.fuzz import seeds
from tests.parsing import context, letters

# Far more than any of these takes: quadratic time took minutes to hours. Unit: seconds.
PATIENCE = 60
MEBIBYTE = 1 << 20


@contextmanager
def bounded(mebibytes: int = 200) -> Iterator[None]:
    """Fail what takes minutes, or so much memory more than was ever taken before."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {PATIENCE} seconds")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown < mebibytes, f"{grown} MiB"


def gzip_bomb(path: Path, piece: bytes) -> None:
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(2 * UNSUSPECTED_SIZE // len(piece)):
            stream.write(piece)


def zstd_bomb(path: Path, piece: bytes) -> None:
    with path.open("wb") as stream, zstandard.ZstdCompressor().stream_writer(stream) as packed:
        for _ in range(2 * UNSUSPECTED_SIZE // len(piece)):
            packed.write(piece)


@pytest.mark.parametrize("piece", [b"\0" * MEBIBYTE, b"a,b,c\n" * 174_000], ids=["one line", "lines"])
@pytest.mark.parametrize("pack", [gzip_bomb, zstd_bomb])
def test_an_archive_that_grows_without_end_is_refused(
    tmp_path: Path, pack: Callable[[Path, bytes], None], piece: bytes
) -> None:
    path = tmp_path / "bomb"
    pack(path, piece)
    assert path.stat().st_size * MOST_GROWTH < UNSUSPECTED_SIZE * 2
    with bounded(600), pytest.raises(InvalidRecord, match="more than 250 times what it is long"):
        for _ in lines(path):
            pass


def test_an_archive_that_grows_as_logs_do_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"the same line again\n" * 500_000))
    assert sum(1 for _ in lines(path)) == 500_000


@pytest.mark.parametrize(
    ("form", "wrapper"),
    [
        (JsonForm("record", ""), b'{"a":"%s"}'),
        (JsonForm("record", "item"), b'[{"a":"%s"}]'),
        (JsonForm("record", "item"), b'[{"a":1},{"%s":1}]'),
        (JsonForm("record", "value"), b'{"value":[{"a":"%s"}]}'),
        (JsonForm("record", "value"), b'{"before":"%s","value":[{"a":1}]}'),
    ],
)
def test_a_record_without_end_in_a_document_is_refused(tmp_path: Path, form: JsonForm, wrapper: bytes) -> None:
    path = tmp_path / "calls.json"
    path.write_bytes(wrapper % (b"x" * 4 * LARGEST_RECORD))
    with bounded(400), pytest.raises(InvalidRecord, match="a record or value of more than 16 MiB"):
        list(json_records(path, form))


def test_a_document_of_many_records_may_be_larger_than_any_record(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_bytes(b"[" + b",".join([b'{"a":"' + b"x" * MEBIBYTE + b'"}'] * 40) + b"]")
    assert path.stat().st_size > 2 * LARGEST_RECORD
    assert sum(1 for record in json_records(path, JsonForm("record", "item")) if record.problem is None) == 40


def test_quotation_marks_that_never_close_cost_time_in_proportion(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_bytes(b"a,b\n" + b'x","\n' * 50_000)
    with bounded():
        found = list(csv_records(path))
    assert len(found) == 50_001
    assert all(record.problem for record in found[1:])


def test_records_over_many_lines_are_found_behind_marks_that_never_close(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    long = b'1,"' + b"line\n" * 15 + b'"\n'
    path.write_bytes(b"a,b\n" + b'x","\n' * 100 + b'",\n' + long * 100)
    good = [record for record in csv_records(path) if record.problem is None]
    assert len(good) >= 99


@pytest.mark.parametrize("piece", [b"(", b"[", b"a,", b"x ", b'"', b',"', b"<", b"From ", b"1.", b"=?utf-8?Q?a?= "])
def test_a_first_line_of_one_sign_is_judged_by_every_parser_at_once(tmp_path: Path, piece: bytes) -> None:
    path = tmp_path / "strange"
    path.write_bytes(piece * (70_000 // len(piece)) + b"\n")
    sample = Sample(path, head(path))
    with bounded():
        for source in sources():
            source.recognise(sample)


@pytest.mark.parametrize("piece", [b"(", b" ", b"1 ", b"a@", b"<", b"-", b"'", b":", b"1;"])
@pytest.mark.parametrize("format", ["freeswitch_csv", "asterisk_cdr", "exchange_trace", "salesforce", "suitecrm"])
def test_a_cell_of_one_sign_costs_time_in_proportion(tmp_path: Path, format: str, piece: bytes) -> None:
    seed = next(path for path in seeds(format) if path.read_bytes().lstrip()[:1] not in (b"{", b"["))
    header, _, rest = seed.read_bytes().partition(b"\n")
    row = rest.partition(b"\n")[0]
    delimiter = max(b",;\t|", key=header.count)
    cells = row.split(bytes([delimiter]))
    path = tmp_path / seed.name
    with path.open("wb") as stream:
        stream.write(header + b"\n")
        for place in range(len(cells)):
            changed = [*cells[:place], b"x" + piece * (60_000 // len(piece)) + b"y", *cells[place + 1 :]]
            stream.write(bytes([delimiter]).join(changed) + b"\n")
    with bounded():
        read = list(by_name(format).read(path, context(path)))
    assert len(letters(read)) <= sum(batch.record_count for batch in read)


def test_a_comment_that_opens_thousands_of_times_in_a_header_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mail.eml"
    start = b"From: a@b.example\nDate: Mon, 4 Mar 2024 09:00:00 +0200\nMessage-ID: <m@b.example>\nTo: "
    path.write_bytes(start + b"(" * 60_000 + b"\n\nText")
    with bounded():
        read = list(by_name("eml").read(path, context(path)))
    assert sum(batch.record_count for batch in read) == 1


def test_a_parquet_file_whose_one_text_is_that_of_every_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    count = 100_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * MEBIBYTE]))
    lists = pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), texts)
    for column in (texts, lists):
        table = pa.table({"kind": pa.array(["call"] * count).dictionary_encode(), "to": column})
        pq.write_table(table, path, row_group_size=count, compression="zstd")
        assert path.stat().st_size < MEBIBYTE
        with bounded(600), pytest.raises(InvalidRecord, match="hold more than 256 MiB of text"):
            list(by_name("canonical_parquet").read(path, context(path)))
