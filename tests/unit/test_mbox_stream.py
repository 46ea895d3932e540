"""Specification of where messages begin and end in an mbox, whoever wrote it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InvalidRecord
from pipeline.sources.mbox_stream import HEADER_LIMIT, MessageHead, head_of, is_separator, split_mbox

ENVELOPE = b"From maija@example.com Mon Mar  2 09:00:00 2026\n"


def reader(data: bytes, size: int = 1 << 18) -> Callable[[], bytes]:
    """Return a function that gives the data piece by piece."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return lambda: pieces.pop(0) if pieces else b""


def split(data: bytes, size: int = 1 << 18) -> list[MessageHead]:
    return list(split_mbox(reader(data, size)))


def subjects(data: bytes) -> list[bytes]:
    """Return what stands after "Subject: " in each message's header."""
    return [head.header.partition(b"Subject: ")[2].split()[0] for head in split(data)]


def message(name: str, body: str = "Hei\n", header: str = "") -> bytes:
    return ENVELOPE + f"From: maija@example.com\n{header}Subject: {name}\n\n{body}\n".encode()


def test_messages_are_found_at_their_byte_offsets() -> None:
    first, second = message("a"), message("bä")

    heads = split(first + second)

    assert [head.position for head in heads] == [0, len(first)]
    assert heads[1] == MessageHead(len(first), ENVELOPE.rstrip(), "From: maija@example.com\nSubject: bä\n".encode())


@pytest.mark.parametrize(
    "data",
    [
        message("a") + message("b"),
        (message("a") + message("b")).replace(b"\n", b"\r\n"),
        (message("a") + message("b")).rstrip(b"\n"),
        b"\n\n" + message("a") + message("b"),
        message("a", body="") + message("b", body=""),
        message("a").rstrip(b"\n") + b"\n" + message("b"),  # no blank line between the messages
        ENVELOPE + b"Subject: a\n" + ENVELOPE + b"Subject: b\n",  # no body, no blank line at all
        ENVELOPE + b"\n\nSubject: a\n\nHei\n\n" + ENVELOPE + b"Subject: b\n\n",  # blank lines before the header
        message("a").replace(b"maija@example.com Mon", b"P\xe4ivi Virtanen\xff\x00 Mon") + message("b"),
        message("a").replace(b"Mon Mar  2 09:00:00 2026", b"Mon, 2 Mar 2026 09:00:00 +0200") + message("b"),
        message("a") + message("b").replace(b" Mon Mar  2 09:00:00 2026", b""),
        message("a") + message("b").replace(b"Mon Mar  2 09:00:00 2026", b"ma maalis 2 09:00:00 2026"),
        message("a") + message("b").replace(b"maija@example.com Mon", b"- Mon"),
        message("a") + message("b").replace(b"maija@example.com Mon Mar  2", b"1@xxx 2026-03-02"),
        message("a", "From: x\nfrom y\n>From maija@example.com Mon Mar  2 09:00:00 2026\nFrom\n") + message("b"),
        message("a", "\nFrom now on we meet at 10:30 on Mondays.\nSee you\n") + message("b"),
        message("a", "\nFrom our team:\nNote: all is well\n") + message("b"),
        message("a", "Lorem\nFrom here Mon Mar 2 09:00:00 2026 on\nipsum\n") + message("b"),
        message("a", "\0\xff\n" * 1_000) + message("b"),
    ],
)
def test_two_messages_are_two_messages(data: bytes) -> None:
    assert subjects(data) == [b"a", b"b"]


def test_a_message_quoted_whole_in_a_body_is_skipped_when_the_length_is_true() -> None:
    quoted = message("inner").decode()
    length = len(quoted)

    honest = message("a", quoted, header=f"Content-Length: {length}\n") + message("b")
    last = message("a", quoted, header=f"Content-Length: {length}\n")
    crlf = message("a", quoted, header=f"Content-Length: {length + quoted.count(chr(10))}\n").replace(b"\n", b"\r\n")

    assert subjects(honest) == [b"a", b"b"]
    assert subjects(last) == [b"a"]
    assert subjects(crlf + message("b")) == [b"a", b"b"]


@pytest.mark.parametrize("length", [0, 1, 3, 17, 300, 5_000_000, 999_999_999])
def test_a_length_that_lies_is_not_believed(length: int) -> None:
    data = message("a", "Hei\n" * 10, header=f"Content-Length: {length}\n") + message("b") + message("c")

    assert subjects(data) == [b"a", b"b", b"c"]


def test_text_before_the_first_separator_is_a_message_without_envelope() -> None:
    stray, first = b"junk\nmore junk\n\n", message("a")

    heads = split(stray + first)

    assert [(head.position, head.envelope) for head in heads] == [(0, b""), (len(stray), ENVELOPE.rstrip())]


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\n" * 700_000])
def test_a_file_of_nothing_holds_no_message(data: bytes) -> None:
    assert split(data) == []


