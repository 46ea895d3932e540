"""Rows told as canonical records, each with the identity of its version: the same version always has the same.

Of several versions of a record the one that was changed last counts. A row can change without its own time doing so, or
go back to an older time when a backup is restored: such a version counts as a microsecond later than the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from pydantic import ValidationError

from pipeline.crm_tables.tables import Row, Table
from pipeline.errors import InvalidRecord
from pipeline.received import content_number
from pipeline.sources.canonical_records import RecordOutline, explain
from pipeline.sources.crm_values import Clock
from pipeline.sources.registry import ReadContext
from pipeline.sources.translation import Fields
from schemas.crm import Activity, Ticket
from schemas.record import RECORD_MODELS

# A row that cannot be used is kept as a record of this kind.
REJECTED: Final = "rejected"

_IDS: Final = {
    "contact": "contact_id",
    "account": "account_id",
    "user": "user_id",
    "activity": "activity_id",
    "ticket": "ticket_id",
}
# What is left of a record that is gone: nothing that tells a customer.
_LEFT: Final = frozenset({*_IDS.values(), "kind", "activity_kind", "logged_at", "logged_on", "precision"}) - {
    "account_id"
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CurrentRecord:
    """A record as a row tells it now. `changed_at`: microseconds since 1970, None where nothing says it.

    `left` is what a deletion of it would say, None where there is nothing to take back.
    """

    record_id: str
    fields: Fields
    digest: int
    changed_at: int | None
    left: bytes | None

    @property
    def kind(self) -> str:
        return str(self.fields["kind"])


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a record as it is given on: `place` is its number for good, `value` the record in JSON.

    `logged_at`: when an activity or ticket was logged, None for whom it may be about. Microseconds since 1970.
    """

    place: str
    value: bytes
    changed_at: int | None
    logged_at: int | None


def tell(
    table: Table,
    row: Row,
    related: Mapping[str, Sequence[Row]],
    changed: datetime | None,
    context: ReadContext,
) -> list[CurrentRecord]:
    """Return the records that a row tells, none where it is no record of the CRM.

    `changed` is the latest change. Times that name no zone are in that of the context.
    """
    changed_at = None if changed is None else to_ticks(changed)
    row_id = str(row[table.id])
    try:
        told = table.tell(row, related, Clock(context))
        return [each for fields in told for each in _records(fields, changed_at, context.zone)]
    except ValidationError as error:
        reason = explain(error)
    except InvalidRecord as error:
        reason = str(error)
    shown = RecordOutline(context.identifiers).shown_values(
        {name: value for name, value in row.items() if value is not None}
    )
    fields = {"kind": REJECTED, "reason": reason, "raw_text": shown}
    return [CurrentRecord(row_id, fields, _digest(fields, changed_at), changed_at, None)]


def version(table: str, told: CurrentRecord, known_at: int | None, is_known: bool, read_at: int) -> Version:
    """Return the version of a record that is new or has changed. `known_at`: when the last one changed.

    `read_at` stands in for the time of a change that nothing tells. Microseconds since 1970.
    """
    if told.kind in (REJECTED, "user"):
        return _version(table, told.record_id, told.fields, None)
    changed_at = told.changed_at
    if is_known:
        changed_at = max(read_at if changed_at is None else changed_at, -1 if known_at is None else known_at + 1)
    return _version(table, told.record_id, told.fields, changed_at)


def deletion(table: str, record_id: str, left: bytes, known_at: int | None, read_at: int) -> Version:
    """Return the version of a record that is gone; arguments as `version`."""
    fields = {**orjson.loads(left), "deleted": True}
    return _version(table, record_id, fields, read_at if known_at is None else known_at + 1)


def to_ticks(moment: datetime) -> int:
    """Return microseconds since 1970."""
    return (moment - _EPOCH) // _TICK


def from_ticks(ticks: int) -> datetime:
    """Return the instant, UTC, so many microseconds after 1970 began."""
    return _EPOCH + ticks * _TICK


def _records(fields: Fields, changed_at: int | None, zone: ZoneInfo) -> list[CurrentRecord]:
    """Return a record; one that is tied to several accounts alone becomes one for each, as it is in the end.

    Every record that ever came of a row is known by its id then, so that one can be taken back.
    """
    accounts = sorted(set(fields.get("account_ids", ())))
    if len(accounts) < 2:
        return [_told(fields, changed_at, zone)]
    key = _IDS[fields["kind"]]
    parts = [{**fields, key: f"{fields[key]}:{each}", "account_ids": [each], "contact_ids": []} for each in accounts]
    return [_told(each, changed_at, zone) for each in ({**fields, "account_ids": [], "deleted": True}, *parts)]


def _told(fields: Fields, changed_at: int | None, zone: ZoneInfo) -> CurrentRecord:
    kind = fields["kind"]
    record = RECORD_MODELS[kind].model_validate(fields)
    said = getattr(record, "updated_at", None)
    if said is not None:
        said_at = to_ticks(said if said.tzinfo is not None else said.replace(tzinfo=zone))
        changed_at = said_at if changed_at is None else max(changed_at, said_at)
    if isinstance(record, (Activity, Ticket)):
        if record.logged_at is None and record.logged_on is None:
            raise InvalidRecord("logged_at: nothing says when it was logged")
        if record.logged_at is not None and record.logged_at.tzinfo is None:
            record = record.model_copy(update={"logged_at": record.logged_at.replace(tzinfo=zone)})
    plain = record.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    plain = {"kind": kind, **plain}
    plain.pop("updated_at", None)
    left = None
    if kind != "user" and not plain.get("deleted"):
        keep = _LEFT | {"account_id"} if kind == "account" else _LEFT
        left = orjson.dumps({name: value for name, value in plain.items() if name in keep})
    return CurrentRecord(str(plain[_IDS[kind]]), plain, _digest(plain, changed_at), changed_at, left)


def _version(table: str, record_id: str, fields: Mapping[str, Any], changed_at: int | None) -> Version:
    whole = dict(fields)
    if changed_at is not None:
        whole["updated_at"] = from_ticks(changed_at).isoformat()
    value = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    place = content_number(b"\0".join((table.encode(), record_id.encode(), value)))
    logged = whole.get("logged_at") or whole.get("logged_on")
    return Version(place, value, changed_at, None if logged is None else _ticks_of(logged))


def _ticks_of(written: str) -> int:
    moment = datetime.fromisoformat(written)
    return to_ticks(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _digest(fields: Mapping[str, Any], changed_at: int | None) -> int:
    data = orjson.dumps([changed_at, fields], option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big", signed=True)
