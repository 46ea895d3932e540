"""What the sources of a company cover, side by side: since when, with which gaps, and how well they know who took part.

A look before the run, from the same facts: it decides nothing about the number.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.silence import DAY, HOUR, Hours, Silence, Stream, UnusualDay, silences, unusual_days
from schemas.settings import EngineSettings

QUARTER: Final = timedelta(minutes=15)
MOST_NAMED: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_TICKS: Final = 900_000_000
_OWN_TOKENS: Final = ("email_token", "direct_token", "mobile_token")
# Fewer records say nothing of when people work.
_ENOUGH: Final = 100
_NIGHT: Final = frozenset({*range(21, 24), *range(5)})
_INNER_NUMBER: Final = re.compile(r"[0-9]{2,6}", re.ASCII).fullmatch


@dataclass(frozen=True)
class SourceCoverage:
    """What one source says of one channel.

    `first_at` and `last_at` are local, without zone. `stranger_count`: records of which no party is known to be ours.
    `nameless_count`: those that name no identifier at all, withheld or unreadable. `unlisted`: extensions of ours that
    are in no row of the directory, with how often they occur.
    """

    source: str
    channel: str
    record_count: int
    first_at: datetime
    last_at: datetime
    stranger_count: int
    nameless_count: int
    unlisted: Mapping[str, int]


class Coverage:
    """Gathers what sources cover. Bounded by hours, channels and extensions, not by records."""

    def __init__(self, settings: EngineSettings, zone: ZoneInfo) -> None:
        """`zone` is the company's. The directory counts for what is added after it."""
        self._zone = zone
        self._own_tokens = set(settings.own_numbers)
        self._own_domains = settings.own_domains
        self._listed: set[str] = set()
        self._quarters: Counter[tuple[str, str, int]] = Counter()
        self._strangers: Counter[Stream] = Counter()
        self._nameless: Counter[Stream] = Counter()
        self._endpoints: Counter[tuple[str, str, str]] = Counter()
        self._has_directory = False

    def add(self, facts: Mapping[str, pa.Table]) -> None:
        """Add a batch of facts; kinds but observations and rows of the directory say nothing here."""
        if (entries := facts.get("directory_entry")) is not None and entries.num_rows:
            self._add_directory(entries)
        if (observed := facts.get("observation")) is not None and observed.num_rows:
            self._add_observations(observed)

    def sources(self) -> list[SourceCoverage]:
        """Return what each source says of each channel, by name."""
        streams = self._streams()
        unlisted: dict[Stream, dict[str, int]] = defaultdict(dict)
        if self._has_directory:
            for (source, channel, endpoint), count in self._endpoints.most_common():
                if _INNER_NUMBER(endpoint) and endpoint not in self._listed:
                    unlisted[source, channel][endpoint] = count
        return [
            SourceCoverage(
                source, channel, sum(hours.values()), min(hours), max(hours) + HOUR,
                self._strangers[source, channel], self._nameless[source, channel], unlisted[source, channel],
            )
            for (source, channel), hours in sorted(streams.items())
        ]  # fmt: skip

    def silences(self) -> list[Silence]:
        """Return the silences between the first record of all and the last."""
        streams = self._streams()
        return silences(streams, *_span(streams)) if streams else []

    def unusual_days(self) -> list[UnusualDay]:
        """Return the days with far fewer or far more records than usual; the first and the last are not whole."""
        streams = self._streams()
        if not streams:
            return []
        since, until = _span(streams)
        return unusual_days(streams, since + DAY, until - DAY)

    def sentences(self) -> list[str]:
        """Return what is to be looked at: what is missing, what is odd, and who is in no directory."""
        found = [str(silence) for silence in self.silences()]
        found += [str(day) for day in self.unusual_days()]
        for stream, hours in sorted(self._streams().items()):
            found += _odd_hours(stream, hours)
        for each in self.sources():
            found += _who_took_part(each, self._has_directory)
        return found

    def _streams(self) -> dict[Stream, Hours]:
        streams: dict[Stream, Counter[datetime]] = defaultdict(Counter)
        for (source, channel, quarter), count in self._quarters.items():
            local = (_EPOCH + quarter * QUARTER).astimezone(self._zone).replace(tzinfo=None)
            streams[source, channel][local.replace(minute=0)] += count
        return dict(streams)

    def _add_directory(self, entries: pa.Table) -> None:
        self._has_directory = True
        for name in _OWN_TOKENS:
            self._own_tokens.update(_texts(entries, name))
        self._listed.update(_texts(entries, "extension"), _texts(entries, "representative_id"))
        self._listed.update(name.lower() for name in _texts(entries, "name"))

    def _add_observations(self, table: pa.Table) -> None:
        quarter = pc.divide(table["started_at"].cast(pa.int64()), _QUARTER_TICKS)
        marked = pa.table(
            {
                "source": table["source"], "channel": table["channel"], "quarter": quarter,
                "is_stranger": self._is_stranger(table), "is_nameless": _is_nameless(table),
            }
        )  # fmt: skip
        keys = ["source", "channel", "quarter"]
        sums = marked.group_by(keys).aggregate([([], "count_all"), ("is_stranger", "sum"), ("is_nameless", "sum")])
        for row in sums.to_pylist():
            stream = row["source"], row["channel"]
            self._quarters[*stream, row["quarter"]] += row["count_all"]
            self._strangers[stream] += row["is_stranger_sum"]
            self._nameless[stream] += row["is_nameless_sum"]
        for side in ("from_endpoint", "to_endpoint"):
            named = table.select(["source", "channel", side]).filter(pc.is_valid(table[side]))
            for row in named.group_by(["source", "channel", side]).aggregate([([], "count_all")]).to_pylist():
                self._endpoints[row["source"], row["channel"], row[side]] += row["count_all"]

    def _is_stranger(self, table: pa.Table) -> pa.ChunkedArray:
        """Return which records name nobody of ours."""
        tokens = pa.array(sorted(self._own_tokens), pa.string())
        domains = pa.array(sorted(self._own_domains), pa.string())
        ours = pc.is_in(table["from_token"].cast(pa.string()), value_set=tokens)
        ours = pc.or_(ours, pc.is_in(table["to_token"].cast(pa.string()), value_set=tokens))
        for side in ("from_domain", "to_domain"):
            ours = pc.or_(ours, pc.is_in(table[side].cast(pa.string()), value_set=domains))
        for side in ("from_endpoint", "to_endpoint", "via_endpoint"):
            ours = pc.or_(ours, self._is_listed(table[side].cast(pa.string())))
        return pc.invert(pc.or_(ours, _has_own_party(table["parties"], tokens, domains)))

    def _is_listed(self, endpoints: pa.ChunkedArray) -> pa.ChunkedArray:
        listed = pa.array(sorted(self._listed), pa.string())
        known = pc.or_(pc.is_in(endpoints, value_set=listed), pc.is_in(pc.utf8_lower(endpoints), value_set=listed))
        return pc.or_(known, pc.fill_null(pc.match_substring_regex(endpoints, r"^[0-9]{2,6}$"), False))


