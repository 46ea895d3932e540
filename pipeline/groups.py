"""Figures about representatives, shown of groups alone: nobody is seen, and no two answers differ by a few people.

Every answer is put together from the same blocks, which no question can cut: a month, a team and a channel at a time,
each with the interactions of at least `minimum_group` representatives. What is left of one answer when another is taken
from it is made of whole blocks too. See docs/adr/0011-groups-of-representatives.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pipeline.errors import ConfigurationError, NotShown

Showing = Literal["off", "groups", "named"]

REPRESENTATIVE: Final = "representative"
# What figures by representative can be divided by and narrowed to.
CELL: Final = ("team", "function", "month", "channel")
LEAST_GROUP: Final = 5
# Stands where a group's name would, in the row that holds small groups together.
MERGED: Final = "(small groups together)"
# Quarters tell enough, and each of them has four times as many to hide among.
_PARTS: Final = (4, 2, 1)

Row = dict[str, Any]
_Cell = tuple[object, ...]


@dataclass(frozen=True)
class GroupRules:
    """What may be shown of representatives, as `[privacy]` says.

    `is_granted`: who asks may see single representatives, where the company shows them at all.
    """

    showing: Showing = "off"
    minimum_group: int = 8
    merges_small_teams: bool = False
    is_granted: bool = False

    @property
    def shows_single(self) -> bool:
        """Whether who asks may be shown one representative."""
        return self.showing == "named" and self.is_granted

    def require_representatives(self) -> None:
        """Refuse figures by representative where there are none.

        Raises:
            NotShown: when they are off.
        """
        if self.showing == "off":
            raise NotShown(
                "figures by representative are about employees and are off; ask by team, or set "
                'privacy.representatives to "groups" once those who must agree have agreed'
            )

    def require_filters(self, names: Collection[str]) -> None:
        """Refuse filters that pick out representatives: two questions that differ by one name would show that one.

        Raises:
            NotShown: when one does.
        """
        if REPRESENTATIVE in names and not self.shows_single:
            raise NotShown(
                'representative picks out single employees, and that needs privacy.representatives = "named" and, '
                "where access is controlled, the scope representative; leave it out, or ask by team"
            )


OFF: Final = GroupRules()


@dataclass(frozen=True)
class _Block:
    """Interactions that are shown together or not at all: of a cell, under a label."""

    cell: _Cell
    label: str | None
    counts: Mapping[str, int]


def grouped(
    rows: Iterable[Row], by: Sequence[str], wanted: Mapping[str, Collection[str]], minimum: int, counts: Sequence[str]
) -> list[Row]:
    """Return rows of figures by representative: groups of at least `minimum` of them in place of each.

    `rows` have the columns of `CELL`, `representative` and `counts`, each combination once, of whole months and of
    all channels: where a month is cut, another cut would show the difference. The value of `representative` is such as
    "2 of 4": the second quarter of a team's representatives of a month by their bypass share, the smallest first;
    `MERGED` where parts had to be put together; None for interactions of which nobody is known. What too few took
    part in is left out.

    Raises:
        ConfigurationError: when they are divided by, or narrowed to, anything but the columns of `CELL`.
    """
    for what, names in (("divided by", by), ("narrowed to", wanted)):
        if other := [name for name in names if name not in (*CELL, REPRESENTATIVE)]:
            raise ConfigurationError(
                f"figures by representative cannot be {what} {other[0]}; only {', '.join(CELL)} have groups of people "
                "that no second question takes apart"
            )
    found: dict[_Cell, Row] = {}
    for block in _blocks(rows, max(minimum, LEAST_GROUP), counts):
        values = dict(zip(CELL, block.cell, strict=True))
        if not all(_fits(values[name], chosen) for name, chosen in wanted.items()):
            continue
        values[REPRESENTATIVE] = block.label
        key = tuple(values[name] for name in by)
        row = found.setdefault(key, dict(zip(by, key, strict=True)) | dict.fromkeys(counts, 0))
        for name in counts:
            row[name] += block.counts[name]
    return [found[key] for key in sorted(found, key=lambda key: [(part is None, part) for part in key])]


def small_groups(sizes: Mapping[str, int], minimum: int) -> frozenset[str]:
    """Return which groups are shown together, by how many people each has.

    One small group alone, or several that are small together too, would still be known from the total: the next
    smallest joins them.

    >>> sorted(small_groups({"Sales": 20, "Care": 9, "Back": 2}, 8))
    ['Back', 'Care']
    """
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    small = [name for name in ordered if sizes[name] < minimum]
    while small and len(small) < len(ordered) and (len(small) < 2 or sum(sizes[name] for name in small) < minimum):
        small.append(ordered[len(small)])
    return frozenset(small)


def _fits(value: object, chosen: Collection[str]) -> bool:
    return value in chosen or (value is None and "none" in chosen)


def _blocks(rows: Iterable[Row], minimum: int, counts: Sequence[str]) -> Iterable[_Block]:
    teams: dict[_Cell, list[Row]] = defaultdict(list)
    for row in rows:
        teams[tuple(row[name] for name in CELL[:-1])].append(row)
    for team, members in teams.items():
        label_of = _ranked(members, minimum)
        cells: dict[_Cell, list[Row]] = defaultdict(list)
        for row in members:
            cells[(*team, row[CELL[-1]])].append(row)
        for cell, pieces in cells.items():
            yield from _cut(cell, pieces, label_of, minimum, counts)


def _ranked(rows: Sequence[Row], minimum: int) -> Mapping[str, str]:
    """Return the part of each representative of a team in a month: by share, in parts of at least `minimum` people."""
    untraced: dict[str, int] = defaultdict(int)
    decided: dict[str, int] = defaultdict(int)
    for row in rows:
        if (name := row[REPRESENTATIVE]) is not None:
            untraced[name] += row["siloed_count"] + row["bypassed_count"]
            decided[name] += row["siloed_count"] + row["bypassed_count"] + row["traced_count"]
    order = sorted(decided, key=lambda name: (untraced[name] / decided[name] if decided[name] else 2.0, name))
    parts = next((parts for parts in _PARTS if len(order) >= parts * minimum), 1)
    return {name: f"{1 + place * parts // len(order)} of {parts}" for place, name in enumerate(order)}


def _cut(
    cell: _Cell, rows: Sequence[Row], label_of: Mapping[str, str], minimum: int, counts: Sequence[str]
) -> Iterable[_Block]:
    """Yield the blocks of a cell; none when it is too small for any: all of it, or nothing, is told apart."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row[REPRESENTATIVE] is not None:
            parts[label_of[row[REPRESENTATIVE]]].append(row)
    sizes = {label: len({row[REPRESENTATIVE] for row in part}) for label, part in parts.items()}
    if sum(sizes.values()) < minimum:
        return
    ordered = sorted(parts, key=lambda label: (sizes[label], label))
    small = [label for label in ordered if sizes[label] < minimum]
    while small and sum(sizes[label] for label in small) < minimum:
        small.append(ordered[len(small)])
    for label in parts.keys() - set(small):
        yield _block(cell, label, parts[label], counts)
    if small:
        yield _block(cell, MERGED, [row for label in small for row in parts[label]], counts)
    if unknown := [row for row in rows if row[REPRESENTATIVE] is None]:
        yield _block(cell, None, unknown, counts)


def _block(cell: _Cell, label: str | None, rows: Sequence[Row], counts: Sequence[str]) -> _Block:
    return _Block(cell, label, {name: sum(row[name] for row in rows) for name in counts})
