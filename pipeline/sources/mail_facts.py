"""From the headers of messages to batches of facts, column by column."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InvalidRecord
from pipeline.sources.mailbox_exports import internal_sender, mailbox_of
from pipeline.sources.mbox_stream import HEADER_LIMIT, MessageHead, envelope_date
from pipeline.sources.message_headers import (
    addresses_of,
    header_fields,
    instant_of,
    is_automated,
    is_bulk,
    message_keys,
    read_date,
    received_instants,
    second_key,
    subject_core,
    text_of,
)
from pipeline.sources.registry import Batch, DeadLetter, ReadContext
from pipeline.sources.source_options import check_options
from schemas.facts import OBSERVATION, PARTIES, STRINGS

Unit = Literal["byte", "record"]

DEAD_LETTER_LENGTH: Final = 2_000
_END_OF_TIME: Final = 253_402_300_799  # the last second that has a date
_FUTURE: Final = timedelta(days=1)
_ROLES: Final = (("to", b"to"), ("cc", b"cc"), ("bcc", b"bcc"), ("delivered", b"delivered"))
_PARTIES_NAMED: Final = (b"from", b"sender", b"to", b"cc", b"bcc", b"delivered")
_CACHED_VALUES: Final = 50_000
_LONGEST_CACHED: Final = 1_000

# Fields whose values a dead letter shows, with identifiers masked. Subjects, names and the rest stay where they are.
_SHOWN: Final = frozenset({"date", "return-path", "message-id", "mime-version", "auto-submitted", "precedence"})


# The columns of a row in order. `other_key` and `party_end` (where the message's parties end among all of the batch)
# become lists in the table. Rows and cached addresses are plain tuples of plain values, because Python's garbage
# collector lets go of those; with lists and classes in them it took a third of the time.
_ROW: Final = (
    ("raw_id", pa.string()),
    ("record_digest", pa.uint64()),
    ("started_at", pa.timestamp("us")),
    ("key", pa.string()),
    ("other_key", pa.string()),
    ("event_id", pa.string()),
    ("session_id", pa.string()),
    ("from_token", pa.string()),
    ("from_domain", pa.string()),
    ("party_end", pa.int32()),
    ("automated", pa.bool_()),
    ("bulk", pa.bool_()),
)
_ZERO: Final = pa.array([0], pa.int32())
_Row = tuple[str, int, int, str, str | None, str | None, str | None, str | None, str | None, int, bool, bool]

# The addresses of one header value; the tokens, and the domains' tokens, of those that are identifiers.
_Addresses = tuple[tuple[str, ...], tuple[str, ...], tuple[str | None, ...]]
_NOBODY: Final[_Addresses] = ((), (), ())


class _Rejected(Exception):
    """The reason why a message cannot be used."""


class MailFacts:
    """Gathers messages until they are taken as a batch; every message is one observation or one dead letter.

    `byte_count` is how far the file as stored has been read since the last batch; the reader moves it on.
    """

    def __init__(self, context: ReadContext) -> None:
        """Begin with nothing gathered.

        Raises:
            ConfigurationError: when an option is unknown, or options.mailbox is no address.
        """
        check_options(context, ("mailbox",))
        mailbox_of(context)
        self._context = context
        self._prefix = f"{context.source}:"
        read_at = context.read_at if context.read_at.tzinfo else context.read_at.replace(tzinfo=UTC)
        self._latest = int((read_at + _FUTURE).timestamp())
        self._cache: dict[bytes, _Addresses] = {}
        self.byte_count = 0
        self._begin()

    def _begin(self) -> None:
        self._rows: list[_Row] = []
        self._party_roles: list[str] = []
        self._party_tokens: list[str] = []
        self._party_domains: list[str | None] = []
        self._dead_letters: list[DeadLetter] = []
        self.warnings: list[str] = []

    @property
    def record_count(self) -> int:
        """Messages gathered since the last batch."""
        return len(self._rows) + len(self._dead_letters)

    def warn(self, warning: str) -> None:
        """Add a warning to the batch."""
        self.warnings.append(warning)

    def add(self, head: MessageHead, file: str, unit: Unit, mailbox: str) -> None:
        """Turn a message into one observation, or one dead letter with the reason. `file` is the name in its raw id."""
        try:
            self._observe(head, file, mailbox)
        except _Rejected as rejected:
            self.reject(head, file, unit, str(rejected))

    def reject(self, head: MessageHead, file: str, unit: Unit, reason: str) -> None:
        """Record a dead letter."""
        self._dead_letters.append(
            DeadLetter(
                raw_id=f"{self._prefix}{file}:{head.position}",
                source=self._context.source,
                file=file,
                position=head.position,
                unit=unit,
                reason=reason,
                raw_text=self._shown(head.header),
            )
        )

    def take(self) -> Batch:
        """Return what was gathered since the last batch, and begin the next one."""
        batch = Batch(
            facts={"observation": self._table()},
            record_count=self.record_count,
            byte_count=self.byte_count,
            dead_letters=self._dead_letters,
            warnings=self.warnings,
        )
        self._begin()
        self.byte_count = 0
        return batch

    def _observe(self, head: MessageHead, file: str, mailbox: str) -> None:
        header = head.header
        fields = header_fields(header)
        if head.is_cut and fields:
            raise _Rejected(f"the header is longer than {HEADER_LIMIT:,} bytes")
        sender, from_token, from_domain = self._sender(fields, mailbox)
        recipients = [(role, self._addresses(fields.get(name))) for role, name in _ROLES if name in fields]
        if not sender and not any(fields.get(name, b"").strip() for name in _PARTIES_NAMED):
            raise _Rejected("no sender and no recipient" if fields else "not a message: no header of mail")
        sent_at = self._date(fields, head)

        visible = [address for role, (addresses, _, _) in recipients if role in ("to", "cc") for address in addresses]
        other_key = second_key(sender, visible, subject_core(fields.get(b"subject", b"")), sent_at)
        written_id = _id_text(fields.get(b"message-id", b""))
        event_id, masked_id = message_keys(written_id, (sender, *visible) if sender else visible)
        digest = hashlib.sha256(mailbox.encode("utf-8", "surrogatepass") + b"\0" + header).digest()

        for role, (_, tokens, domains) in recipients:
            self._party_roles += [role] * len(tokens)
            self._party_tokens += tokens
            self._party_domains += domains
        self._rows.append(
            (
                f"{self._prefix}{file}:{head.position}",
                int.from_bytes(digest[:8], "big"),
                sent_at * 1_000_000,
                "m:" + event_id if event_id else other_key,
                other_key if event_id else None,
                event_id or None,
                masked_id or None,
                from_token,
                from_domain,
                len(self._party_tokens),
                is_automated(fields),
                is_bulk(fields),
            )
        )

    def _sender(self, fields: Mapping[bytes, bytes], mailbox: str) -> tuple[str, str | None, str | None]:
        """Return the sender's address, empty when there is none, with its token and domain."""
        unknown = ""
        for name in (b"from", b"sender", b"return-path"):
            addresses, tokens, domains = self._addresses(fields.get(name))
            if tokens:
                return addresses[0], tokens[0], domains[0]
            if addresses and not unknown:
                unknown = addresses[0]
        return self._internal_sender(fields, mailbox) or (unknown, None, None)

    def _internal_sender(
        self, fields: Mapping[bytes, bytes], mailbox: str
    ) -> tuple[str, str | None, str | None] | None:
        """Return an address of our own for a sender by an X.500 name, None for any other."""
        for name in (b"from", b"sender"):
            try:
                owner = mailbox_of(replace(self._context, file=mailbox or self._context.file))
                address = internal_sender(text_of(fields.get(name, b"")), owner)
            except InvalidRecord as error:
                raise _Rejected(str(error)) from None
            if address is not None:
                identity = self._context.identifiers.email(address)
                return address, identity.token, identity.domain
        return None

    def _addresses(self, raw: bytes | None) -> _Addresses:
        if not raw:
            return _NOBODY
        known = self._cache.get(raw)
        if known is None:
            known = self._read_addresses(raw)
            if len(raw) <= _LONGEST_CACHED:
                if len(self._cache) >= _CACHED_VALUES:
                    self._cache.clear()
                self._cache[raw] = known
        return known

    def _read_addresses(self, raw: bytes) -> _Addresses:
        addresses = addresses_of(raw)
        identities = [self._context.identifiers.email(address) for address in addresses]
        known = [(identity.token, identity.domain) for identity in identities if identity.token is not None]
        return addresses, tuple(token for token, _ in known), tuple(domain for _, domain in known)

    def _date(self, fields: Mapping[bytes, bytes], head: MessageHead) -> int:
        """Return when the message was sent, in seconds since 1970: by its Date, its first server, or its envelope."""
        raw = fields.get(b"date")
        stated = instant_of(raw) if raw else None
        if stated is not None and stated <= self._latest:
            return stated
        for instant in received_instants(head.header):
            if instant <= self._latest:
                return instant
        envelope = envelope_date(head.envelope)
        if stated is None and envelope:
            stated = read_date(text_of(envelope), self._context.zone)
            if stated is not None and stated <= self._latest:
                return stated
        if stated is not None:
            moment = datetime.fromtimestamp(min(stated, _END_OF_TIME), UTC)
            raise _Rejected(f"dated in the future: {moment:%Y-%m-%d %H:%M:%S} UTC is over a day after the reading")
        raise _Rejected("no date: no Date, Received or envelope line that can be read")

    def _shown(self, header: bytes) -> str:
        """Return what a dead letter may show of a header: the names of fields, harmless values, identifiers masked."""
        shown: list[str] = []
        is_shown = False
        for line in text_lines(header[: DEAD_LETTER_LENGTH * 4]):
            name, colon, _ = line.partition(":")
            if line[:1] in (" ", "\t"):
                if is_shown:
                    shown.append(line)
            elif colon and name.strip() and " " not in name.strip():
                is_shown = name.strip().lower() in _SHOWN
                shown.append(line if is_shown else f"{name}: …")
            else:
                is_shown = False
                shown.append(f"… ({len(line)} characters)")
        return self._context.identifiers.redact("\n".join(shown))[:DEAD_LETTER_LENGTH]

    def _table(self) -> pa.Table:
        count = len(self._rows)
        values: list[Sequence[Any]] = list(zip(*self._rows, strict=True)) or [()] * len(_ROW)
        row = {name: pa.array(column, type_) for (name, type_), column in zip(_ROW, values, strict=True)}
        parties = pa.StructArray.from_arrays(
            [
                pa.array(self._party_roles, pa.string()),
                pa.array(self._party_tokens, pa.string()),
                pa.array(self._party_domains, pa.string()),
            ],
            fields=list(PARTIES.value_type),
        )
        has_other = row["other_key"].is_valid()
        other_ends = pc.cumulative_sum(has_other.cast(pa.int32()))
        given: dict[str, Any] = {
            **row,
            "source": pa.repeat(pa.scalar(self._context.source), count),
            "channel": pa.repeat(pa.scalar("email"), count),
            "ended_at": row["started_at"],
            "talk_seconds": pa.repeat(pa.scalar(0.0), count),
            "talk_basis": pa.repeat(pa.scalar(0, pa.int8()), count),
            "parties": pa.ListArray.from_arrays(pa.concat_arrays([_ZERO, row["party_end"]]), parties, type=PARTIES),
            "other_keys": pa.ListArray.from_arrays(
                pa.concat_arrays([_ZERO, other_ends]),
                row["other_key"].drop_null(),
                type=STRINGS,
                mask=pc.invert(has_other),
            ),
            "emergency": pa.repeat(pa.scalar(False), count),
        }
        columns = [given[field.name] if field.name in given else pa.nulls(count, field.type) for field in OBSERVATION]
        return pa.Table.from_arrays(columns, schema=OBSERVATION)


def _id_text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").replace("\0", "")


def text_lines(raw: bytes) -> list[str]:
    """Return lines of raw bytes as text for people."""
    return raw.decode("utf-8", "replace").replace("\0", "").splitlines()
