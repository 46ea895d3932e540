"""Who a device, number or address belongs to, at each instant.

Several directory entries may name the same device at the same time (a person who moved desks before
the entry was closed). Rows cut time so that exactly one of them holds at any instant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

BEGINNING = datetime(1, 1, 1)
END = datetime(9999, 12, 31)

Entry = Mapping[str, Any]
Row = tuple[str, datetime, datetime, str | None, str | None, str | None]
"""(name, valid_from, valid_to, representative_id, team, function); disjoint for each name."""


class WhosWho:
    """The directory, asked by device, by token and by representative."""

    def __init__(self, entries: Iterable[Entry]) -> None:
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
        """Return the rows of devices, queues and members as a PBX names them: by extension, id or personal name."""
        rows: list[Row] = []
        for endpoint in endpoints:
            held = [
                *self._by_device.get(endpoint, ()),
                *self._by_representative.get(endpoint, ()),
                *self._by_personal_name.get(endpoint.lower(), ()),
            ]
            rows += _disjoint(endpoint, held)
        return rows

    def token_rows(self) -> list[Row]:
        """Return the rows of all addresses and numbers of the directory."""
        return [row for token, held in self._by_token.items() for row in _disjoint(token, held)]

    def representative_rows(self) -> list[Row]:
        """Return the rows of all representatives by their ids."""
        return [row for name, held in self._by_representative.items() for row in _disjoint(name, held)]


def _disjoint(name: str, held: Sequence[Entry]) -> Iterator[Row]:
    """Yield rows of one name. Of entries that hold at once the smallest (representative_id, team, name) wins."""
    spans = [(entry["valid_from"] or BEGINNING, entry["valid_to"] or END, entry) for entry in held]
    cuts = sorted({edge for since, until, _ in spans for edge in (since, until)})
    for since, until in pairwise(cuts):
        holding = [entry for start, end, entry in spans if start <= since and until <= end]
        if holding:
            entry = min(holding, key=_precedence)
            yield name, since, until, entry["representative_id"], entry["team"], entry["function"]


def _precedence(entry: Entry) -> tuple[tuple[bool, str], ...]:
    return tuple((entry[key] is None, entry[key] or "") for key in ("representative_id", "team", "name"))
