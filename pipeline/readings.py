"""Facts as messages and messages as facts, exactly: what a parser read goes over a raw topic and comes out the same.

On the way a token is the identifier that it stands for, because whoever publishes and whoever takes in may be
different machines and the topic belongs to the company's own systems, all of which write clear identifiers there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast, get_args

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InvalidRecord
from pipeline.identifiers import Identifiers, registrable_domain
from pipeline.sources.registry import DeadLetter
from schemas.crm import ActivityKind, Precision
from schemas.directory import Function
from schemas.facts import INSTANT, PARTIES, SCHEMAS, STRINGS, FactKind
from schemas.raw import Channel, Direction, Line
from schemas.reading import Rejected

_ZONED: Final = pa.timestamp("us", "UTC")
_NO_TYPE: Final = type(None)
_TOKENS: Final = frozenset({"from_token", "to_token", "email_token", "direct_token", "mobile_token", "tokens", "token"})
_DOMAINS: Final = frozenset({"from_domain", "to_domain", "domains"})
_REQUIRED: Final[dict[str, frozenset[str]]] = {
    "observation": frozenset(
        ("raw_id", "source", "record_digest", "channel", "started_at", "ended_at", "talk_seconds", "talk_basis", "key")
    ),
    "directory_entry": frozenset({"team", "function"}),
    "contact": frozenset({"raw_id", "source", "contact_id"}),
    "account": frozenset({"raw_id", "source", "account_id"}),
    "crm_user": frozenset({"raw_id", "source", "user_id"}),
    "activity": frozenset({"raw_id", "source", "activity_id", "kind", "logged_from", "logged_to", "precision"}),
    "feed_progress": frozenset({"source", "complete_through"}),
}
_WORDS: Final[dict[tuple[str, str], frozenset[str | None]]] = {
    ("observation", "channel"): frozenset(get_args(Channel)),
    ("observation", "line"): frozenset({None, *get_args(Line)}),
    ("observation", "direction"): frozenset({None, *get_args(Direction)}),
    ("observation", "attempt"): frozenset({None, "talk", "unanswered", "no_human"}),
    ("directory_entry", "function"): frozenset(get_args(Function)),
    ("activity", "kind"): frozenset({*get_args(ActivityKind), "ticket"}),
    ("activity", "precision"): frozenset(get_args(Precision)),
    ("activity", "direction"): frozenset({None, "inbound", "outbound"}),
}
_ROLES: Final = frozenset({"to", "cc", "bcc", "delivered"})
_PARTY: Final = frozenset({"role", "token", "domain"})
_KNOWN: Final = {kind: frozenset(schema.names) for kind, schema in SCHEMAS.items()} | {
    "identifier": frozenset({"token"})
}
_EVENT_TIME: Final = {"observation": "started_at", "activity": "logged_from", "feed_progress": "complete_through"}


# From facts to messages


class ReadingWriter:
    """Writes facts as messages. Remembers the clear form of every identifier that it was told, one text each."""

    def __init__(self) -> None:
        self._clear: dict[str, str] = {}  # kind:canonical by token

    def learn(self, identifiers: pa.Table) -> None:
        """Take in identifier facts of `Identifiers(..., clear=True)`, whose displays are the canonical forms."""
        columns = (identifiers.column(name).to_pylist() for name in ("token", "kind", "display"))
        for token, kind, display in zip(*columns, strict=True):
            self._clear[token] = f"{kind}:{display}"

    def write(self, kind: FactKind, table: pa.Table) -> list[bytes]:
        """Return one message for each fact, in their order.

        Raises:
            KeyError: when a token was not learnt.
        """
        kept = [name for name in table.column_names if table.column(name).null_count < table.num_rows]
        columns = [self._named(name, table.column(name)) for name in kept]
        head = {"kind": "reading", "version": 1, "fact": kind}
        rows = zip(*columns, strict=True) if columns else ((),) * table.num_rows
        return [
            orjson.dumps(
                {**head, "row": {name: value for name, value in zip(kept, row, strict=True) if value is not None}}
            )
            for row in rows
        ]

    def write_unmentioned(self, facts: Mapping[str, pa.Table]) -> list[bytes]:
        """Return a message for each identifier of a batch that none of its facts mentions: its parser met it.

        The domain of an address that is mentioned counts as mentioned: who reads the address meets it too.
        """
        met = facts.get("identifier")
        if met is None or not met.num_rows:
            return []
        tokens = {
            token
            for kind, table in facts.items()
            if kind != "identifier"
            for name in table.column_names
            for token in _tokens_of(name, table.column(name))
        }
        mentioned = {self._clear[token] for token in tokens if token is not None}
        addresses = (name for name in mentioned if name.startswith("email:"))
        mentioned |= {f"domain:{registrable_domain(address.rpartition('@')[2])}" for address in addresses}
        names = dict.fromkeys(self._clear[token] for token in met.column("token").to_pylist())
        head = {"kind": "reading", "version": 1, "fact": "identifier"}
        return [orjson.dumps({**head, "row": {"token": name}}) for name in names if name not in mentioned]

    def _named(self, name: str, column: pa.ChunkedArray) -> list[Any]:
        """Return a column's values as JSON can hold them, identifiers in place of tokens."""
        clear = self._clear
        if pa.types.is_timestamp(column.type):
            column = pc.strftime(column.cast(_ZONED), format="%Y-%m-%dT%H:%M:%SZ")
        values: list[Any] = column.to_pylist()
        if name == "parties":
            return [parties if parties is None else [self._party(party) for party in parties] for parties in values]
        if name in ("tokens", "domains"):
            return [tokens if tokens is None else [clear[token] for token in tokens] for tokens in values]
        if name in _TOKENS or name in _DOMAINS:
            return [None if token is None else clear[token] for token in values]
        return values

    def _party(self, party: Mapping[str, str | None]) -> dict[str, str | None]:
        return {name: value if name == "role" or value is None else self._clear[value] for name, value in party.items()}


