"""How far a measurement is from the truth, where the truth is known: on simulated companies.

A true interaction is found when the records that show it became one measured interaction. The parties of one
email share their records; they are paired by the trace they were given, then by outcome, because the measured
side knows them by token only. The share is compared as it is reported, pending left out on both sides.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from pipeline.errors import ConfigurationError

_UNTRACED: Final = ("bypassed", "siloed")
_INTERACTION_COLUMNS: Final = ("interaction_id", "evidence_id", "channel", "team", "outcome", "activity_id")
_EVIDENCE_COLUMNS: Final = ("raw_id", "disposition", "evidence_id", "event_id", "session_id")


@dataclass(frozen=True)
class Cell:
    """Both shares of one channel and team; null in both for all together.

    Counts are of all interactions, pending ones too. Shares are 0-1, null where everything is pending.
    """

    channel: str | None
    team: str | None
    true_count: int
    measured_count: int
    true_share: float | None
    measured_share: float | None

    @property
    def error_points(self) -> float | None:
        """Measured minus true share. Unit: percentage points."""
        if self.true_share is None or self.measured_share is None:
            return None
        return 100 * (self.measured_share - self.true_share)


@dataclass(frozen=True)
class Evaluation:
    """A measurement beside the truth.

    `matched_count`: pairs of a true and a measured interaction. `right_trace_count`: pairs whose measured trace is
    a record that was truly made for the interaction. `outcomes` counts pairs by (true, measured) outcome;
    `missed_traces` the true traces that were not given to their interaction, `false_traces` the traces given to
    interactions that have none, both by what the truth remarks of the interaction. `unlogged_share` is the true
    share of interactions that nobody wrote down on their customer at any time, however late.
    """

    overall: Cell
    cells: Sequence[Cell]
    matched_count: int
    true_trace_count: int
    measured_trace_count: int
    right_trace_count: int
    unlogged_share: float | None
    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    missed_traces: Mapping[str, int] = field(default_factory=dict)
    false_traces: Mapping[str, int] = field(default_factory=dict)

    @property
    def interaction_precision(self) -> float | None:
        return _ratio(self.matched_count, self.overall.measured_count)

    @property
    def interaction_recall(self) -> float | None:
        return _ratio(self.matched_count, self.overall.true_count)

    @property
    def trace_precision(self) -> float | None:
        return _ratio(self.right_trace_count, self.measured_trace_count)

    @property
    def trace_recall(self) -> float | None:
        return _ratio(self.right_trace_count, self.true_trace_count)

    @property
    def found_error_share(self) -> float | None:
        """Measured interactions beyond the true ones, as a share of the true count; negative when too few."""
        return _ratio(self.overall.measured_count - self.overall.true_count, self.overall.true_count)

    def worst_cell(self, least_count: int = 400) -> Cell | None:
        """Return the cell with the greatest error among those of at least so many true interactions."""
        large = [cell for cell in self.cells if cell.true_count >= least_count and cell.error_points is not None]
        return max(large, key=lambda cell: abs(cell.error_points or 0.0), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {
            "overall": _cell_values(self.overall),
            "cells": [_cell_values(cell) for cell in self.cells],
            "interactions": {
                "true_count": self.overall.true_count,
                "measured_count": self.overall.measured_count,
                "matched_count": self.matched_count,
                "found_error_share": self.found_error_share,
                "precision": self.interaction_precision,
                "recall": self.interaction_recall,
            },
            "traces": {
                "true_count": self.true_trace_count,
                "measured_count": self.measured_trace_count,
                "right_count": self.right_trace_count,
                "precision": self.trace_precision,
                "recall": self.trace_recall,
            },
            "unlogged_share": self.unlogged_share,
            "outcomes": [
                {"true": true, "measured": measured, "count": count}
                for (true, measured), count in sorted(self.outcomes.items())
            ],
            "missed_traces": dict(sorted(self.missed_traces.items())),
            "false_traces": dict(sorted(self.false_traces.items())),
        }


def evaluate(interactions: pa.Table, evidence: pa.Table, truth: Iterable[str | bytes]) -> Evaluation:
    """Return how far the measured interactions are from the truth.

    `interactions` has interaction_id, evidence_id, channel, team, outcome and activity_id; `evidence` has
    raw_id, disposition, evidence_id, event_id and session_id, one row per raw event. Further columns are
    ignored. `truth` are the lines that the simulator wrote.

    Raises:
        ConfigurationError: when the truth cannot be read or a column is missing.
    """
    measured = _rows(interactions, _INTERACTION_COLUMNS, "interactions")
    true = _read_truth(truth)
    pairs = _pairs(true, measured, _rows(evidence, _EVIDENCE_COLUMNS, "evidence"))
    outcomes: Counter[tuple[str, str]] = Counter()
    missed: Counter[str] = Counter()
    false: Counter[str] = Counter()
    right = 0
    for line, row in pairs:
        outcomes[line["outcome"], row["outcome"]] += 1
        if _has_right_trace(line, row):
            right += 1
        elif line["outcome"] == "traced":
            missed[line.get("remark") or "logged"] += 1
        if row["outcome"] == "traced" and line["outcome"] != "traced":
            false[line.get("remark") or "none"] += 1
    settled = [line for line in true if line["outcome"] != "pending"]
    return Evaluation(
        overall=_cell(None, None, true, measured),
        cells=_cells(true, measured),
        matched_count=len(pairs),
        true_trace_count=sum(line["outcome"] == "traced" for line in true),
        measured_trace_count=sum(row["outcome"] == "traced" for row in measured),
        right_trace_count=right,
        unlogged_share=_ratio(sum(not line.get("is_logged") for line in settled), len(settled)),
        outcomes=outcomes,
        missed_traces=missed,
        false_traces=false,
    )


Row = Mapping[str, Any]


def _rows(table: pa.Table, columns: Sequence[str], name: str) -> list[dict[str, Any]]:
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise ConfigurationError(f"{name} have no column {missing[0]}; expected {', '.join(columns)}")
    rows: list[dict[str, Any]] = table.select(list(columns)).to_pylist()
    return rows


def _read_truth(lines: Iterable[str | bytes]) -> list[dict[str, Any]]:
    read = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            raise ConfigurationError(f"the truth's line {number} is no JSON; expected what `simulate` wrote") from None
        if (
            not isinstance(value, dict)
            or not {"conversation", "channel", "team", "outcome", "evidence"} <= value.keys()
        ):
            raise ConfigurationError(
                f"the truth's line {number} is no true interaction; expected what `simulate` wrote"
            )
        read.append(value)
    if not read:
        raise ConfigurationError("the truth is empty; expected one line per true interaction")
    return read


# Pairs of true and measured interactions


def _pairs(true: Sequence[Row], measured: Sequence[Row], evidence: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return true interactions with the measured one that stands for each; every one is in one pair at most."""
    conversations: defaultdict[Any, list[Row]] = defaultdict(list)
    for line in true:
        conversations[line["conversation"]].append(line)
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in measured:
        groups[row["evidence_id"]].append(row)
    places = {place for lines in conversations.values() for place in lines[0]["evidence"]}
    evidence_of, evidence_of_key = _index(evidence, places)
    overlaps: list[tuple[int, int, str, Any]] = []
    for order, (conversation, lines) in enumerate(conversations.items()):
        shared = Counter(evidence_of[place] for place in lines[0]["evidence"] if place in evidence_of)
        if not shared:
            keys = lines[0].get("keys") or ()
            shared = Counter(evidence_of_key[key] for key in keys if key in evidence_of_key)
        overlaps.extend((-count, order, evidence_id, conversation) for evidence_id, count in shared.items())
    pairs: list[tuple[Row, Row]] = []
    for _, _, evidence_id, conversation in sorted(overlaps, key=lambda overlap: overlap[:3]):
        if conversation in conversations and evidence_id in groups:
            pairs.extend(_pair_parties(conversations.pop(conversation), groups.pop(evidence_id)))
    return pairs