def _span(streams: Mapping[Stream, Hours]) -> tuple[datetime, datetime]:
    return min(min(hours) for hours in streams.values()), max(max(hours) for hours in streams.values()) + HOUR


def _texts(table: pa.Table, name: str) -> Iterable[str]:
    values: list[str] = pc.unique(pc.drop_null(table[name])).to_pylist()
    return values


def _has_own_party(parties: pa.ChunkedArray, tokens: pa.Array, domains: pa.Array) -> pa.Array:
    """Return which emails have a recipient of ours."""
    lists = parties.combine_chunks()
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    rows, members = pc.list_parent_indices(lists), pc.list_flatten(lists)
    ours = pc.or_(
        pc.is_in(pc.struct_field(members, "token"), value_set=tokens),
        pc.is_in(pc.struct_field(members, "domain"), value_set=domains),
    )
    return pc.is_in(pa.array(range(len(lists)), pa.int64()), value_set=rows.filter(ours).cast(pa.int64()))


def _is_nameless(table: pa.Table) -> pa.ChunkedArray:
    """Return which calls and messages name no identifier on either side, and are not between two of our devices."""
    has_no_token = pc.and_(pc.is_null(table["from_token"]), pc.is_null(table["to_token"]))
    has_two_devices = pc.and_(pc.is_valid(table["from_endpoint"]), pc.is_valid(table["to_endpoint"]))
    is_mail = pc.equal(table["channel"].cast(pa.string()), "email")
    return pc.and_(pc.and_(has_no_token, pc.invert(has_two_devices)), pc.invert(is_mail))


def _odd_hours(stream: Stream, hours: Hours) -> list[str]:
    """Return a sentence when most records of working days lie in the night."""
    working = {hour: count for hour, count in hours.items() if hour.weekday() < 5}
    total = sum(working.values())
    night = sum(count for hour, count in working.items() if hour.hour in _NIGHT)
    if total < _ENOUGH or night * 2 <= total:
        return []
    return [
        f"{stream[0]}: {night / total:.0%} of {stream[1]} on working days lie between 21:00 and 05:00; "
        "is `timezone` of this source right?"
    ]


def _who_took_part(each: SourceCoverage, has_directory: bool) -> list[str]:
    found = []
    if each.unlisted:
        named = ", ".join(f"{endpoint} ({count:,})" for endpoint, count in list(each.unlisted.items())[:MOST_NAMED])
        more = f" and {len(each.unlisted) - MOST_NAMED} more" if len(each.unlisted) > MOST_NAMED else ""
        found.append(f"{each.source}: extensions that are in no row of the directory: {named}{more}")
    if each.stranger_count * 10 > each.record_count:
        remedy = (
            "add their numbers, addresses or devices to the directory, or own domains to [company]"
            if has_directory
            else "a directory of representatives says who is ours"
        )
        share = each.stranger_count / each.record_count
        found.append(f"{each.source}: {share:.0%} of {each.channel} name nobody who is known to be ours; {remedy}")
    return found
