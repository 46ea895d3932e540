"""Specification of columns of facts: digests that tell records apart, the same everywhere and always."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from pipeline.columns import count_from, digest, digests

TEXTS = ["a", "maija@example.fi", "Päivää " * 40]


def digest_by_hand(text: str) -> int:
    """Return what `digests` gives, a word at a time."""
    data, bits = text.encode(), 2**64 - 1

    def fold(word: int) -> int:
        return word ^ (word >> 32)

    def factor(place: int) -> int:
        return digest(str(place).encode()) | 1

    words = [int.from_bytes(data[start : start + 8], "little") for start in range(0, len(data), 8)]
    total = sum(fold(word) * factor(place) for place, word in enumerate(words)) + len(data) * factor(-1)
    return fold(fold(total & bits) * factor(-2) & bits)


def test_digests_are_the_same_in_every_version() -> None:
    assert digests(pa.array(TEXTS)).to_pylist() == [16682102787103831282, 15572366436827491385, 17753666868563899928]
    assert digests(pa.array(TEXTS)).to_pylist() == [digest_by_hand(text) for text in TEXTS]


def test_a_text_has_one_digest_whatever_stands_beside_it() -> None:
    chance = random.Random(5)
    texts = ["x" * chance.randint(0, 400) + str(number) for number in range(2_000)] + ["y" * 4_096, "y" * 4_097, ""]
    together = digests(pa.array(texts)).to_pylist()

    assert digests(pa.array(texts).slice(100, 50)).to_pylist() == together[100:150]
    assert [digests(pa.array([text])).to_pylist()[0] for text in texts[-40:]] == together[-40:]


def test_digests_of_no_text_are_none() -> None:
    assert digests(pa.array([], pa.string())).to_pylist() == []


@pytest.mark.parametrize("place", range(8))
def test_texts_that_differ_in_a_few_characters_have_digests_of_their_own(place: int) -> None:
    marks = "0123456789abcdefghijklmnopqrst"
    texts = [
        f"{a:>{place + 1}}".ljust(8) + f"{b:>{place + 1}}".ljust(8) + f"{c:>{place + 1}}".ljust(8)
        for a in marks
        for b in marks
        for c in marks
    ]
    found = digests(pa.array(texts)).to_pylist()

    assert len(set(found)) == len(texts)
    # The engine orders by the lower bits alone.
    assert len({value & 17_592_186_044_415 for value in found}) == len(texts)


def test_length_counts() -> None:
    texts = ["", "\0", "\0\0", "a", "a\0", "a ", " a", "a" + 8 * "\0"]

    assert len(set(digests(pa.array(texts)).to_pylist())) == len(texts)


def test_a_text_too_long_to_be_mixed_is_hashed() -> None:
    text = "ä" * 4_000

    assert digests(pa.array(["short", text])).to_pylist()[1] == digest(text.encode())


def test_counting_begins_anywhere() -> None:
    assert (count_from(5, 3).to_pylist(), count_from(1, 0).to_pylist()) == ([5, 6, 7], [])