def write_rejected(letter: DeadLetter) -> bytes:
    """Return the message of a record that a parser refused."""
    return orjson.dumps(
        {
            "kind": "rejected",
            "version": 1,
            "raw_id": letter.raw_id,
            "source": letter.source,
            "file": letter.file,
            "position": letter.position,
            "unit": letter.unit,
            "reason": letter.reason,
            "raw_text": letter.raw_text,
            "is_raw_event": letter.is_raw_event,
        }
    )


def _tokens_of(name: str, column: pa.ChunkedArray) -> list[str | None]:
    if name == "parties":
        flat = pc.list_flatten(column)
        return [value for field in ("token", "domain") for value in pc.struct_field(flat, field).to_pylist()]
    if name in ("tokens", "domains"):
        return cast("list[str | None]", pc.list_flatten(column).to_pylist())
    if name in _TOKENS or name in _DOMAINS:
        return cast("list[str | None]", column.unique().to_pylist())
    return []


# From messages to facts


class ReadingReader:
    """Reads rows of readings into facts, by column. Bounded in memory; for one thread."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers

    def read(
        self, kind: FactKind, rows: Sequence[Mapping[str, Any]], latest: int
    ) -> tuple[pa.Table | None, list[int], list[tuple[int, str]]]:
        """Return facts of one kind, the indexes of their rows, and index and reason of each row that gives none.

        `latest` is the last instant, in microseconds since 1970, that an event may have. Identifiers give no table:
        reading them announces them.
        """
        tables: list[pa.Table] = []
        used: list[int] = []
        rejections: list[tuple[int, str]] = []

        def read(start: int, stop: int) -> None:
            # Halves of halves: a row that cannot be used costs its neighbours little, and is found alone.
            try:
                table = self._table(kind, rows[start:stop], latest)
            except InvalidRecord as error:
                if stop - start == 1:
                    rejections.append((start, str(error)))
                    return
                middle = (start + stop) // 2
                read(start, middle)
                read(middle, stop)
                return
            used.extend(range(start, stop))
            if table is not None:
                tables.append(table)

        if rows:
            read(0, len(rows))
        return (pa.concat_tables(tables) if tables else None), used, rejections

    def _table(self, kind: FactKind, rows: Sequence[Mapping[str, Any]], latest: int) -> pa.Table | None:
        schema = SCHEMAS[kind]
        present = set().union(*rows)
        if not _KNOWN[kind].issuperset(present):
            raise InvalidRecord(f"the row has a column that {kind} does not know")
        if kind == "identifier":
            self._announce([row.get("token") for row in rows])
            return None
        arrays: dict[str, pa.Array] = {}
        named: list[tuple[pa.Field, list[Any]]] = []
        for column in schema:
            name = column.name
            values = [row.get(name) for row in rows] if name in present else [None]
            types = set(map(type, values))
            if _NO_TYPE in types and name in _REQUIRED[kind]:
                raise InvalidRecord(f"{name}: missing; every {kind} needs it")
            if types == {_NO_TYPE}:
                arrays[name] = pa.nulls(len(rows), column.type)
            elif name in _TOKENS or name in _DOMAINS or name == "parties":
                named.append((column, values))
            else:
                arrays[name] = _plain(kind, column, values, types)
        _refuse_future(kind, arrays, latest)
        for column, values in named:  # last, so that a row that is refused announces nobody
            arrays[column.name] = self._tokens(column, values)
        return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)

    def _announce(self, names: list[Any]) -> None:
        if set(map(type, names)) != {str}:
            raise InvalidRecord("token: expected an identifier such as phone:+358401234567")
        self._identifiers.clear_tokens(names)

    def _tokens(self, column: pa.Field, values: list[Any]) -> pa.Array:
        name = column.name
        try:
            if column.type == PARTIES:
                return self._parties(values)
            if column.type == STRINGS:
                lists = [value for value in values if value is not None]
                if set(map(type, lists)) != {list}:
                    raise InvalidRecord("expected a list of identifiers")
                tokens = iter(self._read_tokens([text for texts in lists for text in texts], name in _DOMAINS))
                return pa.array([None if texts is None else [next(tokens) for _ in texts] for texts in values], STRINGS)
            return pa.array(self._read_tokens(values, name in _DOMAINS), pa.string())
        except InvalidRecord as error:
            raise InvalidRecord(f"{name}: {error}") from None

    def _parties(self, values: list[Any]) -> pa.Array:
        lists = [value for value in values if value is not None]
        if set(map(type, lists)) != {list}:
            raise InvalidRecord("expected a list of parties")
        members = [party for parties in lists for party in parties]
        if set(map(type, members)) - {dict} or not _PARTY.issuperset(set().union(*members)):
            raise InvalidRecord("expected parties of role, token and domain")
        roles = [party.get("role") for party in members]
        if set(map(type, roles)) - {str} or not _ROLES.issuperset(roles):
            raise InvalidRecord(f"expected a role of {', '.join(sorted(_ROLES))}")
        tokens = self._read_tokens([party.get("token") for party in members], is_domain=False)
        domains = self._read_tokens([party.get("domain") for party in members], is_domain=True)
        structs = pa.StructArray.from_arrays(
            [pa.array(column, pa.string()) for column in (roles, tokens, domains)], fields=list(PARTIES.value_type)
        )
        offsets, place = [], 0
        for value in values:
            offsets.append(None if value is None else place)
            place += len(value or ())
        return pa.ListArray.from_arrays(pa.array([*offsets, place], pa.int32()), structs, type=PARTIES)

    def _read_tokens(self, values: list[Any], is_domain: bool) -> list[str | None]:
        """Return tokens of kind:canonical forms; nulls stay."""
        texts = [value for value in values if value is not None]
        if set(map(type, texts)) - {str}:
            raise InvalidRecord("expected identifiers as text")
        if any(text.startswith("domain:") != is_domain for text in texts):
            raise InvalidRecord(f"expected {'a domain' if is_domain else 'a phone, email or handle'}")
        found = self._identifiers.clear_tokens(texts)
        if len(texts) == len(values):
            return list(found)
        tokens = iter(found)
        return [None if value is None else next(tokens) for value in values]


def _plain(kind: str, column: pa.Field, values: list[Any], types: set[type]) -> pa.Array:
    """Return a column that holds no identifiers.

    Raises:
        InvalidRecord: when a value is not of the column's type, or out of its range.
    """
    type_ = column.type
    expected, is_fine = _EXPECTED[type_]
    words = _WORDS.get((kind, column.name))
    if not is_fine(types):
        raise InvalidRecord(f"{column.name}: expected {expected}")
    if words is not None and not words.issuperset(values):
        raise InvalidRecord(f"{column.name}: expected one of {', '.join(sorted(word for word in words if word))}")
    if type_ == STRINGS and {type(text) for texts in values if texts for text in texts} - {str}:
        raise InvalidRecord(f"{column.name}: expected {expected}")
    try:
        if type_ == INSTANT:
            return pa.array(values, pa.string()).cast(_ZONED).cast(INSTANT)
        return pa.array(values, type_)
    except (pa.ArrowException, OverflowError, ValueError):
        raise InvalidRecord(f"{column.name}: expected {expected}") from None


def _only(*allowed: type) -> Callable[[set[type]], bool]:
    permitted = frozenset({*allowed, _NO_TYPE})
    return permitted.issuperset


_EXPECTED: Final[dict[pa.DataType, tuple[str, Callable[[set[type]], bool]]]] = {
    pa.string(): ("a text", _only(str)),
    pa.uint64(): ("a whole number of 64 bits", _only(int)),
    pa.int8(): ("a small whole number", _only(int)),
    pa.float64(): ("a number", _only(int, float)),
    pa.bool_(): ("true or false", _only(bool)),
    INSTANT: ("an instant such as 2024-05-02T06:15:04Z", _only(str)),
    STRINGS: ("a list of texts", _only(list)),
}


def _refuse_future(kind: str, arrays: Mapping[str, pa.Array], latest: int) -> None:
    name = _EVENT_TIME.get(kind)
    if name is not None:
        last = pc.max(arrays[name].cast(pa.int64())).as_py()
        if last is not None and last > latest:
            raise InvalidRecord(f"dated in the future: {name} is more than a day after the record was read")


def read_rejected(record: Rejected) -> DeadLetter:
    """Return the dead letter of a record that a parser refused."""
    return DeadLetter(
        raw_id=record.raw_id,
        source=record.source,
        file=record.file,
        position=record.position,
        unit=record.unit,
        reason=record.reason,
        raw_text=record.raw_text,
        is_raw_event=record.is_raw_event,
    )