def _index(evidence: Sequence[Row], places: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the interaction's evidence_id by the truth's places, and by the systems' own ids of calls and messages."""
    files = {place.rpartition(":")[0] for place in places}
    file_of: dict[str, str | None] = {}
    by_place: dict[str, str] = {}
    by_key: dict[str, str] = {}
    for row in evidence:
        if row["disposition"] == "interaction" and row["evidence_id"]:
            name, _, position = row["raw_id"].rpartition(":")
            if name not in file_of:
                file_of[name] = _true_file(name.partition(":")[2], files)
            by_place[f"{file_of[name]}:{position}"] = row["evidence_id"]
            for key in (row["event_id"], row["session_id"]):
                if key:
                    by_key.setdefault(key, row["evidence_id"])
    return by_place, by_key


def _true_file(name: str, files: Collection[str]) -> str | None:
    """Return the truth's name of a file: the two are relative to directories one of which may lie in the other."""
    if name in files:
        return name
    fitting = [file for file in files if name.endswith(f"/{file}") or file.endswith(f"/{name}")]
    return fitting[0] if len(fitting) == 1 else None


def _pair_parties(lines: list[Row], rows: list[Row]) -> list[tuple[Row, Row]]:
    pairs: list[tuple[Row, Row]] = []
    for fits in (_has_right_trace, _has_same_outcome, _is_any):
        for line in list(lines):
            row = next((row for row in rows if fits(line, row)), None)
            if row is not None:
                pairs.append((line, row))
                lines.remove(line)
                rows.remove(row)
    return pairs


def _has_right_trace(line: Row, row: Row) -> bool:
    if line["outcome"] != "traced" or row["outcome"] != "traced":
        return False
    return _record(row["activity_id"]) in {_record(activity_id) for activity_id in line["activity_ids"]}


def _record(activity_id: str | None) -> str:
    """Return the CRM's own id: a record that is tied to several customers is an activity for each, `id:customer`."""
    return (activity_id or "").partition(":")[0]


def _has_same_outcome(line: Row, row: Row) -> bool:
    return bool(line["outcome"] == row["outcome"])


def _is_any(line: Row, row: Row) -> bool:
    return True


# Shares


def _cells(true: Sequence[Row], measured: Sequence[Row]) -> list[Cell]:
    """Return one cell per channel and team that occurs on either side, in order of both."""
    sides: defaultdict[tuple[str, str], tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for line in true:
        sides[line["channel"], line["team"] or ""][0].append(line)
    for row in measured:
        sides[row["channel"], row["team"] or ""][1].append(row)
    return [_cell(channel, team, *both) for (channel, team), both in sorted(sides.items())]


def _cell(channel: str | None, team: str | None, true: Sequence[Row], measured: Sequence[Row]) -> Cell:
    return Cell(channel, team, len(true), len(measured), _share(true), _share(measured))


def _share(rows: Sequence[Row]) -> float | None:
    counts = Counter(row["outcome"] for row in rows)
    untraced = sum(counts[outcome] for outcome in _UNTRACED)
    return _ratio(untraced, untraced + counts["traced"])


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _cell_values(cell: Cell) -> dict[str, Any]:
    return {
        "channel": cell.channel,
        "team": cell.team,
        "true_count": cell.true_count,
        "measured_count": cell.measured_count,
        "true_share": cell.true_share,
        "measured_share": cell.measured_share,
        "error_points": cell.error_points,
    }
