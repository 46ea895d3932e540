"""Specification of reading files: packed, cut off, recoded, with lines and quotation marks that never end."""

from __future__ import annotations

import gzip
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InvalidRecord
from pipeline.sources.reading import Block, LongLine, blocks, csv_records, head, lines, open_bytes, split_fields

TEXT = "yksi\nkaksi, ääkköset\nkolme\n"


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "export"
    path.write_bytes(data)
    return path


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def zstd_without_size(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


PACKINGS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, zstd, zstd_without_size]


@pytest.mark.parametrize("pack", PACKINGS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_is_the_same_text_however_it_is_packed_and_encoded(
    tmp_path: Path, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    path = written(tmp_path, pack(TEXT.encode(encoding)))

    with open_bytes(path) as stream:
        assert stream.read().decode() == TEXT
    assert head(path).decode() == TEXT
    assert list(lines(path)) == [(1, "yksi"), (2, "kaksi, ääkköset"), (3, "kolme")]


@pytest.mark.parametrize("pack", PACKINGS)
def test_an_empty_file_has_no_lines(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, pack(b""))

    assert head(path) == b""
    assert list(blocks(path)) == []


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_archives_in_a_row_are_one_text(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, pack(b"a\n") + pack(b"b\n") + bytes(512))

    assert [text for _, text in lines(path)] == ["a", "b"]


@pytest.mark.parametrize(("pack", "word"), [(gzip.compress, "gzip"), (zstd, "zstd"), (zstd_without_size, "zstd")])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_archive_gives_its_whole_lines_and_then_says_so(
    tmp_path: Path, pack: Callable[[bytes], bytes], word: str, share: float
) -> None:
    text = b"".join(b"%d,%d\n" % (n, n * n % 9973) for n in range(60_000))
    packed = pack(text)
    path = written(tmp_path, packed[: int(len(packed) * share)])
    found: list[Block | LongLine] = []

    with pytest.raises(InvalidRecord, match=f"export: the {word} archive ends in the middle.*copy the file again"):
        found.extend(blocks(path, size=4096))

    got = b"".join(block.data for block in found if isinstance(block, Block))
    assert text.startswith(got)
    assert got.endswith(b"\n")
    assert len(got) > len(text) * (share - 0.35)


@pytest.mark.parametrize(("pack", "word"), [(gzip.compress, "gzip"), (zstd, "zstd")])
def test_a_damaged_archive_says_where(tmp_path: Path, pack: Callable[[bytes], bytes], word: str) -> None:
    packed = bytearray(pack(b"".join(b"%d\n" % (n * 7919) for n in range(50_000))))
    packed[len(packed) // 2 : len(packed) // 2 + 64] = bytes(range(64))
    path = written(tmp_path, bytes(packed))

    with pytest.raises(InvalidRecord, match=f"the {word} archive (is damaged near byte|ends in the middle)"):
        list(blocks(path))


def test_head_of_a_truncated_archive_is_what_can_be_read(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(b"%d\n" % n for n in range(100_000)))

    assert head(written(tmp_path, packed[: len(packed) // 2])).startswith(b"0\n1\n2\n")


def test_bytes_that_are_no_text_are_replaced_and_cost_no_line(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\xff\nb\x00c\n\xe2\nd\xc3\xa4\r\n")

    assert list(lines(path)) == [(1, "a\ufffd"), (2, "b\x00c"), (3, "\ufffd"), (4, "dä")]


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b), max_size=40), st.integers(1, 64))
def test_blocks_put_together_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], size: int
) -> None:
    text = b"x" * 16 + b"\n".join(parts)
    path = tmp_path_factory.mktemp("blocks") / "file"
    path.write_bytes(text)
    found = list(blocks(path, size=size, max_line=24))

    line, offset = 1, 0
    for unit in found:
        assert (unit.first_line, unit.offset) == (line, offset)
        if isinstance(unit, LongLine):
            length = unit.length
            assert length > 24
        else:
            length = len(unit.data) if unit.data.isascii() else text.find(b"\n", offset + 1) - offset
            piece = text[offset:]
            count = unit.data.count(b"\n")
            ends = [i for i, byte in enumerate(piece) if byte == 10]
            length = len(piece) if not unit.data.endswith(b"\n") else ends[count - 1] + 1
            assert unit.data == piece[:length].decode("utf-8", "replace").encode()
        line += text[offset : offset + length].count(b"\n")
        offset += length
    assert offset == len(text)


def test_a_line_too_long_is_told_with_its_place_and_the_rest_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"first\n" + b"x" * 5_000 + b"\nlast\n")

    found = list(blocks(path, size=600, max_line=1_000))

    assert [type(unit) for unit in found] == [Block, LongLine, Block]
    long = found[1]
    assert isinstance(long, LongLine)
    assert (long.first_line, long.offset, long.length, long.start) == (2, 6, 5_001, "x" * 2_000)
    assert (found[2].first_line, found[2].offset) == (3, 5_007)


def test_a_line_of_two_hundred_megabytes_is_passed_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.write(b"before,1\n")
        for _ in range(200):
            file.write(b"z" * (1 << 20))
        file.write(b"\nafter,2\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()

    records = list(csv_records(path))

    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert [(r.line, r.fields, r.problem) for r in records] == [
        (1, ["before", "1"], None),
        (2, [], "line of 209,715,201 bytes is too long to be a record"),
        (3, ["after", "2"], None),
    ]
    assert grown < 120
    assert time.perf_counter() - begin < 5


def test_a_record_over_several_lines_has_the_number_of_its_first(tmp_path: Path) -> None:
    path = written(tmp_path, b'id,text,n\n1,"two\nlines, ""quoted""\n",2\n\n3,plain,4\n')

    assert [(r.line, r.fields, r.problem) for r in csv_records(path)] == [
        (1, ["id", "text", "n"], None),
        (2, ["1", 'two\nlines, "quoted"\n', "2"], None),
        (6, ["3", "plain", "4"], None),
    ]


def test_a_record_of_another_width_is_refused_and_reading_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path, b"a,b\n1\n1,2,3\n1,2\n")

    assert [(r.line, r.problem) for r in csv_records(path)] == [
        (1, None),
        (2, "has 1 column, expected 2"),
        (3, "has 3 columns, expected 2"),
        (4, None),
    ]


def test_a_quotation_mark_that_never_closes_costs_its_own_line_alone(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n1,"open\n2,"closed"\n3,4\n5,"open to the end\n6,7\n')

    assert [(r.line, r.fields if r.problem is None else None) for r in csv_records(path)] == [
        (1, ["a", "b"]),
        (2, None),
        (3, ["2", "closed"]),
        (4, ["3", "4"]),
        (5, None),
        (6, ["6", "7"]),
    ]


def test_a_quotation_mark_inside_an_unquoted_field_is_text(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n5" screen,2\n')

    assert [r.fields for r in csv_records(path)][1] == ['5" screen', "2"]


def test_other_delimiters_and_texts_without_quoting(tmp_path: Path) -> None:
    path = written(tmp_path, b'1|"a|b\n2|c"|d\n')

    assert [r.fields for r in csv_records(path, delimiter="|", quoting=False)] == [["1", '"a', "b"], ["2", 'c"', "d"]]


def test_a_given_width_makes_the_first_record_a_record(tmp_path: Path) -> None:
    assert [r.problem for r in csv_records(written(tmp_path, b"1,2\n1,2,3\n"), width=3)] == [
        "has 2 columns, expected 3",
        None,
    ]


def test_a_field_of_half_a_megabyte_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, b'a,b\n1,"' + b"x" * 500_000 + b'"\n')

    assert [len(r.fields[1]) for r in csv_records(path)] == [1, 500_000]


def test_splitting_tells_an_open_quotation_mark() -> None:
    assert split_fields('1,"a') == (["1", "a"], True)
    assert split_fields('1,"a"b') == (["1", "ab"], False)
    assert split_fields("") == ([""], False)


def test_binary_noise_is_read_without_failing(tmp_path: Path) -> None:
    noise = bytes((n * n * 31 + n * 7) % 256 for n in range(200_000))

    assert sum(1 for _ in csv_records(written(tmp_path, noise))) > 0
