"""A small engine in plain Python for simulations: as particular as the real one about what came before, but fast.

Observations with one key make an interaction, until one of them went unanswered: then it is retracted. Of an activity
the latest version counts. What comes after its time was closed is late; what is closed is forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.engine import Changes
from pipeline.engine_state import EngineState
from schemas.settings import EngineSettings

_KEPT_OPEN = timedelta(days=1)
_TEXT = pa.string()
_SCHEMAS = {
    "interaction": pa.schema([("interaction_id", _TEXT), ("members", _TEXT)]),
    "retracted": pa.schema([("interaction_id", _TEXT)]),
    "disposition": pa.schema([("raw_id", _TEXT), ("disposition", _TEXT), ("reason", _TEXT), ("evidence_id", _TEXT)]),
    "activity_outcome": pa.schema([("activity_id", _TEXT), ("status", _TEXT)]),
    "late": pa.schema([("raw_id", _TEXT), ("activity_id", _TEXT)]),
}


@dataclass
class _State:
    """Members of each key with their times and whether they were answered; of each activity its version and time."""

    keys: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    activities: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    closed: str = ""


class ModelEngine:
    """What `pipeline.correlation` asks of an engine. Instants are texts inside, which sort as they should."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._state = _State()

    def fold(
        self,
        facts: Mapping[str, pa.Table],
        version: int = 0,
        *,
        closes: datetime | None = None,
        is_silent: bool = False,
    ) -> Changes:
        told: dict[str, list[dict[str, Any]]] = {name: [] for name in _SCHEMAS}
        observations = facts["observation"].to_pylist() if "observation" in facts else []
        activities = facts["activity"].to_pylist() if "activity" in facts else []
        touched = self._fold_observations(observations, told)
        self._fold_activities(activities, told)
        for key in sorted(touched):
            self._tell(key, told)
        if closes is not None:
            self._forget(closes)
        tables = {name: pa.Table.from_pylist(rows, schema=_SCHEMAS[name]) for name, rows in told.items()}
        return Changes(version, tables)

    def save(self) -> EngineState:
        text = json.dumps(asdict(self._state))
        closed = datetime.fromisoformat(self._state.closed) if self._state.closed else None
        return EngineState({"model": pa.table({"state": [text]})}, {}, (), None, closed)

    def restore(self, state: EngineState) -> None:
        held = json.loads(state.tables["model"]["state"][0].as_py())
        self._state = _State(
            {
                key: {raw_id: (at, answered) for raw_id, (at, answered) in members.items()}
                for key, members in held["keys"].items()
            },
            held["said"],
            {name: (updated, raw_id, at) for name, (updated, raw_id, at) in held["activities"].items()},
            held["closed"],
        )

    def sizes(self) -> dict[str, int]:
        return {"interaction": len(self._state.said)}

    def _fold_observations(self, rows: list[dict[str, Any]], told: dict[str, list[dict[str, Any]]]) -> set[str]:
        touched = set()
        late = set()
        for row in rows:
            members, at = self._state.keys.get(row["key"], {}), row["started_at"].isoformat()
            if row["raw_id"] in members:
                continue
            if at < self._state.closed:
                late.add(row["raw_id"])
                continue
            self._state.keys.setdefault(row["key"], members)[row["raw_id"]] = (at, row["attempt"] == "talk")
            told["disposition"].append(
                {"raw_id": row["raw_id"], "disposition": "interaction", "reason": None, "evidence_id": row["key"]}
            )
            touched.add(row["key"])
        told["late"] += ({"raw_id": raw_id, "activity_id": None} for raw_id in sorted(late))
        return touched

    def _fold_activities(self, rows: list[dict[str, Any]], told: dict[str, list[dict[str, Any]]]) -> None:
        known = set(self._state.activities)
        changed = {}
        for row in rows:
            name, at = row["activity_id"], row["logged_from"].isoformat()
            if at < self._state.closed and name not in known:
                told["late"].append({"raw_id": row["raw_id"], "activity_id": name})
                continue
            version = (row["updated_at"].isoformat(), row["raw_id"], at)
            if version > self._state.activities.get(name, ("", "", "")):
                self._state.activities[name] = version
                changed[name] = version[1]
        told["activity_outcome"] += ({"activity_id": name, "status": changed[name]} for name in sorted(changed))

    def _tell(self, key: str, told: dict[str, list[dict[str, Any]]]) -> None:
        members = self._state.keys[key]
        if all(answered for _, answered in members.values()):
            text = " ".join(sorted(members))
            if self._state.said.get(key) != text:
                self._state.said[key] = text
                told["interaction"].append({"interaction_id": key, "members": text})
        elif key in self._state.said:
            del self._state.said[key]
            told["retracted"].append({"interaction_id": key})

    def _forget(self, closes: datetime) -> None:
        self._state.closed = max(self._state.closed, closes.isoformat())
        before = (closes - _KEPT_OPEN).isoformat()
        for key in [key for key, members in self._state.keys.items() if max(at for at, _ in members.values()) < before]:
            del self._state.keys[key]
            self._state.said.pop(key, None)
        for name in [name for name, (_, _, at) in self._state.activities.items() if at < before]:
            del self._state.activities[name]
