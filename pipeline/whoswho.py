"""Who a device, number or address belongs to, at each instant.

Several directory entries may name the same device at the same time (a person who moved desks before
the entry was closed). Rows cut time so that exactly one of them holds at any instant.

Teams with their functions are numbered: a million legs carry a number, not two names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

BEGINNING = datetime(1, 1, 1)
END = datetime(9999, 12, 31)

Entry = Mapping[str, Any]
Group = tuple[str, str | None]
"""(team, function)"""
Row = tuple[str, datetime, datetime, str | None, str | None, str | None, int | None]
"""(name, valid_from, valid_to, representative_id, team, function, group_no); disjoint for each name."""

_INNER_NUMBER = re.compile(r"[0-9]{2,6}", re.ASCII).fullmatch


class WhosWho:
    """The directory, asked by device, by token and by representative."""

    def __init__(self, entries: Iterable[Entry], group_numbers: dict[Group, int] | None = None) -> None:
        """Read the directory. `group_numbers` are those of groups met before; new groups are added to it."""
        self.group_numbers = {} if group_numbers is None else group_numbers
        self._by_device: dict[str, list[Entry]] = defaultdict(list)
        self._by_representative: dict[str, list[Entry]] = defaultdict(list)
        self._by_personal_name: dict[str, list[Entry]] = defaultdict(list)
        self._by_token: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry["extension"] is not None:
                self._by_device[entry["extension"]].append(entry)
            if entry["representative_id"] is not None:
                self._by_representative[entry["representative_id"]].append(entry)
                if entry["name"] is not None:
                    self._by_personal_name[entry["name"].lower()].append(entry)
            for token in {entry["email_token"], entry["direct_token"], entry["mobile_token"]} - {None}:
                self._by_token[token].append(entry)

    def endpoint_rows(self, endpoints: Iterable[str]) -> list[Row]:
        """Return the rows of devices, queues and members as a PBX names them: by extension, id or personal name.

        What looks like an extension (two to six digits) is ours at any time, even where the directory does not know
        it; its row then has no representative and no group.
        """
        rows: list[Row] = []
        for endpoint in endpoints:
            held = [
                *self._by_device.get(endpoint, ()),
                *self._by_representative.get(endpoint, ()),
                *self._by_personal_name.get(endpoint.lower(), ()),
            ]
            rows += self._disjoint(endpoint, held, always=_INNER_NUMBER(endpoint) is not None)
        return rows

    def token_rows(self) -> list[Row]:
        """Return the rows of all addresses and numbers of the directory."""
        return [row for token, held in self._by_token.items() for row in self._disjoint(token, held)]

    def representative_rows(self) -> list[Row]:
        """Return the rows of all representatives by their ids."""
        return [row for name, held in self._by_representative.items() for row in self._disjoint(name, held)]

    def _disjoint(self, name: str, held: Sequence[Entry], *, always: bool = False) -> Iterator[Row]:
        """Yield rows of one name. Of entries that hold at once the smallest (representative_id, team, name) wins.

        With `always` there is a row at any instant.
        """
        spans = [(entry["valid_from"] or BEGINNING, entry["valid_to"] or END, entry) for entry in held]
        ends = {BEGINNING, END} if always else set()
        cuts = sorted(ends.union(edge for since, until, _ in spans for edge in (since, until)))
        for since, until in pairwise(cuts):
            holding = [entry for start, end, entry in spans if start <= since and until <= end]
            if holding:
                entry = min(holding, key=_precedence)
                team, function = group = entry["team"], entry["function"]
                group_no = self.group_numbers.setdefault(group, len(self.group_numbers))
                yield name, since, until, entry["representative_id"], team, function, group_no
            elif always:
                yield name, since, until, None, None, None, None


def _precedence(entry: Entry) -> tuple[tuple[bool, str], ...]:
    return tuple((entry[key] is None, entry[key] or "") for key in ("representative_id", "team", "name"))
