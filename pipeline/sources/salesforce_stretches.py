"""Plain stretches of an export, turned into facts column by column.

What a record means is decided in `salesforce_records`; here the same is decided for tens of thousands at once. Only
what is common is known here. Whatever else a stretch holds - a record without an id or a time, a time that cannot
be read or has not come, a cell too many - sends it back to be read record by record, with all that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import count_from, fact_table
from pipeline.sources.message_headers import masked_key
from pipeline.sources.registry import ReadContext
from pipeline.sources.salesforce_columns import TEXT, Columns, Moments, NotPlain, lists
from pipeline.sources.salesforce_options import RecordOptions, subtype_kind, type_kind
from pipeline.sources.salesforce_records import ACCOUNT_PHONES, PHONES, RecordReader
from pipeline.sources.salesforce_table import Table, first_lines
from schemas.facts import INSTANT, FactKind

_KEYS: Final = ("Id", "Guid")
_STATE: Final = (
    *_KEYS, "CreatedDate", "LastModifiedDate", "SystemModstamp", "IsDeleted", "_fivetran_deleted", "_fivetran_active",
)  # fmt: skip
_ACTIVITY: Final = (
    *_STATE, "WhoId", "WhatId", "AccountId", "Subject", "Type", "OwnerId", "CreatedById", "CallType", "CallObject",
    "MessageIdentifier",
)  # fmt: skip
_FIELDS: Final = {
    "Task": (*_ACTIVITY, "TaskSubtype", "EmailMessageId", "CallDurationInSeconds"),
    "Event": (*_ACTIVITY, "EventSubtype"),
    "Contact": (*_STATE, *PHONES, "Email", "AccountId"),
    "Lead": (*_STATE, *PHONES, "Email", "ConvertedAccountId", "ConvertedContactId"),
    "Account": (*_STATE, *ACCOUNT_PHONES, "PersonEmail", "Website", "Industry", "Type"),
    "User": (*_KEYS, "_fivetran_active", "Email", "Username"),
}
_FLAG: Final = pa.bool_()


@dataclass(frozen=True)
class Found:
    """The facts of a stretch, all of one kind, and how many records gave them or gave none."""

    kind: FactKind
    table: pa.Table
    record_count: int


class StretchReader:
    """Reads the plain stretches of one file.

    `is_able` is false where the file or its object is none that can be read by columns.
    """

    def __init__(
        self,
        object_name: str,
        table: Table,
        places: dict[str, int],
        reader: RecordReader,
        options: RecordOptions,
        context: ReadContext,
    ) -> None:
        self._table = table
        self._places = places
        self._reader = reader
        self._options = options
        self._context = context
        self._tokens = context.identifiers
        self._fields = (*_FIELDS.get(object_name, ()), *options.extra_fields(object_name))
        readers: dict[str, tuple[FactKind, Callable[[Columns], dict[str, pa.Array]]]] = {
            "Task": ("activity", self._tasks), "Event": ("activity", self._events),
            "Contact": ("contact", self._contacts), "Lead": ("contact", self._leads),
            "Account": ("account", self._accounts), "User": ("crm_user", self._users),
        }  # fmt: skip
        self._read = readers.get(object_name)
        is_dated = self._read is not None and (self._read[0] != "activity" or "CreatedDate" in places)
        self.is_able = is_dated and len(table.header) > 1

    def read(self, data: bytes, first_line: int) -> Found | None:
        """Return the facts of a plain stretch; None when it must be read record by record. Then nothing has changed."""
        if self._read is None:
            return None
        kind, read = self._read
        try:
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n")
            if b"\r" in data:
                return None
            width, delimiter = len(self._table.header), self._table.delimiter
            columns = Columns(data, width, delimiter, self._places, self._fields, self._context.zone)
            lines = _numbers(data, first_line, len(columns))
            count = len(columns)
            if columns.has("_fivetran_active"):
                is_current = pc.fill_null(columns.flag("_fivetran_active"), True)
                columns.keep(is_current)
                lines = lines.filter(is_current)
            facts = self._identified(columns, lines)
            facts |= read(columns)
        except NotPlain:
            return None
        names = {"activity": "activity_id", "contact": "contact_id", "account": "account_id", "crm_user": "user_id"}
        facts[names[kind]] = facts.pop("")
        return Found(kind, fact_table(kind, facts, len(columns)), count)

    def _identified(self, columns: Columns, lines: pa.Array) -> dict[str, pa.Array]:
        ids = columns.id("Id")
        if ids.null_count:
            ids = pc.coalesce(ids, columns.id("Guid"))
        if ids.null_count:
            raise NotPlain
        prefix = self._context.raw_id(0)[:-1]
        raw_ids = pc.binary_join_element_wise(pa.scalar(prefix), pc.cast(lines, TEXT), "")
        return {"": ids, "raw_id": raw_ids, "source": pa.repeat(self._context.source, len(columns))}

    # Who

    def _contacts(self, columns: Columns) -> dict[str, pa.Array]:
        return self._people(columns, columns.id("AccountId"))

    def _leads(self, columns: Columns) -> dict[str, pa.Array]:
        account = pc.coalesce(columns.id("ConvertedAccountId"), columns.id("ConvertedContactId"))
        return self._people(columns, account)

    def _people(self, columns: Columns, account: pa.Array) -> dict[str, pa.Array]:
        state = self._state(columns, None)
        options = self._options
        tokens = self._identities(columns, (*PHONES, *options.phone_fields), ("Email", *options.email_fields))
        return {"account_id": account, "tokens": tokens, **state}

    def _accounts(self, columns: Columns) -> dict[str, pa.Array]:
        state = self._state(columns, None)
        options = self._options
        tokens = self._identities(
            columns, (*ACCOUNT_PHONES, *options.phone_fields), ("PersonEmail", *options.email_fields)
        )
        domains = columns.read("Website", self._tokens.domain_token, TEXT)
        if options.segment_field:
            segment = columns.text(options.segment_field)
        else:
            segment = pc.coalesce(columns.text("Industry"), columns.text("Type"))
        return {"tokens": tokens, "domains": lists(domains), "segment": segment, **state}

    def _users(self, columns: Columns) -> dict[str, pa.Array]:
        tokens = self._emails(columns, "Email", pa.repeat(True, len(columns)))
        if tokens.null_count:
            tokens = pc.coalesce(tokens, self._emails(columns, "Username", pc.is_null(tokens)))
        return {"email_token": tokens}

    def _identities(self, columns: Columns, phones: Iterable[str], emails: Iterable[str]) -> pa.Array:
        """Return the tokens of the numbers and addresses in some fields, each once, sorted."""
        everywhere = pa.repeat(True, len(columns))
        found = [self._phones(columns, field) for field in phones if columns.has(field)]
        found += [self._emails(columns, field, everywhere) for field in emails if columns.has(field)]
        return lists(*_sorted([part for part in found if part.null_count < len(columns)], len(columns)))

    def _phones(self, columns: Columns, field: str) -> pa.Array:
        texts, places = columns.texts(field)
        asked = pa.array([text or None for text in texts], TEXT)
        table = self._tokens.phone_table(asked)
        known = table.column("token").combine_chunks()
        return known.take(pc.index_in(asked, value_set=table.column("raw").combine_chunks())).take(places)

    def _emails(self, columns: Columns, field: str, is_asked: pa.Array) -> pa.Array:
        texts, places = columns.texts(field)
        places = pc.if_else(is_asked, places, pa.scalar(None, pa.int32()))
        wanted = pc.drop_null(pc.unique(places)).to_pylist()
        tokens: list[str | None] = [None] * len(texts)
        for place, token in zip(wanted, self._tokens.email_tokens([texts[place] for place in wanted]), strict=True):
            tokens[place] = token
        return pa.array(tokens, TEXT).take(places)

    # What was logged

    def _tasks(self, columns: Columns) -> dict[str, pa.Array]:
        return self._logged_by_hand(columns, self._task_kinds)

    def _events(self, columns: Columns) -> dict[str, pa.Array]:
        return self._logged_by_hand(columns, self._event_kinds)

    def _logged_by_hand(self, columns: Columns, kinds: Callable[[Columns], pa.Array]) -> dict[str, pa.Array]:
        created = columns.moment("CreatedDate")
        if created.first.null_count:
            raise NotPlain
        state = self._state(columns, created)
        account, what = columns.id("AccountId"), columns.id("WhatId")
        if what.null_count < len(what):
            is_account = pc.and_(pc.starts_with(what, "001"), pc.fill_null(pc.not_equal(what, account), True))
            what = pc.if_else(is_account, what, pa.scalar(None, TEXT))
        message = columns.read("MessageIdentifier", lambda text: masked_key(text) or None, TEXT)
        return {
            "kind": kinds(columns),
            "logged_from": created.first,
            "logged_to": created.last,
            "precision": created.precision,
            "owner_id": columns.id("OwnerId"),
            "creator_id": columns.id("CreatedById"),
            "contact_ids": lists(columns.id("WhoId")),
            "account_ids": lists(account, what),
            "keys": lists(columns.text("CallObject"), message),
            "tokens": lists(pa.nulls(len(columns), TEXT)),
            "direction": columns.read("CallType", _direction, TEXT),
            **state,
        }

    def _task_kinds(self, columns: Columns) -> pa.Array:
        """Return what `task_kind` says of each record."""
        subtype = columns.read("TaskSubtype", subtype_kind, TEXT)
        if not subtype.null_count:
            return subtype
        is_call = pc.or_(self._is_call(columns), columns.read("CallDurationInSeconds", _is_duration, _FLAG))
        known = pc.coalesce(
            subtype,
            pc.if_else(pc.is_valid(columns.id("EmailMessageId")), "email", pa.scalar(None, TEXT)),
            pc.if_else(is_call, "call", pa.scalar(None, TEXT)),
            columns.read("Type", lambda text: type_kind(text, self._options), TEXT),
        )
        named = columns.read("Type", lambda text: "other" if text.lower() == "other" else "task", TEXT)
        return pc.coalesce(known, self._subject_kinds(columns, pc.is_null(known)), named)

    def _event_kinds(self, columns: Columns) -> pa.Array:
        """Return what `event_kind` says of each record."""
        is_call = pc.or_(
            pc.or_(columns.read("EventSubtype", lambda text: text.lower() == "call", _FLAG), self._is_call(columns)),
            columns.read("Type", lambda text: type_kind(text, self._options) == "call", _FLAG),
        )
        by_subject = pc.fill_null(pc.equal(self._subject_kinds(columns, pc.invert(is_call)), "call"), False)
        return pc.if_else(pc.or_(is_call, by_subject), "call", "meeting")

    def _is_call(self, columns: Columns) -> pa.Array:
        return pc.or_(columns.read("CallType", bool, _FLAG), pc.is_valid(columns.text("CallObject")))

    def _subject_kinds(self, columns: Columns, is_asked: pa.Array) -> pa.Array:
        """Return what the subject says where it is asked; subjects that nobody asks about cost nothing."""
        texts, places = columns.texts("Subject")
        places = pc.if_else(is_asked, places, pa.scalar(None, pa.int32()))
        wanted = set(pc.unique(places).to_pylist())
        kind = self._options.rules.kind
        return pa.array([kind(text) if i in wanted else None for i, text in enumerate(texts)], TEXT).take(places)

    # When

    def _state(self, columns: Columns, created: Moments | None) -> dict[str, pa.Array]:
        """Return last change and deletion; note how far the file reaches."""
        first = (created or columns.moment("CreatedDate")).first
        latest = pc.max(first).as_py()
        if latest is not None and latest > self._reader.now + timedelta(days=1):
            raise NotPlain
        updated = columns.moment("SystemModstamp").first
        if updated.null_count:
            updated = pc.coalesce(updated, columns.moment("LastModifiedDate").first)
        if updated.null_count:
            updated = pc.coalesce(updated, first)
        now = pa.scalar(self._reader.now, INSTANT)
        for instants in (first, updated):
            reached: datetime | None = pc.max(instants.filter(pc.less_equal(instants, now))).as_py()
            if reached is not None:
                self._reader.advance(reached)
        deleted = pc.fill_null(columns.flag("IsDeleted"), False)
        if columns.has("_fivetran_deleted"):
            deleted = pc.or_(deleted, pc.fill_null(columns.flag("_fivetran_deleted"), False))
        return {"updated_at": updated, "deleted": deleted}


def _numbers(data: bytes, first_line: int, count: int) -> pa.Array:
    """Return the number of each record's first line."""
    if data.count(b"\n") + (not data.endswith(b"\n")) == count:
        return count_from(first_line, count)
    numbers = first_lines(data, first_line)
    if numbers is None or len(numbers) != count:
        raise NotPlain
    return pa.array(numbers, pa.int64())


def _direction(call_type: str) -> str | None:
    return call_type.lower() if call_type.lower() in ("inbound", "outbound") else None


def _is_duration(text: str) -> bool:
    return bool(text.strip("0."))


def _sorted(parts: Sequence[pa.Array], count: int) -> list[pa.Array]:
    """Return columns that hold each row's distinct values in order, nulls anywhere."""
    if len(parts) < 2:
        return list(parts) or [pa.nulls(count, TEXT)]
    if len(parts) == 2:
        low, high = pc.min_element_wise(*parts), pc.max_element_wise(*parts)
        return [low, pc.if_else(pc.equal(low, high), pa.scalar(None, TEXT), high)]
    columns: list[list[str | None]] = [[] for _ in parts]
    for row in zip(*(part.to_pylist() for part in parts), strict=True):
        values = sorted({value for value in row if value})
        for place, column in enumerate(columns):
            column.append(values[place] if place < len(values) else None)
    return [pa.array(column, TEXT) for column in columns]
