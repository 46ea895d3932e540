"""The log of outcomes: whose word counts, and when a group is whole."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa
import pytest

from pipeline.errors import ConfigurationError
from pipeline.outcomes import Group, OutcomeReader, pack_claim, pack_group
from schemas.log import Entry

CLAIM = pack_claim("acme", "rules")


def group(first: int, last: int, *rows: str) -> Group:
    return Group(first, last, {"retracted": pa.table({"interaction_id": list(rows)})})


def said(epoch: int, first: int, last: int, *rows: str, company: str = "acme") -> bytes:
    (value,) = pack_group(company, epoch, group(first, last, *rows))
    return value


def in_parts(epoch: int, first: int, last: int, *rows: str) -> list[bytes]:
    return pack_group("acme", epoch, group(first, last, *rows), part_bytes=1)


def read(values: Iterable[bytes], reader: OutcomeReader | None = None) -> list[tuple[int, int, list[str]]]:
    reader = reader or OutcomeReader("acme")
    found = [reader.feed(Entry(offset, value)) for offset, value in enumerate(values)]
    return [
        (one.first, one.last, one.tables["retracted"]["interaction_id"].to_pylist() if one.tables else [])
        for one in found
        if one is not None
    ]


def test_a_group_in_one_message_counts_under_its_claim() -> None:
    assert read([CLAIM, said(0, 4, 7, "a")]) == [(4, 7, ["a"])]


def test_nothing_counts_before_a_claim() -> None:
    assert read([said(0, 4, 7, "a")]) == []


def test_what_a_worker_says_after_another_claim_counts_for_nobody() -> None:
    assert read([CLAIM, said(0, 0, 1, "a"), CLAIM, said(0, 2, 3, "zombie"), said(2, 2, 2, "b")]) == [
        (0, 1, ["a"]),
        (2, 2, ["b"]),
    ]


def test_a_group_counts_when_its_last_part_stands_there() -> None:
    parts = in_parts(0, 0, 1, "a", "b", "c")
    reader = OutcomeReader("acme")

    assert len(parts) == 3
    assert read([CLAIM, *parts[:2]], reader) == []
    assert reader.unfinished == (0, 1)
    assert reader.position == 1
    assert read([CLAIM, *parts]) == [(0, 1, ["a", "b", "c"])]


def test_a_claim_between_the_parts_of_a_group_undoes_it() -> None:
    parts = in_parts(0, 0, 1, "a", "b")
    assert read([CLAIM, parts[0], CLAIM, parts[1], said(2, 0, 1, "a", "b")]) == [(0, 1, ["a", "b"])]


def test_a_part_or_group_that_is_sent_twice_counts_once() -> None:
    parts = in_parts(0, 0, 1, "a", "b")
    assert read([CLAIM, parts[0], parts[0], parts[1], parts[1]]) == [(0, 1, ["a", "b"])]
    assert read([CLAIM, *parts, *parts]) == [(0, 1, ["a", "b"])]


@pytest.mark.parametrize("message", [pack_claim("beta", "rules"), said(0, 0, 0, "x", company="beta")])
def test_a_message_of_another_company_is_refused_with_its_place(message: bytes) -> None:
    with pytest.raises(ConfigurationError, match="outcomes@1 is of company 'beta'"):
        read([CLAIM, message])


def test_a_reader_goes_on_where_another_stopped() -> None:
    values = [CLAIM, *in_parts(0, 0, 1, "a", "b"), said(0, 2, 2, "c")]
    first = OutcomeReader("acme")
    for offset in (0, 1):
        first.feed(Entry(offset, values[offset]))
    position = first.position

    assert position == 1
    second = OutcomeReader("acme", first.epoch, first.last)
    groups = [second.feed(Entry(offset, values[offset])) for offset in range(position, len(values))]
    assert [one.version for one in groups if one] == [1, 2]


def test_a_group_that_changes_nothing_still_says_how_far_it_went() -> None:
    at, closed = datetime(2024, 3, 4, 9), datetime(2024, 2, 26, 9)
    (value,) = pack_group("acme", 0, Group(3, 5, {}, at, closed, (4,)))
    reader = OutcomeReader("acme", with_tables=False)
    reader.feed(Entry(0, CLAIM))

    assert reader.feed(Entry(1, value)) == Group(3, 5, {}, at, closed, (4,))


def test_a_damaged_message_stops_the_reader_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"outcomes@7: .* reset the live topics and replay"):
        OutcomeReader("acme").feed(Entry(7, CLAIM[:-3]))
