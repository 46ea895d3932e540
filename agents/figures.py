"""What workers and receivers count for Prometheus. Labels are names of topics, kinds and reasons, never of anybody.

Counted is once for each batch: of single records there are too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.standing import Positions
from pipeline.correlation import Folded, Recovery
from pipeline.intake import Intaken

# Reasons name fields, and senders choose what is wrong with them: so many get a series of their own.
MOST_REASONS: Final = 50
OTHER_REASONS: Final = "other"
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def new_registry() -> CollectorRegistry:
    """Return a registry that tells of the process itself: memory, processor, open files, start."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter began is of no use, and doubles their number
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class IngestFigures:
    """What ingest took in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = Counter("bypassflow_ingest_records", "Records met, used or not", registry=registry)
        self._ignored = Counter("bypassflow_ingest_ignored_messages", "Messages without a record", registry=registry)
        self._facts = Counter("bypassflow_ingest_facts", "Facts sent on, by kind", ("kind",), registry=registry)
        self._dead = Counter(
            "bypassflow_ingest_dead_letters", "Records that could not be used, by reason", ("reason",),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "bypassflow_ingest_batch_seconds", "Seconds from a batch to its confirmation by the broker",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._feeds = Gauge(
            "bypassflow_feed_newest_event_timestamp_seconds",
            "Time of the newest event of each partition of a raw topic, which this worker has taken in",
            ("feed",),
            registry=registry,
        )
        self._reasons: set[str] = set()

    def count(self, taken: Intaken, seconds: float) -> None:
        """Count a batch that the broker keeps."""
        self._records.inc(taken.record_count)
        self._ignored.inc(taken.ignored_count)
        for kind, table in taken.facts.items():
            self._facts.labels(kind).inc(table.num_rows)
        for dead in taken.letters:
            self._dead.labels(self._reason(dead.letter.reason)).inc()
        for feed, reached in taken.lanes.items():
            self._feeds.labels(feed).set(reached / 1_000_000)
        self._seconds.observe(seconds)

    def _reason(self, reason: str) -> str:
        if reason not in self._reasons:
            if len(self._reasons) >= MOST_REASONS:
                return OTHER_REASONS
            self._reasons.add(reason)
        return reason


class CorrelateFigures:
    """What correlate folded, and what its engine holds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str) -> Counter:
            return Counter(f"bypassflow_correlate_{name}", meaning, registry=registry)

        self._messages = counter("messages", "Messages of facts that were folded")
        self._facts = counter("facts", "Facts that were folded")
        self._changes = counter("changes", "Rows of outcomes that were said")
        self._late = counter("late_facts", "Facts that came after their time was closed")
        self._damaged = counter("damaged_messages", "Messages that could not be read")
        self._folds = Histogram(
            "bypassflow_correlate_fold_seconds", "Seconds from messages of facts to outcomes that the broker keeps",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._rebuilding = Gauge(
            "bypassflow_correlate_rebuilding", "1: the engine is rebuilt from the log, or catches up with it",
            registry=registry,
        )  # fmt: skip
        self._rebuild = Gauge(
            "bypassflow_correlate_rebuild_seconds", "Seconds that the last rebuild of the engine took",
            registry=registry,
        )  # fmt: skip
        self._rebuilt = Gauge(
            "bypassflow_correlate_rebuilt_facts", "Facts that the last rebuild folded again", registry=registry
        )
        self._sizes = Gauge(
            "bypassflow_engine_rows", "Rows that the engine holds, by table", ("table",), registry=registry
        )
        self._closed = Gauge(
            "bypassflow_correlate_closed_through_timestamp_seconds", "Until when time is closed", registry=registry
        )

    def rebuild(self, is_going_on: bool) -> None:
        """Note that a rebuild begins, or that it is over and has caught up with what came meanwhile."""
        self._rebuilding.set(is_going_on)

    def recovered(self, recovery: Recovery, seconds: float) -> None:
        """Note a rebuild."""
        self._rebuild.set(seconds)
        self._rebuilt.set(recovery.fact_count)

    def count(self, folded: Folded, seconds: float) -> None:
        """Count what was folded, and said."""
        self._messages.inc(folded.message_count)
        self._facts.inc(folded.fact_count)
        self._changes.inc(folded.change_count)
        self._late.inc(folded.late_count)
        self._damaged.inc(folded.damaged_count)
        self._folds.observe(seconds)

    def hold(self, sizes: Mapping[str, int], closed_through: float | None) -> None:
        """Note what the engine holds, and until when time is closed, in seconds since 1970."""
        for table, rows in sizes.items():
            self._sizes.labels(table).set(rows)
        if closed_through:  # 0: nothing is closed yet
            self._closed.set(closed_through)


class PositionCollector(Collector):
    """Tells, whenever it is asked, how many messages of each partition a worker has still to do."""

    def __init__(self, positions: Positions, prefix: str) -> None:
        """`prefix`: of the topics, which is not told."""
        self._positions = positions
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        lag = GaugeMetricFamily(
            "bypassflow_worker_lag_messages", "Messages that are not done, by partition", labels=("topic", "partition")
        )
        for (topic, partition), position in (self._positions() or {}).items():
            lag.add_metric((topic.removeprefix(self._prefix), str(partition)), position.behind)
        yield lag


class OutboxCollector(Collector):
    """Tells, whenever it is asked, what waits in a receiver for the broker, and how much the broker keeps."""

    def __init__(self, counts: Callable[[], tuple[int, int]]) -> None:
        """`counts` gives how many records wait, and how many were confirmed."""
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        waiting, confirmed = self._counts()
        yield GaugeMetricFamily(
            "bypassflow_receiver_waiting_records", "Records that the broker has not confirmed yet", waiting
        )
        yield CounterMetricFamily("bypassflow_receiver_records", "Records that the broker keeps", confirmed)
