"""What a store and the sink that writes it tell Prometheus. Labels are topics, channels and sources, never anybody."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sinks import measures
from sinks.asking import Asking
from sinks.store import Store

MEDIA_TYPE: Final = "text/plain"
# The share is that of so long before the last interaction.
SHARE_OF: Final = timedelta(days=28)
# What `sinks.live.Applied` counts.
APPLIED: Final = {
    "message": ("messages", "Messages of the log that were applied"),
    "byte": ("bytes", "Bytes of the log that were applied"),
    "fact": ("facts", "Facts that were stored"),
    "outcome": ("outcomes", "Rows of outcomes that were stored"),
    "dead_letter": ("dead_letters", "Dead letters that were stored"),
    "late": ("late_facts", "Facts that came after their time was closed"),
    "damaged": ("damaged_messages", "Messages that could not be read"),
}


def store_metrics(store: Store) -> list[Metric]:
    """Return what a store holds, and the bypass share of each channel in the last four weeks of it."""
    (row,) = store.rows(
        "SELECT (SELECT count(*) FROM current_interaction) AS interactions, "
        "(SELECT count(*) FROM current_interaction WHERE outcome = 'pending') AS pending, "
        "(SELECT max(started_at) FROM current_interaction) AS last"
    )
    letters = GaugeMetricFamily(
        "bypassflow_store_dead_letters", "Records that could not be used, by source", labels=("source",)
    )
    for each in store.rows("SELECT source, count(*) AS n FROM dead_letter GROUP BY source ORDER BY source"):
        letters.add_metric((each["source"],), each["n"])
    share = GaugeMetricFamily(
        "bypassflow_store_bypass_share", "Bypass share of the last four weeks, 0-1, by channel", labels=("channel",)
    )
    decided = GaugeMetricFamily(
        "bypassflow_store_decided_interactions", "Interactions that the share is of, by channel", labels=("channel",)
    )
    if row["last"] is not None:
        for each in measures.report(store, ("channel",), row["last"] - SHARE_OF, None):
            count = sum(each[f"{outcome}_count"] for outcome in ("traced", "siloed", "bypassed"))
            decided.add_metric((each["channel"],), count)
            if count:
                share.add_metric((each["channel"],), measures.shares(each)["bypass_share"])
    return [
        GaugeMetricFamily("bypassflow_store_interactions", "Interactions in the store", row["interactions"]),
        GaugeMetricFamily("bypassflow_store_pending_interactions", "Pending interactions", row["pending"]),
        GaugeMetricFamily("bypassflow_store_bytes", "Size of the store's file", store.path.stat().st_size),
        GaugeMetricFamily(
            "bypassflow_store_disk_free_bytes", "Free on the store's disk", shutil.disk_usage(store.path.parent).free
        ),
        letters,
        share,
        decided,
    ]


def sink_metrics(status: Mapping[str, Any]) -> list[Metric]:
    """Return what a running sink says of itself, see `sinks.consumer.status_of`, as figures."""
    waiting = GaugeMetricFamily(
        "bypassflow_sink_lag_messages", "Messages that are not applied yet, by topic", labels=("topic",)
    )
    for topic, told in status["topics"].items():
        waiting.add_metric((topic,), told["waiting"])
    work = status["work"]
    found: list[Metric] = [
        GaugeMetricFamily("bypassflow_sink_running", "1: the sink follows the log", status["state"] == "running"),
        waiting,
        CounterMetricFamily("bypassflow_sink_batches", "Batches that were written", work["batch_count"]),
        CounterMetricFamily("bypassflow_sink_batch_seconds", "Seconds spent on writing batches", work["batch_seconds"]),
        CounterMetricFamily(
            "bypassflow_sink_fold_seconds", "Seconds spent on merging what is new", work["fold_seconds"]
        ),
    ]
    for name, (noun, meaning) in APPLIED.items():
        found.append(CounterMetricFamily(f"bypassflow_sink_{noun}", meaning, status["applied"][f"{name}_count"]))
    for name, meaning in (
        ("watermark", "Until when all events are expected to have come"),
        ("closed_through", "Until when time is closed"),
    ):
        if status[name]:
            moment = datetime.fromisoformat(status[name]).timestamp()
            found.append(GaugeMetricFamily(f"bypassflow_sink_{name}_timestamp_seconds", meaning, moment))
    snapshot = status.get("snapshot") or {}
    for name, meaning in (
        ("age_seconds", "Age of the newest snapshot"),
        ("seconds", "Seconds that the newest snapshot took"),
    ):
        if snapshot.get(name) is not None:
            found.append(GaugeMetricFamily(f"bypassflow_sink_snapshot_{name}", meaning, snapshot[name]))
    if snapshot:
        found.append(
            CounterMetricFamily(
                "bypassflow_sink_snapshot_failures", "Snapshots that could not be taken", snapshot["failure_count"]
            )
        )
    return found


class FoundFigures(Collector):
    """Figures that are found anew whenever somebody asks."""

    def __init__(self, find: Callable[[], Iterable[Metric]] = tuple) -> None:
        self.find = find

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what it tells is looked up when it is asked for, and not when it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self.find()


def sink_registry(asking: Asking, status: Callable[[], Mapping[str, Any]]) -> CollectorRegistry:
    """Return what a running sink and its store tell, with the figures of the process itself."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(FoundFigures(lambda: [*asking.ask(store_metrics), *sink_metrics(status())]))
    return registry
