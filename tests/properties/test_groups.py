"""Two answers about representatives never differ by fewer than the minimum of them, whatever was asked.

A reader sees sums alone. So each piece of the simulated company counts a power of two: what a published sum is made of,
and what is left when another is taken from it, can be read from the number itself, without looking into the program.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from pipeline.groups import CELL, REPRESENTATIVE, grouped

Row = dict[str, Any]
CHANNELS = ("call", "chat", "email", "fax", "sms")
COUNTS = ("traced_count", "siloed_count", "bypassed_count", "interaction_count")
PAIRS = 10_000


def company(chance: random.Random) -> list[Row]:
    """Return what representatives did by month, team and channel: teams of 1 to 45, some people in two of them."""
    people = {
        f"T{number}": [f"r{number}-{place}" for place in range(chance.choice((1, 3, 7, 8, 9, 15, 16, 17, 31, 45)))]
        for number in range(chance.randint(1, 5))
    }
    for members in people.values():
        members += chance.sample(chance.choice(list(people.values())), 1)
    rows: dict[tuple[object, ...], Row] = {}
    for team, members in people.items():
        for month in ("2024-04", "2024-05", "2024-06", "2024-07"):
            for channel in CHANNELS:
                habit = chance.random() ** 2
                for name in [*members, None]:
                    if chance.random() < habit:
                        key = (None if team == "T3" else team, "other", month, channel)
                        row: Row = dict(zip(CELL, key, strict=True)) | {REPRESENTATIVE: name}
                        row |= {count: chance.randint(0, 9) for count in COUNTS[:3]}
                        rows[(*key, name)] = row
    found = list(rows.values())
    for place, row in enumerate(found):
        row["interaction_count"] = 1 << place
    return found


def question(chance: random.Random, rows: Sequence[Row]) -> tuple[list[str], dict[str, list[str]], list[Row]]:
    """Return dimensions, filters, and the rows of a period of whole months."""
    by = [REPRESENTATIVE, *chance.sample(CELL, chance.randint(0, 3))]
    chance.shuffle(by)
    wanted: dict[str, list[str]] = {}
    for name in chance.sample(CELL, chance.randint(0, 2)):
        values = sorted({"none" if row[name] is None else row[name] for row in rows})
        wanted[name] = chance.sample(values, chance.randint(1, len(values)))
    months = sorted({row["month"] for row in rows})
    first, last = sorted(chance.choices(range(len(months)), k=2))
    return by, wanted, [row for row in rows if row["month"] in months[first : last + 1]]


def answered(chance: random.Random, rows: Sequence[Row], minimum: int) -> list[int]:
    """Return sums that a reader can make of an answer: each row, and some rows added up."""
    by, wanted, period = question(chance, rows)
    sums = [row["interaction_count"] for row in grouped(period, by, wanted, minimum, COUNTS)]
    if len(sums) > 1:
        sums += [sum(chance.sample(sums, chance.randint(2, len(sums)))) for _ in range(3)]
    return sums


def behind(rows: Sequence[Row], number: int) -> set[str]:
    """Return the representatives of the pieces that a sum is made of."""
    names = set()
    while number:
        place = (number & -number).bit_length() - 1
        number &= number - 1
        if (name := rows[place][REPRESENTATIVE]) is not None:
            names.add(name)
    return names


@pytest.mark.parametrize("minimum", [5, 8, 12])
def test_no_two_of_ten_thousand_pairs_of_answers_differ_by_fewer_people_than_the_minimum(minimum: int) -> None:
    chance = random.Random(minimum)
    compared = nested = 0
    for _ in range(25):
        rows = company(chance)
        if not rows:
            continue
        answers = [answered(chance, rows, minimum) for _ in range(30)]
        for sums in answers:
            for number in sums:
                assert len(behind(rows, number)) >= minimum or not behind(rows, number)
        for place, first in enumerate(answers):
            for second in answers[:place]:
                compared += 1
                for one in first:
                    for other in second:
                        large, small = max(one, other), min(one, other)
                        if large != small and large & small == small:
                            nested += 1
                            found = behind(rows, large - small)
                            assert len(found) >= minimum or not found
    assert compared >= PAIRS
    assert nested > 1_000


@pytest.mark.parametrize("minimum", [5, 8])
def test_what_an_answer_leaves_out_is_known_no_better_than_without_it(minimum: int) -> None:
    chance = random.Random(minimum)
    for _ in range(60):
        rows = company(chance)
        cells: dict[tuple[object, ...], int] = defaultdict(int)
        for row in rows:
            cells[tuple(row[name] for name in CELL)] += row["interaction_count"]
        shown: dict[tuple[object, ...], int] = defaultdict(int)
        for row in grouped(rows, [*CELL, REPRESENTATIVE], {}, minimum, COUNTS):
            shown[tuple(row[name] for name in CELL)] += row["interaction_count"]
        for cell, whole in cells.items():
            assert shown[cell] in (0, whole), "a reader who knows the cell's total would know the part that is missing"


def test_a_cell_is_left_out_only_when_too_few_took_part_in_it() -> None:
    chance = random.Random(1)
    left_out = 0
    for _ in range(60):
        rows = company(chance)
        people: dict[tuple[object, ...], set[str]] = defaultdict(set)
        for row in rows:
            if row[REPRESENTATIVE] is not None:
                people[tuple(row[name] for name in CELL)].add(row[REPRESENTATIVE])
        shown = {tuple(row[name] for name in CELL) for row in grouped(rows, [*CELL, REPRESENTATIVE], {}, 8, COUNTS)}
        assert shown == {cell for cell, names in people.items() if len(names) >= 8}
        left_out += len(people) - len(shown)
    assert left_out


def test_the_order_of_the_rows_changes_no_answer() -> None:
    chance = random.Random(2)
    rows = company(chance)
    by: list[str] = ["month", REPRESENTATIVE]
    wanted: Mapping[str, Collection[str]] = {"channel": ["call", "email"]}
    once = grouped(rows, by, wanted, 8, COUNTS)

    assert grouped(chance.sample(rows, len(rows)), by, wanted, 8, COUNTS) == once
