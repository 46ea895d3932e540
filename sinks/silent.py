"""Which sources were silent in the time that a report is about, read from a store."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.sentences import Sentence, sentence
from pipeline.silence import HOUR, Hours, Stream, silences
from sinks.store import Store

MOST_TOLD: Final = 3
# What is usual is learned from so much time around the period that is asked about.
_AROUND: Final = timedelta(days=56)


def warnings(store: Store, zone: ZoneInfo, since: datetime | None, until: datetime | None) -> list[Sentence]:
    """Return a sentence for each stretch of the period in which a source wrote nothing though usually it does.

    `since` and `until` as of a report, UTC without zone. The longest come first; of many, the others are counted.
    """
    streams = _streams(store, zone, since, until)
    if not streams:
        return []
    first = min(min(hours) for hours in streams.values())
    last = max(max(hours) for hours in streams.values()) + HOUR
    begin = first if since is None else max(first, _local(since, zone))
    end = last if until is None else min(last, _local(until, zone))
    found = [
        silence
        for silence in silences(streams, first, last)
        if silence.since < end and silence.until > begin and not silence.is_holiday
    ]
    sentences = [
        sentence("%(silence)s: its interactions are missing from the number", silence=silence.sentence)
        for silence in found[:MOST_TOLD]
    ]
    if len(found) > MOST_TOLD:
        more = len(found) - MOST_TOLD
        sentences.append(sentence("sources were silent %(count)s times more in this period", count=more))
    return sentences


def still(store: Store, zone: ZoneInfo, until: datetime) -> list[Sentence]:
    """Return a sentence for each source that is silent and has not ended to be, `until` as above."""
    streams = _streams(store, zone, until, None)
    if not streams:
        return []
    first, last = min(min(hours) for hours in streams.values()), _local(until, zone).replace(minute=0, second=0)
    found = silences(streams, first, last.replace(microsecond=0))
    return [silence.sentence for silence in found if silence.until >= last and not silence.is_holiday]


def _streams(store: Store, zone: ZoneInfo, since: datetime | None, until: datetime | None) -> dict[Stream, Hours]:
    found = store.query(
        """
        WITH quarter AS (
            SELECT source, channel, epoch_us(started_at) // 900000000 AS number, count(*) AS record_count
            FROM observation_base
            WHERE started_at >= coalesce($since, '-infinity'::TIMESTAMP)
                AND started_at < coalesce($until, 'infinity'::TIMESTAMP)
            GROUP BY ALL
        )
        SELECT
            source, channel::VARCHAR AS channel,
            -- Zones change their offset on quarters of an hour: only these are converted, not each record.
            date_trunc('hour', timezone($zone, timezone('UTC', make_timestamp(number * 900000000)))) AS hour,
            sum(record_count)::BIGINT AS record_count
        FROM quarter
        GROUP BY ALL
        """,
        {
            "since": None if since is None else _shifted(since, -_AROUND),
            "until": None if until is None else _shifted(until, _AROUND),
            "zone": zone.key,
        },
    )
    streams: dict[Stream, dict[datetime, int]] = defaultdict(dict)
    columns = (found.column(name).to_pylist() for name in ("source", "channel", "hour", "record_count"))
    for source, channel, hour, count in zip(*columns, strict=True):
        streams[source, channel][hour] = count
    return dict(streams)


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return an instant in local time; where the calendar ends, as it is."""
    try:
        return instant.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return instant


def _shifted(instant: datetime, length: timedelta) -> datetime | None:
    """Return an instant moved by a length, or None where the calendar ends."""
    try:
        return instant + length
    except OverflowError:
        return None