def test_a_message_after_more_blank_lines_than_a_block_is_found() -> None:
    heads = split(b"\n" * 3_000_000 + message("a"))

    assert [head.position for head in heads] == [3_000_000]


def test_a_header_that_never_ends_is_cut_and_the_next_message_is_found() -> None:
    endless = ENVELOPE + b"Subject: a\nX-Long: " + b"x" * 3 * HEADER_LIMIT + b"\n\nHei\n\n"

    cut, after = split(endless + message("b"))

    assert cut.is_cut
    assert len(cut.header) < 10_000
    assert not after.is_cut
    assert after.position == len(endless)


@pytest.mark.parametrize("excess", range(-8, 9))
def test_a_separator_at_the_limit_of_a_header_is_found(excess: int) -> None:
    start = ENVELOPE + b"Subject: a\n"
    endless = start + b"x" * (HEADER_LIMIT - len(start) + excess) + b"\n"

    assert [head.position for head in split(endless + message("b"))] == [0, len(endless)]


@pytest.mark.parametrize("before", range(1, 40))
def test_a_separator_across_two_blocks_is_found(before: int) -> None:
    block = 1 << 20
    first = message("a", "x" * (block - before - len(message("a", ""))) + "\n")

    heads = split(first + message("b"), size=block)

    assert [head.position for head in heads] == [0, len(first)]


def test_a_line_of_two_hundred_megabytes_does_not_grow_memory() -> None:
    def pieces() -> Iterator[bytes]:
        yield message("a", "")
        piece = b"x" * (1 << 18)
        for _ in range(800):
            yield piece
        yield b"\n\n" + message("b")

    source = pieces()
    tracemalloc.start()
    try:
        heads = list(split_mbox(lambda: next(source, b"")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(heads) == 2
    assert peak < 16 << 20


def test_a_file_that_breaks_off_gives_what_came_before_and_then_the_error() -> None:
    pieces = [message("a") + message("b") + ENVELOPE + b"Subject: c\nTo: "]

    def read() -> bytes:
        if pieces:
            return pieces.pop()
        raise InvalidRecord("ends in the middle")

    heads = split_mbox(read)

    assert [next(heads).header.split()[-1], next(heads).header.split()[-1]] == [b"a", b"b"]
    with pytest.raises(InvalidRecord, match="ends in the middle"):
        next(heads)


_LINES = st.sampled_from(
    [b"", b"Hei", b"x" * 700, b"From the start", b">From maija@example.com", b"From: b", b"Subject: inner", b"\0\xff"]
    + [b"From"[:length] for length in range(1, 5)]
)


@settings(max_examples=200)
@given(
    bodies=st.lists(st.lists(_LINES, max_size=8), min_size=1, max_size=6),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    size=st.integers(1, 2_000),
    is_terminated=st.booleans(),
)
def test_messages_are_found_whatever_the_bodies_line_ends_and_block_sizes(
    bodies: list[list[bytes]], newline: bytes, size: int, is_terminated: bool
) -> None:
    texts = [
        newline.join([ENVELOPE.rstrip(), b"Subject: %d" % number, b"", *body, b"", b""])
        for number, body in enumerate(bodies)
    ]
    data = b"".join(texts)

    heads = split(data if is_terminated else data.rstrip(b"\r\n"), size)

    assert [head.position for head in heads] == [sum(map(len, texts[:number])) for number in range(len(texts))]
    assert [head.header.strip() for head in heads] == [b"Subject: %d" % number for number in range(len(texts))]


@settings(max_examples=300)
@given(st.lists(st.sampled_from([ENVELOPE, b"From x\n", b"\n", b"\r\n", b"a: b\n", b"x", b"\0"]), max_size=20))
def test_any_bytes_split_into_messages_that_do_not_overlap(parts: list[bytes]) -> None:
    data = b"".join(parts)

    heads = split(data, 7)

    assert heads == split(data)
    positions = [head.position for head in heads]
    assert positions == sorted(set(positions))
    assert bool(heads) == bool(data.strip(b"\r\n"))


def test_the_top_of_a_single_message_is_its_header() -> None:
    assert head_of(b"Subject: a\r\n\r\nbody: x") == MessageHead(0, b"", b"Subject: a\r\n")
    assert head_of(b"\r\n\nSubject: a\n") == MessageHead(0, b"", b"Subject: a\n")
    assert head_of(ENVELOPE + b"Subject: a\n\nHei") == MessageHead(0, ENVELOPE.rstrip(), b"Subject: a\n")
    assert head_of(b"X: " + b"x" * HEADER_LIMIT).is_cut


def test_an_envelope_needs_a_date_or_a_header_below() -> None:
    assert is_separator(ENVELOPE, 0, is_first=True)
    assert is_separator(b"From maija\nTo: x\n", 0, is_first=True)
    assert not is_separator(b"From maija\nHei,\n", 0, is_first=True)
    assert not is_separator(b"From,To,Date\n", 0, is_first=True)
    assert not is_separator(b"From: maija\nTo: x\n", 0, is_first=True)
